package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"math"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"mixdown/capture"
	"mixdown/configs"
	"mixdown/encoder/encodertest"
	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
	"mixdown/storage"
)

// act is the time before something was asked for and the time after it was
// answered, since the start of the capture: it happened in between.
type act struct{ before, after time.Duration }

// brings says that an effect came with the act, or shortly after it.
func (a act) brings(at time.Duration) bool {
	return at >= a.before-time.Millisecond && at <= a.after+300*time.Millisecond
}

// TestControl: a running capture is changed and paused over REST, and its
// recording shows it: gains move in their time, who is muted or excluded is not
// in the mix, outputs come and go in the middle, and all of it verifies.
func TestControl(t *testing.T) {
	t.Parallel()
	var data string
	body := map[string]any{
		"room":   map[string]any{"roomID": "r"},
		"record": []any{map[string]any{"what": "mix", "format": "wav", "segmentSeconds": 3}, map[string]any{"what": "streams", "segmentSeconds": 3}},
		"labels": map[string]any{"case": "A-17", "desk": "3"},
	}
	h := callOfTwo(t, body, func(c *configs.Config) { data = c.Data })
	start := decode[capture.Status](h.ask("GET", "/v1/captures/c", nil).ok(200)).Start
	since := func() time.Duration { return time.Since(start.Time) }
	did := func(method, path string, body any, header ...string) (capture.Status, act) {
		before := since()
		a := h.ask(method, path, body, header...).ok(200)
		return decode[capture.Status](a), act{before, since()}
	}
	patch := func(doc string) (capture.Status, act) {
		return did("PATCH", "/v1/captures/c", doc, "Content-Type", "application/merge-patch+json")
	}
	time.Sleep(time.Second)

	st, faded := patch(`{"mix":{"gains":{"ann":-20},"rampMs":1000},"labels":{"desk":null,"topic":"x"},"limits":{"maxSeconds":600}}`)
	if st.Mix.Gains["ann"] != -20 || st.Labels["topic"] != "x" || st.Labels["desk"] != "" || st.Labels["case"] != "A-17" || st.Limits.MaxSeconds != 600 {
		t.Errorf("after a patch: %+v", st.Spec)
	}
	time.Sleep(1500 * time.Millisecond)
	_, muted := patch(`{"mix":{"mute":["bea"]}}`)
	time.Sleep(700 * time.Millisecond)
	_, unmuted := patch(`{"mix":{"mute":[],"exclude":["ann"]}}`)
	time.Sleep(700 * time.Millisecond)
	_, included := patch(`{"mix":{"exclude":null,"gains":null}}`)
	st, added := patch(`{"record":[{"what":"mix","format":"wav","segmentSeconds":3},{"what":"streams","segmentSeconds":3},{"what":"mix","format":"flac","segmentSeconds":1}],"republish":[{"streamID":"out"}]}`)
	if len(st.Record) != 3 || st.Record[0].ID != "mix-wav" || st.Record[2].ID != "mix-flac" {
		t.Errorf("outputs: %+v", st.Record)
	}
	eventually(t, "the mix is published", 10*time.Second, func() bool {
		return strings.Contains(string(h.ask("GET", "/v1/rooms/r", nil).body), `"out"`)
	})
	time.Sleep(time.Second)
	_, removed := patch(`{"record":[{"id":"mix-wav","what":"mix","format":"wav","segmentSeconds":3},{"what":"streams","segmentSeconds":3}],"republish":[]}`)
	eventually(t, "the mix is not published any more", 10*time.Second, func() bool {
		return !strings.Contains(string(h.ask("GET", "/v1/rooms/r", nil).body), `"out"`)
	})

	st, paused := did("POST", "/v1/captures/c/pause", map[string]any{"mode": "skip", "reason": "card number", "maxSeconds": 60})
	if st.State != capture.Paused || st.Pauses[0].Reason != "card number" || st.Pauses[0].Actor != "admin" || st.Pauses[0].Until == nil {
		t.Errorf("paused: %s %+v", st.State, st.Pauses)
	}
	eventually(t, "the room shows the pause", 5*time.Second, func() bool {
		return strings.Contains(string(h.ask("GET", "/v1/rooms/r", nil).body), `"recording":"paused"`)
	})
	time.Sleep(time.Second)
	st, resumed := did("POST", "/v1/captures/c/resume", nil)
	if st.State != capture.Recording || len(st.Pauses) != 0 {
		t.Errorf("resumed: %s %+v", st.State, st.Pauses)
	}
	time.Sleep(time.Second)
	h.ask("POST", "/v1/captures/c/stop", nil).ok(200)
	for _, call := range []string{"/v1/captures/c/pause", "/v1/captures/c/resume"} {
		h.ask("POST", call, nil).problem(409, "capture_ended")
	}
	h.ask("PATCH", "/v1/captures/c", `{"labels":{"a":"b"}}`).problem(409, "capture_ended")
	h.ask("PATCH", "/v1/captures/none", `{}`).problem(404, "capture_not_found")
	h.ask("POST", "/v1/captures/none/pause", nil).problem(404, "capture_not_found")

	if v := decode[struct{ Intact bool }](h.ask("POST", "/v1/recordings/c/verify", nil).ok(200)); !v.Intact {
		t.Error("the recording is not intact")
	}
	m := decode[storage.Manifest](h.ask("GET", "/v1/recordings/c", nil).ok(200))
	changesAreHeard(t, outputFrames(t, filepath.Join(data, "recordings", "r", "c"), &m, "mix-wav"), h.changed("c"), faded, muted, unmuted, included)
	gapsAreOf(t, &m, added, removed, paused, resumed)
	if l := m.Ledger["ann/ann-mic"]; l["excluded"] < 500 || l["paused"] < 900 {
		t.Errorf("ann's ledger: %v", l)
	}
	if l := m.Ledger["bea/bea-mic"]; l["muted"] < 500 || l["paused"] < 900 {
		t.Errorf("bea's ledger: %v", l)
	}
}

