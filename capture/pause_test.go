package capture_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/capture"
	"mixdown/mixer/pcm"
	"mixdown/storage"
)

// secret is what is said in a pause: packets that are found wherever their
// bytes are. It sounds as its voice does.
type secret struct {
	*voice
	said atomic.Int64 // packets that must be nowhere
}

// whispered numbers those packets, from it on.
const whispered = 0x5ec7e7000000

// whisper speaks for d what must not be kept.
func (v *secret) whisper(s *stage, d time.Duration) {
	for range d / pcm.FrameTime {
		p := numbered(v.packets[int(v.seq)%len(v.packets)], whispered+v.said.Add(1))
		s.send(v.id, v.seq, v.ts, p)
		v.seq++
		v.ts += pcm.FrameSize
		time.Sleep(pcm.FrameTime)
	}
}

// nowhere checks that nothing that was whispered is in any file below a
// folder, and returns how many files it looked through.
func (v *secret) nowhere(t testing.TB, dir string) (files int) {
	t.Helper()
	if v.said.Load() == 0 {
		t.Fatal("nothing was whispered")
	}
	mark := binary.BigEndian.AppendUint64(nil, whispered)[:5] // the same in all of them
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil // uploaded meanwhile
		}
		files++
		if bytes.Contains(b, mark) {
			t.Errorf("%s holds what was said in a pause", strings.TrimPrefix(path, dir))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// segments are the stretches that an output's files cover, in milliseconds.
func covered(m *storage.Manifest, output string) (all [][2]int64) {
	const ms = pcm.Rate / 1000
	for _, s := range m.Segments {
		if s.Output != output {
			continue
		}
		from, to := s.StartSample/ms, (s.StartSample+s.Samples)/ms
		if n := len(all); n > 0 && all[n-1][1] == from {
			all[n-1][1] = to
			continue
		}
		all = append(all, [2]int64{from, to})
	}
	return all
}

// hear reads an output with its gaps as silence.
func (h *house) hear(m *storage.Manifest, output string) (frames []pcm.Frame, start int64) {
	h.t.Helper()
	whole := *m
	start = -1
	var end int64
	for i, s := range m.Segments {
		if s.Output != output {
			continue
		}
		if frames == nil {
			last := m.Segments[len(m.Segments)-1]
			frames = make([]pcm.Frame, 0, max(0, last.StartSample+last.Samples-s.StartSample)/pcm.FrameSize+1)
		}
		one := whole
		one.Segments = m.Segments[i : i+1]
		part, at := h.listen(&one, output)
		if start < 0 {
			start, end = at, at
		}
		for ; end < at; end += pcm.FrameSize {
			frames = append(frames, pcm.Frame{})
		}
		frames = append(frames, part...)
		end = at + int64(len(part))*pcm.FrameSize
	}
	return frames, start
}

// outputs of every test here.
func allOutputs(s *capture.Spec) {
	s.Record = []capture.RecordSpec{
		{What: "mix", Format: "wav", SegmentSeconds: 10}, {What: "mix", Format: "ogg", SegmentSeconds: 10},
		{What: "streams", Format: "ogg", SegmentSeconds: 10}, {What: "streams", Format: "wav", SegmentSeconds: 10},
	}
	s.Tone = capture.ToneSpec{Hz: 2000, LevelDB: -20, EveryMS: 500, LengthMS: 200}
}

// TestPause: what is said in a pause is in no byte that is written, sent or
// listened to; what is said outside of it is, at its time.
func TestPause(t *testing.T) {
	t.Parallel()
	a, b := newVoice(t, "a-mic", 400), newVoice(t, "b-mic", 1000)
	for _, scope := range []capture.Scope{{}, {UserID: "ann"}, {StreamID: "a-mic"}} {
		for _, mode := range []capture.PauseMode{capture.PauseSilence, capture.PauseSkip, capture.PauseTone} {
			t.Run(fmt.Sprintf("%s%s %s", scope.UserID, scope.StreamID, mode), func(t *testing.T) {
				t.Parallel()
				ann, bob := *a, *b
				pauseOnce(t, &secret{voice: &ann}, &bob, scope, mode)
			})
		}
	}
}

func pauseOnce(t *testing.T, ann *secret, bob *voice, scope capture.Scope, mode capture.PauseMode) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		h := open(t, t.TempDir(), s)
		s.enter("a-mic", "ann", 1)
		s.enter("b-mic", "bob", 2)
		c := h.start("c1", allOutputs)
		var heardLive bytes.Buffer
		var wg sync.WaitGroup
		ctx, leave := context.WithCancel(t.Context())
		wg.Go(func() { _ = c.Listen(ctx, capture.Selection{}, &heardLive) })
		wg.Go(func() {
			ann.speak(s, 8*time.Second)
			ann.whisper(s, 7*time.Second)
			ann.speak(s, 10*time.Second)
		})
		wg.Go(func() { bob.speak(s, 25*time.Second) })
		time.Sleep(8*time.Second - 10*time.Millisecond)
		for range 2 {
			if err := c.Pause(capture.PauseRequest{Scope: scope, Mode: mode, Reason: "card number"}, "op"); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(3 * time.Second)
		st := c.Status()
		if want := map[bool]capture.State{true: capture.Paused, false: capture.Recording}[scope == capture.Scope{}]; st.State != want || len(st.Pauses) != 1 || st.Pauses[0].Actor != "op" {
			t.Errorf("in the pause: %s, %+v", st.State, st.Pauses)
		}
		if n := ann.nowhere(t, h.data); n < 5 {
			t.Errorf("only %d files in the pause", n)
		}
		time.Sleep(4 * time.Second)
		for range 2 {
			if err := c.Resume(scope, "op", "done"); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10*time.Second + 10*time.Millisecond)
		leave()
		if err := c.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		ann.nowhere(t, h.data)
		m := h.recording("c1")
		h.checkPause(m, scope, mode)
		live := decode(t, &heardLive)
		near(t, "ann, live", heard(live, 0, 400), [][2]int64{{0, 8000}, {15000, 25000}}, 150)
	})
}

