package overview_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"
	"strings"
	"testing"

	"mixdown/encoder"
	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
	"mixdown/overview"
	"mixdown/storage"
)

// TestPeaks: each step says how loud its loudest sample was, to a quarter of a
// decibel; silence costs nothing.
func TestPeaks(t *testing.T) {
	var p overview.Peaks
	var f pcm.Frame
	for n := range int64(20) {
		f = pcm.Frame{}
		if n >= 5 && n < 10 {
			f[400] = [2]float32{0.1, -0.5}
		}
		p.Frame(n*pcm.FrameSize, &f)
	}
	pos, peaks := p.Take()
	if pos != overview.Step || len(peaks) != 1 || math.Abs(20*math.Log10(overview.Amplitude(peaks[0])/0.5)) > 0.13 {
		t.Errorf("from sample %d: %v", pos, peaks)
	}
	if _, peaks := p.Take(); len(peaks) != 0 {
		t.Errorf("taken twice: %v", peaks)
	}
	p.Level(7*overview.Step+overview.Step/2, overview.Step, 20)
	p.Level(9*overview.Step, 960, 127)
	if pos, peaks := p.Take(); pos != 7*overview.Step || len(peaks) != 2 || math.Abs(overview.Amplitude(peaks[0])-0.1) > 0.002 || peaks[0] != peaks[1] {
		t.Errorf("levels of packets from sample %d: %v", pos, peaks)
	}
	p.Level(1e15, 960, 20)
	p.Level(0, 960, 20)
	if _, peaks := p.Take(); len(peaks) != 1 {
		t.Errorf("positions that make no sense made %d peaks", len(peaks))
	}
	if allocs := testing.AllocsPerRun(100, func() { p.Frame(0, &f) }); allocs != 0 {
		t.Errorf("a frame allocates %v times", allocs)
	}
	(*overview.Peaks)(nil).Frame(0, &f)
}

func BenchmarkFrame(b *testing.B) {
	var p overview.Peaks
	var f pcm.Frame
	if err := pcmtest.Tone(440, 0.5).ReadFrame(&f); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		p.Frame(0, &f)
	}
}

const second = pcm.Rate

// manifest is a recording of a minute: a mix, and the streams of ann and bob.
func manifest() *storage.Manifest {
	return &storage.Manifest{
		Outputs: []storage.Output{
			{ID: "streams-ogg/ann/mic", What: "streams", Format: "ogg", UserID: "ann", StreamID: "mic"},
			{ID: "mix-ogg", What: "mix", Format: "ogg"},
		},
		Streams:  []storage.Stream{{StreamID: "mic", UserID: "ann"}, {StreamID: "bobs", UserID: "bob"}},
		Segments: []storage.Segment{{Path: "mix/1.ogg", Output: "mix-ogg", Samples: 60 * second}},
		Gaps:     []storage.Gap{{Output: "mix-ogg", StartSample: 40 * second, Samples: 2 * second, Reason: "card"}},
	}
}

// event is a line of an event log.
func event(at float64, kind string, who any, more string) string {
	raw, err := json.Marshal(who)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(`{"at":"2026-11-23T08:15:00.120Z","sample":%d,"type":%q,"who":%s%s}`+"\n", int64(at*second), kind, raw, more)
}

var (
	ann = map[string]any{"streamID": "mic", "user": map[string]string{"userID": "ann"}}
	bob = map[string]any{"streamID": "bobs", "user": map[string]string{"userID": "bob"}}
)

