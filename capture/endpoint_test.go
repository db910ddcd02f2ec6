package capture_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtp"

	"mixdown/capture"
	"mixdown/joiner"
)

// relays is a joiner.Pusher: what goes to "dead" never arrives, what goes to
// "late" does after three seconds.
type relays struct {
	mu     sync.Mutex
	pushes []joiner.Endpoint
	ended  int
	times  map[string][]uint32 // RTP times by address
}

func (r *relays) Push(ctx context.Context, to joiner.Endpoint, pub *joiner.Publication) {
	r.mu.Lock()
	r.pushes = append(r.pushes, to)
	r.mu.Unlock()
	if strings.Contains(to.URL, "dead") {
		pub.Detach(errors.New("dead.test not reached"))
		<-ctx.Done()
		time.Sleep(2 * time.Second) // as long as it may take
	} else {
		if strings.Contains(to.URL, "late") {
			pub.Detach(errors.New("late.test not reached"))
			time.Sleep(3 * time.Second)
		}
		pub.Attach(relayed{r, to.URL})
		<-ctx.Done()
	}
	pub.Detach(nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended++
}

type relayed struct {
	r   *relays
	url string
}

func (w relayed) WriteRTP(p *rtp.Packet, _ uint8) error {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	w.r.times[w.url] = append(w.r.times[w.url], p.Timestamp)
	return nil
}

func (r *relays) count() (pushes, ended int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.pushes), r.ended
}

func (r *relays) pushed(to joiner.Endpoint) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.pushes, to)
}

