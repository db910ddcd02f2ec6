package encoder_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mixdown/encoder"
	"mixdown/encoder/encodertest"
)

// save writes the committed segments into a folder for the ordinary tools.
func save(t *testing.T, store *encodertest.Store, ext string) (paths []string) {
	t.Helper()
	dir := t.TempDir()
	for _, seg := range store.Segments() {
		p := filepath.Join(dir, fmt.Sprintf("%06d%s", seg.Index, ext))
		if err := os.WriteFile(p, store.Bytes(seg.Index), 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, p)
	}
	return paths
}

// run runs a program and returns all it says.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// outside decodes a file with ffmpeg to 16-bit samples of the given channels.
func outside(t *testing.T, path string, channels int) [][2]float32 {
	t.Helper()
	out, err := exec.Command("ffmpeg", "-v", "error", "-i", path, "-f", "f32le", "-ac", fmt.Sprint(channels), "-ar", "48000", "-").Output()
	if err != nil {
		t.Fatalf("ffmpeg: %v", err)
	}
	x := make([][2]float32, len(out)/(4*channels))
	for i := range x {
		for ch := range 2 {
			b := out[4*(i*channels+min(ch, channels-1)):]
			x[i][ch] = math.Float32frombits(uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24)
		}
	}
	return x
}

// tools checks that ordinary programs open every segment, agree about its
// length and have nothing to complain about.
func tools(t *testing.T, store *encodertest.Store, ext string) {
	t.Helper()
	paths := save(t, store, ext)
	for i, seg := range store.Segments() {
		var probe struct {
			Streams []struct {
				Codec    string `json:"codec_name"`
				Rate     string `json:"sample_rate"`
				Channels int    `json:"channels"`
				Duration string `json:"duration"`
			} `json:"streams"`
		}
		out := run(t, "ffprobe", "-v", "warning", "-of", "json", "-show_streams", paths[i])
		if err := json.Unmarshal([]byte(out), &probe); err != nil {
			t.Fatalf("ffprobe complains: %s", out)
		}
		if len(probe.Streams) != 1 || probe.Streams[0].Rate != "48000" {
			t.Errorf("ffprobe: %+v", probe)
		}
		complaints := run(t, "ffmpeg", "-v", "warning", "-i", paths[i], "-f", "null", "-")
		// Plain WAV does not name its loudspeakers, as that of every program.
		if complaints != "" && !(ext == ".wav" && strings.Count(complaints, "\n") == 1 && strings.Contains(complaints, "Guessed Channel Layout")) {
			t.Errorf("ffmpeg complains about segment %d: %s", seg.Index, complaints)
		}
		channels := probe.Streams[0].Channels
		if got := outside(t, paths[i], channels); int64(len(got)) != seg.Samples {
			t.Errorf("ffmpeg decodes segment %d to %d samples instead of %d", seg.Index, len(got), seg.Samples)
		}
		if ext != ".ogg" {
			if out := run(t, "sox", "--i", "-s", paths[i]); strings.TrimSpace(out) != fmt.Sprint(seg.Samples) {
				t.Errorf("sox finds %s samples instead of %d", out, seg.Samples)
			}
			continue
		}
		info := run(t, "opusinfo", paths[i])
		if strings.Contains(info, "WARNING") || strings.Contains(info, "ERROR") || strings.Contains(info, "NOTE") {
			t.Errorf("opusinfo about segment %d: %s", seg.Index, info)
		}
		wav := strings.TrimSuffix(paths[i], ext) + ".wav"
		run(t, "opusdec", "--quiet", "--force-wav", paths[i], wav)
		if out := run(t, "sox", "--i", "-s", wav); strings.TrimSpace(out) != fmt.Sprint(seg.Samples) {
			t.Errorf("opusdec decodes segment %d to %s samples instead of %d", seg.Index, out, seg.Samples)
		}
	}
}

func TestOrdinaryToolsReadSegments(t *testing.T) {
	for _, format := range []string{"ogg", "wav", "flac"} {
		for _, channels := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s/%d", format, channels), func(t *testing.T) {
				ext, _ := encoder.Ext(format)
				var store encodertest.Store
				write(t, &store, encoder.Config{
					Format: format, Channels: channels, Bitrate: 64000, Every: 70 * 960,
					Comments: []string{"TITLE=Grüße, room 7", "DATE=2026-11-23"},
				}, music, 171)
				tools(t, &store, ext)
				if format == "ogg" {
					info := run(t, "opusinfo", save(t, &store, ext)[1])
					if !strings.Contains(info, "TITLE=Grüße, room 7") {
						t.Errorf("opusinfo: %s", info)
					}
				}
			})
		}
	}
}

// TestOutsideDecoderHearsNoSeam joins segments as another program decodes them.
func TestOutsideDecoderHearsNoSeam(t *testing.T) {
	for _, format := range []string{"ogg", "wav", "flac"} {
		t.Run(format, func(t *testing.T) {
			ext, _ := encoder.Ext(format)
			var cut, uncut encodertest.Store
			c := encoder.Config{Format: format, Bitrate: 64000}
			write(t, &uncut, c, music, 300)
			c.Every = 48000
			write(t, &cut, c, music, 300)
			want := outside(t, save(t, &uncut, ext)[0], 2)
			var got [][2]float32
			for _, p := range save(t, &cut, ext) {
				got = append(got, outside(t, p, 2)...)
			}
			if len(got) != len(want) || len(got) != 300*960 {
				t.Fatalf("%d samples joined, %d uncut", len(got), len(want))
			}
			limit := 0.0
			if format == "ogg" {
				limit = 1. / 32768
			}
			for i := range want {
				for ch := range 2 {
					if d := math.Abs(float64(want[i][ch] - got[i][ch])); d > limit {
						t.Fatalf("sample %d differs by %g", i, d)
					}
				}
			}
		})
	}
}

// TestChainedSegmentsPlayOn joins the files end to end.
func TestChainedSegmentsPlayOn(t *testing.T) {
	var store encodertest.Store
	write(t, &store, encoder.Config{Format: "ogg", Bitrate: 64000, Every: 48000}, music, 200)
	var chain []byte
	for _, s := range store.Segments() {
		chain = append(chain, store.Bytes(s.Index)...)
	}
	x, err := encodertest.Decode(".ogg", chain)
	if err != nil || len(x) != 200*960 {
		t.Fatalf("%d samples, %v", len(x), err)
	}
	p := filepath.Join(t.TempDir(), "chain.ogg")
	if err := os.WriteFile(p, chain, 0o600); err != nil {
		t.Fatal(err)
	}
	wav := p + ".wav"
	run(t, "opusdec", "--quiet", "--force-wav", p, wav)
	if out := run(t, "sox", "--i", "-s", wav); strings.TrimSpace(out) != fmt.Sprint(200*960) {
		t.Errorf("opusdec decodes the chain to %s samples", out)
	}
}