func log() string {
	figures := func(at float64, id string, missed, ms int, jitter float64) string {
		return event(at, "stream.quality", id, fmt.Sprintf(`,"figures":{"stay":0,"missedSample":%d,"missedMs":%d,"jitterMs":%v}`, missed*second, ms, jitter))
	}
	return strings.Join([]string{
		event(0, "capture.started", nil, `,"settings":{"mix":{"channels":2}}`),
		event(1, "stream.added", ann, ""), event(2, "stream.added", bob, ""),
		event(3, "stream.packets", ann, `,"row":{"stay":0}`),
		event(5, "wave", map[string]string{"output": "mix-ogg"}, `,"peaks":"AP9k"`), // 0, 255, 100
		event(5.2, "wave", map[string]string{"output": "mix-ogg"}, `,"peaks":"yA=="`),
		figures(10, "mic", 0, 0, 1), figures(11, "mic", 10, 140, 25.6), figures(12, "mic", 0, 0, 3), figures(15, "mic", 12, 1900, 3),
		event(20, "stream.removed", ann, ""), event(21, "stream.added", ann, ""),
		event(4, "talk.started", ann, ""), event(19, "talk.ended", ann, ""), // rendered later
		figures(21, "mic", 19, 60, 1), figures(41, "mic", 40, 60, 1),
		event(30, "capture.changed", nil, `,"settings":{"mix":{"mute":["bob"]}}`),
		event(40, "capture.paused", map[string]string{"userID": "ann"}, `,"settings":{"mix":{"mute":["bob"]},"pauses":[{"userID":"ann","mode":"silence","reason":"card"}]}`),
		event(44, "recorder.disconnected", nil, ""), event(46, "recorder.connected", nil, ""),
		event(50, "capture.resumed", nil, `,"settings":{"mix":{}}`),
		event(58, "recorder.disconnected", nil, ""), event(59, "talk.started", bob, ""),
		`{"torn`,
	}, "")
}

// TestDigest: what a log tells of a recording, and what of it is seen from afar
// and from near.
func TestDigest(t *testing.T) {
	o, err := overview.Digest(manifest(), strings.NewReader(log()))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := o.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if o, err = overview.Decode(raw); err != nil {
		t.Fatal(err)
	}
	if o.Length != 60_000 || len(o.Lanes) != 2 || len(o.Waves) != 2 {
		t.Fatalf("%s", raw)
	}
	same(t, "the mix", o.Waves[1].Peaks, append(make([]byte, 51), 255, 200))
	a, b := o.Lanes[0], o.Lanes[1]
	same(t, "ann is there", a.Present, []overview.Span{{1000, 20_000}, {21_000, 60_000}})
	same(t, "ann speaks", a.Talk, []overview.Span{{4000, 19_000}})
	same(t, "ann loses", a.Lost, []overview.Count{{10_000, 10_140, 140}, {12_000, 13_900, 1900}, {19_000, 19_060, 60}, {40_000, 40_060, 60}})
	same(t, "ann's jitter", a.Jitter, []overview.Count{{10_000, 11_000, 25}})
	same(t, "bob speaks", b.Talk, []overview.Span{{59_000, 60_000}})
	same(t, "bob is muted", b.Muted, []overview.Span{{30_000, 50_000}})
	same(t, "pauses", o.Pauses, []overview.Hole{{From: 40_000, To: 50_000, Mode: "silence", Reason: "card", UserID: "ann"}})
	same(t, "gaps", o.Gaps, []overview.Hole{{From: 40_000, To: 42_000, Reason: "card", Output: "mix-ogg"}})
	same(t, "the recorder is away", o.Away, []overview.Span{{44_000, 46_000}, {58_000, 60_000}})

	far := o.View(0, 0, 6) // ten seconds a point
	same(t, "the mix from afar", far.Waves[1].Peaks, []byte{255, 0, 0, 0, 0, 0})
	same(t, "ann's losses from afar", far.Lanes[0].Lost, []overview.Count{{10_000, 19_060, 2100}, {40_000, 40_060, 60}})
	near := o.View(5_050, 5_390, 1000)
	if near.From != 5000 || near.To != 5400 {
		t.Errorf("shown from %d to %d", near.From, near.To)
	}
	same(t, "the mix from near", near.Waves[1].Peaks, []byte{0, 255, 200, 0})
	same(t, "ann speaks, from near", near.Lanes[0].Talk, []overview.Span{{5000, 5400}})
	same(t, "ann's losses from near", near.Lanes[0].Lost, []overview.Count{})
	if past := o.View(1e12, -5, -1); past.From != 60_000 || len(past.Waves[0].Peaks) != 1 {
		t.Errorf("past the end: %+v", past)
	}
}