// TestPushTargets: targets outside of the room come and go while a capture
// runs; one that is dead is told and delays nothing; no token is shown.
func TestPushTargets(t *testing.T) {
	const canary = "whip-canary-90c2"
	v := newVoice(t, "a-mic", 400)
	synctest.Test(t, func(t *testing.T) {
		s, r := newStage(), &relays{times: map[string][]uint32{}}
		told := &noted{}
		h := open(t, t.TempDir(), s, func(c *capture.Config) { c.Push, c.Events = r, told })
		c := h.start("c1", func(s *capture.Spec) {
			s.Republish = []capture.RepublishSpec{{WHIP: "https://alive.test/whip", Token: canary}}
		})
		s.enter("a-mic", "ann", 1)
		v.speak(s, 5*time.Second)
		if got := c.Status().Live.Republished; len(got) != 1 || got[0].StreamID != "whip" || !got[0].Published || got[0].Sent < 220 {
			t.Errorf("live %+v", got)
		}
		patch := func(republish string) {
			t.Helper()
			if err := c.Patch([]byte(`{"republish":`+republish+`}`), "op"); err != nil {
				t.Error(err)
			}
		}
		shown, err := json.Marshal(c.Status().Republish)
		if err != nil {
			t.Fatal(err)
		}
		patch(strings.TrimSuffix(string(shown), "]") + `,{"whip":"https://dead.test/whip","token":"` + canary + `"},{"streamID":"room-mix"}]`)
		v.speak(s, 5*time.Second)
		got := c.Status().Live.Republished
		if len(got) != 3 || got[0].Sent < 470 || got[0].Dropped > 5 || got[1].StreamID != "whip-2" || got[1].Published || got[1].Error == "" || got[1].Dropped < 220 {
			t.Errorf("live %+v", got)
		}
		if n, _ := r.count(); n != 2 || !r.pushed(joiner.Endpoint{StreamID: "whip-2", URL: "https://dead.test/whip", Token: canary}) {
			t.Errorf("pushed %+v", r.pushes)
		}
		for _, output := range []string{"whip-2", "whip"} {
			if err := c.Pause(capture.PauseRequest{Scope: capture.Scope{Output: output}}, "op"); err != nil {
				t.Error(err)
			}
		}
		patch(`[{"whip":"https://dead.test/whip","token":"***"},{"streamID":"late","whip":"https://late.test/whip"}]`)
		v.speak(s, 5*time.Second)
		if n, ended := r.count(); n != 4 || ended != 2 || !r.pushed(joiner.Endpoint{StreamID: "whip", URL: "https://dead.test/whip", Token: canary}) {
			t.Errorf("pushed %+v, %d ended", r.pushes, ended)
		}
		r.mu.Lock()
		times := slices.Clone(r.times["https://alive.test/whip"])
		r.mu.Unlock()
		for i, ts := range times {
			if ts-times[0] != uint32(i*960) {
				t.Fatalf("packet %d has RTP time +%d", i, ts-times[0])
			}
		}
		_, lost := told.when("republish.lost")
		if _, restored := told.when("republish.restored"); lost != 3 || restored != 1 { // the dead one twice: it changed its name
			t.Errorf("told of %d losses and %d returns", lost, restored)
		}
		start := time.Now()
		if err := c.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		h.recording("c1")
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("the end took %v", took)
		}
		status, err := json.Marshal(c.Status())
		if err != nil || bytes.Contains(status, []byte(canary)) {
			t.Errorf("status %s, %v", status, err)
		}
		err = filepath.WalkDir(filepath.Join(h.data, "recordings"), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			if bytes.Contains(b, []byte(canary)) {
				t.Errorf("the token is in %s", path)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// TestEndpointSpecs: what a spec may say of rooms that are addresses and of
// targets outside, and what is said against the rest.
func TestEndpointSpecs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		guarded := func(c *capture.Config) {
			c.Push = &relays{}
			c.Systems["whep"] = newStage()
			c.CheckURL = func(url string) error {
				if strings.Contains(url, "10.0.0.1") {
					return errors.New("10.0.0.1: address is not public")
				}
				return nil
			}
		}
		h := open(t, t.TempDir(), newStage(), guarded)
		stream := func(id, url string) capture.StreamSpec { return capture.StreamSpec{StreamID: id, URL: url} }
		whep := func(streams ...capture.StreamSpec) capture.RoomSpec {
			return capture.RoomSpec{System: "whep", RoomID: "r", Streams: streams}
		}
		cam := whep(stream("cam", "https://a.test/whep"))
		target := func(r ...capture.RepublishSpec) []capture.RepublishSpec { return r }
		for name, c := range map[string]struct {
			room      capture.RoomSpec
			republish []capture.RepublishSpec
			wrong     string // the fields, in order
		}{
			"one stream":        {room: cam},
			"mix to elsewhere":  {room: cam, republish: target(capture.RepublishSpec{WHIP: "https://a.test/whip"})},
			"no streams":        {room: whep(), wrong: "room.streams"},
			"twice":             {room: whep(stream("a", "https://a.test"), stream("a", "https://b.test")), wrong: "room.streams[1].streamID"},
			"bad id":            {room: whep(stream("a b", "https://a.test")), wrong: "room.streams[0].streamID"},
			"private":           {room: whep(stream("a", "https://10.0.0.1/whep")), wrong: "room.streams[0].url"},
			"one URL":           {room: capture.RoomSpec{System: "whep", RoomID: "r", URL: "https://a.test", Streams: cam.Streams}, wrong: "room.url"},
			"streams elsewhere": {room: capture.RoomSpec{RoomID: "r", Streams: cam.Streams}, wrong: "room.streams"},
			"mix to nowhere":    {room: cam, republish: target(capture.RepublishSpec{StreamID: "mix"}), wrong: "republish[0].whip"},
			"private target":    {room: cam, republish: target(capture.RepublishSpec{WHIP: "https://10.0.0.1/whip"}), wrong: "republish[0].whip"},
			"token of nobody":   {room: capture.RoomSpec{RoomID: "r"}, republish: target(capture.RepublishSpec{StreamID: "mix", Token: "x"}), wrong: "republish[0].token"},
			"no name":           {room: capture.RoomSpec{RoomID: "r"}, republish: target(capture.RepublishSpec{}), wrong: "republish[0].streamID"},
			"same name": {room: cam, republish: target(capture.RepublishSpec{StreamID: "x", WHIP: "https://a.test"}, capture.RepublishSpec{StreamID: "x", WHIP: "https://b.test"}),
				wrong: "republish[1].streamID"},
		} {
			err := h.captures.Check(capture.Spec{Room: c.room, Republish: c.republish, Record: []capture.RecordSpec{{What: "mix"}}})
			var fields []string
			if bad := (*capture.SpecError)(nil); errors.As(err, &bad) {
				for _, p := range bad.Problems {
					fields = append(fields, p.Field)
				}
			}
			if strings.Join(fields, " ") != c.wrong {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// TestRedacted: no token of a spec is shown, and showing one takes none away.
func TestRedacted(t *testing.T) {
	spec := capture.Spec{
		Room:      capture.RoomSpec{Token: "a", Streams: []capture.StreamSpec{{StreamID: "s", Token: "b"}, {StreamID: "open"}}},
		Republish: []capture.RepublishSpec{{WHIP: "https://a.test", Token: "c"}, {StreamID: "mix"}},
	}
	r := spec.Redacted()
	if r.Room.Token != "***" || r.Room.Streams[0].Token != "***" || r.Room.Streams[1].Token != "" || r.Republish[0].Token != "***" || r.Republish[1].Token != "" {
		t.Errorf("shown as %+v", r)
	}
	if spec.Room.Token != "a" || spec.Room.Streams[0].Token != "b" || spec.Republish[0].Token != "c" {
		t.Errorf("the spec became %+v", spec)
	}
}
