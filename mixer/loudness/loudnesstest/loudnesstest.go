// Package loudnesstest is speech to measure, and the other opinion on loudness:
// ffmpeg's ebur128, for tests of what measures loudness or promises it.
package loudnesstest

import (
	"bytes"
	"encoding/binary"
	"math"
	"os/exec"
	"regexp"
	"strconv"
	"testing"

	"mixdown/encoder/opus"
	"mixdown/mixer/pcm"
	"mixdown/speech"
)

// Report is what ffmpeg says of a programme.
type Report struct {
	Integrated float64    // LUFS
	TruePeak   float64    // dBTP
	Course     []Instants // every 100 ms
}

// Instants is the loudness that ffmpeg shows at one time.
type Instants struct{ Momentary, ShortTerm float64 } // LUFS

var (
	course     = regexp.MustCompile(`M:\s*(-?[0-9.]+|nan|-inf)\s+S:\s*(-?[0-9.]+|nan|-inf)`)
	integrated = regexp.MustCompile(`(?s)Summary:.*I:\s+(-?[0-9.]+|-inf) LUFS`)
	truePeak   = regexp.MustCompile(`(?s)True peak:\s+Peak:\s+(-?[0-9.]+|-inf) dBFS`)
)

// Ebur128 measures frames with ffmpeg, as stereo or as the mean of both
// channels. Without ffmpeg, which the tests need anyway, the test fails.
func Ebur128(t testing.TB, frames []pcm.Frame, channels int) Report {
	t.Helper()
	raw := make([]byte, 0, len(frames)*pcm.FrameSize*4*channels)
	put := func(x float32) { raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x)) }
	for i := range frames {
		for _, s := range frames[i] {
			if channels == 1 {
				put((s[0] + s[1]) / 2)
			} else {
				put(s[0])
				put(s[1])
			}
		}
	}
	ffmpeg := exec.CommandContext(t.Context(), "ffmpeg", "-hide_banner", "-nostats", "-f", "f32le", "-ar", strconv.Itoa(pcm.Rate),
		"-ac", strconv.Itoa(channels), "-i", "-", "-af", "ebur128=peak=true:framelog=info", "-f", "null", "-")
	ffmpeg.Stdin = bytes.NewReader(raw)
	out, err := ffmpeg.CombinedOutput()
	if err != nil {
		t.Fatalf("ffmpeg: %v: %s", err, out)
	}
	number := func(s []byte) float64 {
		x, err := strconv.ParseFloat(string(s), 64)
		if err != nil || x < pcm.MinDB {
			return pcm.MinDB
		}
		return x
	}
	var r Report
	for _, m := range course.FindAllSubmatch(out, -1) {
		r.Course = append(r.Course, Instants{number(m[1]), number(m[2])})
	}
	i, p := integrated.FindSubmatch(out), truePeak.FindSubmatch(out)
	if i == nil || p == nil {
		t.Fatalf("ffmpeg said nothing of loudness: %s", out)
	}
	r.Integrated, r.TruePeak = number(i[1]), number(p[1])
	return r
}

// Speech is what a voice of package speech says, about 18 s, the same on both
// sides.
func Speech(t testing.TB, name string) []pcm.Frame {
	t.Helper()
	for _, v := range speech.Voices() {
		if v.Name == name {
			return decode(t, v.Ogg)
		}
	}
	t.Fatalf("nobody is called %s", name)
	return nil
}

func decode(t testing.TB, file []byte) []pcm.Frame {
	t.Helper()
	packets, err := speech.Packets(file)
	if err != nil {
		t.Fatal(err)
	}
	d, err := opus.NewDecoder(1)
	if err != nil {
		t.Fatal(err)
	}
	frames := make([]pcm.Frame, len(packets))
	for i, p := range packets {
		var out [pcm.FrameSize]float32
		if _, err := d.Decode(p, out[:]); err != nil {
			t.Fatal(err)
		}
		for k, x := range out {
			frames[i][k] = [2]float32{x, x}
		}
	}
	return frames
}