// changed is when a capture was first changed, as its events.jsonl has it.
func (h *here) changed(id string) time.Duration {
	h.t.Helper()
	for line := range strings.Lines(string(h.ask("GET", "/v1/recordings/"+id+"/files/events.jsonl", nil).ok(200).body)) {
		var e struct {
			Type   string
			Sample int64
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			h.t.Fatalf("events.jsonl: %v: %s", err, line)
		}
		if e.Type == "capture.changed" {
			return pcm.Duration(e.Sample)
		}
	}
	h.t.Fatal("events.jsonl tells of no change")
	return 0
}

// changesAreHeard: in the mix ann fades from the first change on, bea is
// muted, and ann is excluded.
func changesAreHeard(t *testing.T, mix []pcm.Frame, changed time.Duration, faded, muted, unmuted, included act) {
	t.Helper()
	between := func(hz float64, from, to time.Duration) float64 {
		return pcmtest.Level(mix[from/pcm.FrameTime:to/pcm.FrameTime], hz)
	}
	const ms = time.Millisecond
	if !faded.brings(changed) {
		t.Errorf("the fade begins at %v, asked for from %v to %v", changed, faded.before, faded.after)
	}
	full := between(annHz, faded.before-500*ms, faded.before-50*ms)
	for after, want := range map[time.Duration]float64{500 * ms: -10, 1200 * ms: -20} {
		if got := between(annHz, changed+after-50*ms, changed+after+50*ms) - full; math.Abs(got-want) > 2.5 {
			t.Errorf("%v after the change ann is at %.1f dB, want %.0f", after, got, want)
		}
	}
	if got := between(beaHz, muted.after+150*ms, unmuted.before-50*ms); got > -60 {
		t.Errorf("bea is muted at %.1f dB", got)
	}
	if got := between(annHz, unmuted.after+150*ms, included.before-50*ms); got > -60 {
		t.Errorf("ann is excluded at %.1f dB", got)
	}
	if got := between(beaHz, unmuted.after+150*ms, included.before-50*ms); got < -30 {
		t.Errorf("bea is not muted any more, but at %.1f dB", got)
	}
}