// checkPause checks a recording of 25 s in which ann, or everybody, was
// paused from 8 to 15 s.
func (h *house) checkPause(m *storage.Manifest, scope capture.Scope, mode capture.PauseMode) {
	t := h.t
	t.Helper()
	whole := scope == capture.Scope{}
	want := [][2]int64{{0, 8000}, {15000, 25000}}
	both := [][2]int64{{0, 25000}}
	for _, output := range []string{"mix-wav", "mix-ogg", "streams-ogg/ann/a-mic", "streams-wav/ann/a-mic", "streams-wav/bob/b-mic"} {
		frames, start := h.hear(m, output)
		skipped := mode == capture.PauseSkip && (whole || strings.Contains(output, "ann"))
		files := both
		if skipped {
			files = want
		}
		near(t, "the files of "+output, covered(m, output), files, 60)
		if !strings.Contains(output, "bob") {
			near(t, "ann in "+output, heard(frames, start, 400), want, 60)
		}
		if strings.Contains(output, "mix") {
			others := both
			if whole {
				others = want
			}
			near(t, "bob in "+output, heard(frames, start, 1000), others, 60)
			beeps := len(heard(frames, start, 2000))
			if mode == capture.PauseTone != (beeps >= 12 && beeps <= 15) {
				t.Errorf("%s has %d beeps", output, beeps)
			}
		}
	}
	l := m.Ledger["ann/a-mic"]
	if l["paused"] < 6900 || l["paused"] > 7060 || l["received"] < 17900 || l["lost"] > 20 {
		t.Errorf("ann's ledger: %v", l)
	}
	if q := m.Quality["ann/a-mic"]; q["packets"] < 800 || q["lost"] > 1 {
		t.Errorf("what a pause keeps out is no loss: %v", q)
	}
	if p := m.Ledger["bob/b-mic"]["paused"]; whole != (p > 6900) {
		t.Errorf("bob is paused for %d ms", p)
	}
	if n := map[bool]int{true: 0, false: 0}[whole]; mode != capture.PauseSkip && len(m.Gaps) != n {
		t.Errorf("gaps: %+v", m.Gaps)
	}
	raw, err := os.ReadFile(filepath.Join(h.data, "recordings", "r", m.ID, storage.EventsName))
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for line := range strings.Lines(string(raw)) {
		var e struct {
			Type, Reason, Actor string
			Sample              int64
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Type == "capture.paused" || e.Type == "capture.resumed" {
			told = append(told, fmt.Sprint(e.Type, " ", e.Reason, " ", e.Actor, " ", e.Sample/4800))
		}
	}
	if want := []string{"capture.paused card number op 80", "capture.resumed done op 150"}; !slices.Equal(told, want) {
		t.Errorf("events.jsonl says %q", told)
	}
}
