package webtest

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Rate is the sampling rate of microphone files.
const Rate = 48000

// Microphone writes 48 kHz mono samples to a WAV file for [Browser] and
// returns its path. The file goes with the test.
func Microphone(t testing.TB, samples []int16) string {
	t.Helper()
	size := uint32(2 * len(samples))
	b := make([]byte, 0, 44+size)
	b = append(b, "RIFF"...)
	b = binary.LittleEndian.AppendUint32(b, 36+size)
	b = append(b, "WAVEfmt "...)
	b = binary.LittleEndian.AppendUint32(b, 16)
	b = binary.LittleEndian.AppendUint16(b, 1) // PCM
	b = binary.LittleEndian.AppendUint16(b, 1) // mono
	b = binary.LittleEndian.AppendUint32(b, Rate)
	b = binary.LittleEndian.AppendUint32(b, 2*Rate)
	b = binary.LittleEndian.AppendUint16(b, 2)
	b = binary.LittleEndian.AppendUint16(b, 16)
	b = append(b, "data"...)
	b = binary.LittleEndian.AppendUint32(b, size)
	for _, s := range samples {
		b = binary.LittleEndian.AppendUint16(b, uint16(s))
	}
	path := filepath.Join(t.TempDir(), "microphone.wav")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatalf("write microphone file: %v", err)
	}
	return path
}

// endInSilence copies a WAV file with a little silence at its end: Chromium
// repeats the last buffer of a file that it does not repeat.
func endInSilence(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("read microphone file: %v", err)
	}
	const silence = 2 * Rate / 5
	for at := 12; at+8 <= len(b); {
		size := int(binary.LittleEndian.Uint32(b[at+4:]))
		if string(b[at:at+4]) == "data" && at+8+size == len(b) {
			binary.LittleEndian.PutUint32(b[at+4:], uint32(size+silence))
			binary.LittleEndian.PutUint32(b[4:], uint32(len(b)+silence-8))
			path = filepath.Join(t.TempDir(), "once.wav")
			if err := os.WriteFile(path, append(b, make([]byte, silence)...), 0o644); err != nil {
				t.Fatalf("write microphone file: %v", err)
			}
			return path
		}
		at += 8 + size + size&1
	}
	t.Fatalf("microphone file %s is no WAV file that ends with its samples", path)
	return ""
}

// Tone returns a sine of −12 dBFS. One of whole periods (an integral hz and
// whole seconds) repeats without a click.
func Tone(hz float64, length time.Duration) []int16 {
	samples := make([]int16, int64(length)*Rate/int64(time.Second))
	for i := range samples {
		samples[i] = int16(math.Round(0.25 * math.MaxInt16 * math.Sin(2*math.Pi*hz*float64(i)/Rate)))
	}
	return samples
}