// gapsAreOf: an output is there from when it was added until it was removed,
// and the others have a gap where the capture was paused.
func gapsAreOf(t *testing.T, m *storage.Manifest, added, removed, paused, resumed act) {
	t.Helper()
	var flac [2]time.Duration
	for _, s := range m.Segments {
		if s.Output == "mix-flac" {
			if flac[1] == 0 {
				flac[0] = pcm.Duration(s.StartSample)
			}
			flac[1] = pcm.Duration(s.StartSample + s.Samples)
		}
	}
	if !added.brings(flac[0]) {
		t.Errorf("the flac begins at %v, asked for from %v to %v", flac[0], added.before, added.after)
	}
	if !removed.brings(flac[1]) {
		t.Errorf("the flac ends at %v, to be ended from %v to %v", flac[1], removed.before, removed.after)
	}
	gaps := map[string]storage.Gap{}
	for _, g := range m.Gaps {
		gaps[g.Output] = g
	}
	for _, output := range []string{"mix-wav", "streams-ogg/ann/ann-mic", "streams-ogg/bea/bea-mic"} {
		g := gaps[output]
		from, to := pcm.Duration(g.StartSample), pcm.Duration(g.StartSample+g.Samples)
		if !paused.brings(from) || !resumed.brings(to) || !strings.Contains(g.Reason, "card number") {
			t.Errorf("%s: gap %v to %v, paused within %v and resumed within %v: %+v", output, from, to, paused, resumed, g)
		}
	}
}

// outputFrames is an output's frames from sample 0 on, silence where it has none.
func outputFrames(t testing.TB, dir string, m *storage.Manifest, output string) (frames []pcm.Frame) {
	t.Helper()
	for _, s := range m.Segments {
		if s.Output != output {
			continue
		}
		for int64(len(frames)) < s.StartSample/pcm.FrameSize {
			frames = append(frames, pcm.Frame{})
		}
		samples, err := encodertest.ReadFile(filepath.Join(dir, filepath.FromSlash(s.Path)))
		if err != nil {
			t.Fatal(err)
		}
		for ; len(samples) >= pcm.FrameSize; samples = samples[pcm.FrameSize:] {
			frames = append(frames, pcm.Frame(samples[:pcm.FrameSize]))
		}
	}
	return frames
}

// TestControlRefuses: what cannot be changed is named, and nothing changes.
func TestControlRefuses(t *testing.T) {
	t.Parallel()
	h := startHere(t)
	h.ask("PUT", "/v1/captures/c", spec("r")).ok(201)
	for _, bad := range []struct{ doc, names string }{
		{`{"room":{"roomID":"other"}}`, "room.roomID"},
		{`{"user":null}`, ""},
		{`{"mix":{"channels":1}}`, "mix.channels"},
		{`{"colour":"red"}`, "colour"},
		{`{"colour":null}`, "colour"},
		{`{"mix":{"gain":{"a":1}}}`, "gain"},
		{`{"mix":{"gains":{"a":99}}}`, "mix.gains.a"},
		{`{"record":[]}`, "record"},
		{`{"record":[{"what":"video"}]}`, "record[0].what"},
		{`{"record":[{"id":"mix-ogg","what":"mix","segmentSeconds":9}]}`, "record[0]"},
		{`{"limits":{"maxSeconds":"long"}}`, "maxSeconds"},
		{`[]`, "object"},
	} {
		if bad.names == "" {
			h.ask("PATCH", "/v1/captures/c", bad.doc).ok(200) // to its default, which it is
			continue
		}
		a := h.ask("PATCH", "/v1/captures/c", bad.doc).problem(422, "invalid_capture")
		if !strings.Contains(string(a.body), bad.names) {
			t.Errorf("%s is refused without naming %s: %s", bad.doc, bad.names, a.body)
		}
	}
	h.ask("PATCH", "/v1/captures/c", `{`).problem(400, "bad_request")
	h.ask("POST", "/v1/captures/c/pause", map[string]any{"mode": "loud"}).problem(422, "invalid_request")
	h.ask("POST", "/v1/captures/c/pause", map[string]any{"output": "video"}).problem(422, "invalid_capture")
	h.ask("POST", "/v1/captures/c/pause", map[string]any{"userID": "a", "streamID": "b"}).problem(422, "invalid_capture")
	h.ask("POST", "/v1/captures/c/pause", map[string]any{"colour": "red"}).problem(422, "invalid_request")
	st := decode[capture.Status](h.ask("GET", "/v1/captures/c", nil).ok(200))
	if len(st.Pauses) != 0 || len(st.Record) != 2 || st.State == capture.Paused {
		t.Errorf("refused changes changed something: %+v", st)
	}
	// The body that started it still means the same capture.
	h.ask("PATCH", "/v1/captures/c", `{"mix":{"gains":{"a":-6}}}`).ok(200)
	h.ask("PUT", "/v1/captures/c", spec("r")).ok(200)
}