func same[T comparable](t *testing.T, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// files are a recording in memory.
type files map[string][]byte

func (f files) open(_ context.Context, path string) (io.ReadCloser, error) {
	b, ok := f[path]
	if !ok {
		return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

// memory is an encoder.Store of segments in memory.
type memory struct {
	files files
	m     *storage.Manifest
	out   string
}

type inMemory struct{ b []byte }

func (f *inMemory) Write(b []byte) (int, error) { f.b = append(f.b, b...); return len(b), nil }

func (f *inMemory) WriteAt(b []byte, at int64) (int, error) {
	if n := int(at) + len(b); n > len(f.b) {
		f.b = append(f.b, make([]byte, n-len(f.b))...)
	}
	return copy(f.b[at:], b), nil
}

func (s *memory) Create(encoder.Segment) (encoder.File, error) { return &inMemory{}, nil }

func (s *memory) Commit(f encoder.File, seg encoder.Segment) error {
	path := fmt.Sprintf("%s/%06d", s.out, seg.Index)
	s.files[path] = f.(*inMemory).b
	s.m.Segments = append(s.m.Segments, storage.Segment{Path: path, Output: s.out, StartSample: seg.Start, Samples: seg.Samples})
	return nil
}

// TestMeasure: recordings from before there were overviews are looked at
// afterwards, no more of them than is allowed; broken and missing files are
// silence.
func TestMeasure(t *testing.T) {
	for _, format := range []string{"ogg", "wav", "flac"} {
		t.Run(format, func(t *testing.T) {
			m := &storage.Manifest{}
			f := files{storage.EventsName: []byte(event(0, "stream.added", ann, ""))}
			for _, out := range []string{"a", "mix", "b"} {
				o := storage.Output{ID: out, What: "streams", StreamID: out, UserID: out, Format: format}
				if out == "mix" {
					o.What, o.StreamID, o.UserID = "mix", "", ""
				}
				m.Outputs = append(m.Outputs, o)
				seg, err := encoder.NewSegmenter(&memory{f, m, out}, encoder.Config{Format: format, Channels: 2, Every: 2 * second})
				if err != nil {
					t.Fatal(err)
				}
				loud, quiet := pcmtest.Tone(500, 0.5), pcmtest.Tone(500, 0.05)
				for n := range 300 { // loud in the middle two seconds
					var frame pcm.Frame
					source := quiet
					if n >= 100 && n < 200 {
						source = loud
					}
					if err := source.ReadFrame(&frame); err != nil {
						t.Fatal(err)
					}
					if err := seg.WriteFrame(&frame); err != nil {
						t.Fatal(err)
					}
				}
				if err := seg.Close(); err != nil {
					t.Fatal(err)
				}
			}
			delete(f, "mix/000001")
			f["a/000002"] = f["a/000002"][:20]
			o, err := overview.Measure(t.Context(), m, f.open, 15*second)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "unmeasured", o.Unmeasured, []string{"b"})
			about := func(out, at int, want float64) {
				t.Helper()
				got := 0.0
				if at < len(o.Waves[out].Peaks) {
					got = overview.Amplitude(o.Waves[out].Peaks[at])
				}
				if math.Abs(got-want) > 0.2*want+0.001 {
					t.Errorf("%s at %d: %.3f, want %.3f", o.Waves[out].Output, at, got, want)
				}
			}
			about(1, 10, 0) // missing
			about(1, 30, 0.5)
			about(1, 50, 0.05)
			about(0, 10, 0.05)
			about(0, 30, 0) // broken
			about(0, 50, 0.05)
			if len(o.Lanes) != 1 || len(o.Lanes[0].Present) != 1 {
				t.Errorf("lanes: %+v", o.Lanes)
			}
		})
	}
}

// FuzzDigest: no log, whatever is in it, makes a digest fall over or grow
// without bounds.
func FuzzDigest(f *testing.F) {
	f.Add([]byte(log()))
	f.Add([]byte(`{"sample":-9223372036854775808,"type":"wave","who":{"output":"mix-ogg"},"peaks":"/w=="}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := overview.Digest(manifest(), bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range o.Waves {
			if len(w.Peaks) > 600 {
				t.Fatalf("%d peaks", len(w.Peaks))
			}
		}
		o.View(-1, 1<<40, 100)
	})
}