// TestListeningOverWebSocket: PCM with positions, of the mix or a part of it.
func TestListeningOverWebSocket(t *testing.T) {
	t.Parallel()
	h := callOfTwo(t, spec("r"))
	h.ask("GET", "/v1/captures/c/live/ws", nil).problem(http.StatusUpgradeRequired, "upgrade_required")
	h.ask("GET", "/v1/captures/c/live/ws?format=mp3", nil).problem(422, "invalid_request")
	h.ask("GET", "/v1/captures/c/live/ws?stream=none", nil).problem(404, "stream_not_found")
	for _, test := range []struct {
		query    string
		ann, bea bool
	}{{"", true, true}, {"?stream=ann-mic&format=f32le", true, false}, {"?except=ann-mic&format=s16le", false, true}} {
		frames, positions := h.pcm(test.query, 60)
		for i := 1; i < len(positions); i++ {
			if positions[i] != positions[i-1]+pcm.FrameSize {
				t.Errorf("%s: position %d follows %d", test.query, positions[i], positions[i-1])
			}
		}
		sounds := func(hz float64) bool {
			n := 0
			for i := range frames[30:] {
				if pcmtest.FrameLevel(&frames[30+i], hz) > -25 {
					n++
				}
			}
			return n > 10
		}
		ann, bea := sounds(annHz), sounds(beaHz)
		if ann != test.ann || bea != test.bea {
			t.Errorf("%q: ann %v, bea %v", test.query, ann, bea)
		}
	}
}

// pcm reads n frames of /live/ws.
func (h *here) pcm(query string, n int) (frames []pcm.Frame, positions []int64) {
	h.t.Helper()
	return h.pcmUntil(query, func(read int) bool { return read >= n })
}

// pcmUntil reads /live/ws until it has read enough frames.
func (h *here) pcmUntil(query string, enough func(read int) bool) (frames []pcm.Frame, positions []int64) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(h.at.HTTP, "http")+"/v1/captures/c/live/ws"+query,
		&websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + h.key}}})
	if err != nil {
		h.t.Fatal(err)
	}
	defer ws.CloseNow()
	ws.SetReadLimit(1 << 16)
	var start struct {
		Type, Format            string
		Rate, Channels, Samples int
		Start                   time.Time
	}
	for !enough(len(frames)) {
		kind, b, err := ws.Read(ctx)
		if err != nil {
			h.t.Fatal(err)
		}
		if kind == websocket.MessageText {
			if err := json.Unmarshal(b, &start); err != nil || start.Type != "start" || start.Rate != 48000 || start.Channels != 2 || start.Samples != 960 {
				h.t.Fatalf("first message: %s, %v", b, err)
			}
			continue
		}
		size := map[string]int{"s16le": 2, "f32le": 4}[start.Format]
		if len(b) != 8+2*960*size {
			h.t.Fatalf("a frame of %d bytes in %s", len(b), start.Format)
		}
		pos := int64(binary.LittleEndian.Uint64(b))
		if len(positions) == 0 {
			if off := time.Since(start.Start.Add(pcm.Duration(pos))); off.Abs() > 2*time.Second {
				h.t.Errorf("the first frame is %v off", off)
			}
		}
		positions = append(positions, pos)
		var f pcm.Frame
		for i := range f {
			for ch := range 2 {
				at := b[8+(2*i+ch)*size:]
				if size == 2 {
					f[i][ch] = float32(int16(binary.LittleEndian.Uint16(at))) / math.MaxInt16
				} else {
					f[i][ch] = math.Float32frombits(binary.LittleEndian.Uint32(at))
				}
			}
		}
		frames = append(frames, f)
	}
	return frames, positions
}
