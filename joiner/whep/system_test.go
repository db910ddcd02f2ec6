package whep_test

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/joiner"
	"mixdown/joiner/joinertest"
	"mixdown/joiner/whep"
)

// door is an HTTP transport that a test stands in: it sees every request, and
// answers itself what answer does not leave to the rooms.
type door struct {
	inner  http.RoundTripper
	answer func(r *http.Request) (*http.Response, error) // nil, nil: the rooms do

	mu       sync.Mutex
	requests []*http.Request
}

func (d *door) RoundTrip(r *http.Request) (*http.Response, error) {
	d.mu.Lock()
	d.requests = append(d.requests, r)
	d.mu.Unlock()
	if d.answer != nil {
		if response, err := d.answer(r); response != nil || err != nil {
			return response, err
		}
	}
	return d.inner.RoundTrip(r)
}

// asked lists the requests of a method, as "host/path".
func (d *door) asked(method string) (all []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.requests {
		if r.Method == method {
			all = append(all, r.URL.Host+r.URL.Path)
		}
	}
	return all
}

func says(r *http.Request, status int, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Request: r, Body: io.NopCloser(strings.NewReader("because"))}
}

// through is a bed whose recorder's requests pass a door.
func through(t *testing.T, answer func(r *http.Request) (*http.Response, error)) (*bed, *door) {
	b := newBed(t)
	d := &door{inner: b.host.HTTP.Transport, answer: answer}
	b.system = whep.New(whep.Config{Listen: b.host.Listen, Net: b.Net(), Transport: d, Log: b.Log})
	return b, d
}

func (b *bed) join(l joiner.Login) *joinertest.Recorder {
	return joinertest.Join(b.t, b.system, l, joinertest.NewEar(), b.Log)
}

// TestServerRestart: the room service is stopped and comes back with nothing
// remembered; the recorder is there again when the speaker is.
func TestServerRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		r := b.join(b.login("ann"))
		r.Connected(t, time.Second)
		ann := b.Bed.Speaker("standup", "ann")
		ann.Say(3 * time.Second)
		b.Stop()
		ann.Say(20 * time.Second)
		if s, err := r.State(); s != joiner.Connecting || err == nil {
			t.Errorf("without a server: %s, %v", s, err)
		}
		b.Start()
		back := time.Now()
		ann.Say(15 * time.Second)
		packets, _ := r.Of("ann-voice").Received()
		i := slices.IndexFunc(packets, func(p joinertest.Packet) bool { return p.At.After(back) })
		if i < 0 || packets[i].At.Sub(back) > 8*time.Second { // the speaker must be back first
			t.Fatalf("not heard again: %d packets", len(packets))
		}
		t.Logf("heard again after %v", packets[i].At.Sub(back))
		if got, want := r.Take(), []string{"CONNECTING", "CONNECTED", "+ ann-voice", "stream ann-voice"}; !slices.Equal(got[:4], want) {
			t.Errorf("told %q", got)
		}
	})
}

// TestOneServerAway: a server that is away takes its own stream only, and after
// a while; its return brings it back.
func TestOneServerAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		b, _ := through(t, func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "other.test" && away.Load() {
				return nil, errors.New("connection refused")
			}
			return nil, nil
		})
		l := b.login("ann", "bob")
		l.Streams[1].URL = strings.Replace(l.Streams[1].URL, "room.test", "other.test", 1)
		r := b.join(l)
		r.Connected(t, time.Second)
		ann, bob := b.Bed.Speaker("standup", "ann"), b.Bed.Speaker("standup", "bob")
		ann.Say(2 * time.Second)
		bob.Say(time.Second)
		r.Take()
		away.Store(true)
		from := ann.Frames() + 60
		if err := b.Service().RemoveStream("standup", "bob-voice"); err != nil {
			t.Fatal(err)
		}
		ann.Say(5 * time.Second)
		if lines := r.Take(); len(lines) != 0 {
			t.Errorf("after 5 s told %q", lines)
		}
		ann.Say(15 * time.Second)
		lines := r.Take()
		if len(lines) != 2 || !strings.HasPrefix(lines[0], "end bob-voice: other.test not reached") || lines[1] != "- bob-voice" {
			t.Errorf("told %q", lines)
		}
		if missing := r.Of("ann-voice").Missing(from, ann.Frames()-5); len(missing) > 0 {
			t.Errorf("ann misses %v", missing)
		}
		bob.Leave()
		away.Store(false)
		b.Bed.Speaker("standup", "bob")
		joinertest.Within(t, 8*time.Second, "bob is back", func() bool { return r.Told("stream bob-voice") })
		if s, _ := r.State(); s != joiner.Connected {
			t.Errorf("state %s", s)
		}
	})
}

// TestDeclined: what the room does not want is not played, and played when it
// wants it after all.
func TestDeclined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, d := through(t, nil)
		ann := b.Bed.Speaker("standup", "ann")
		ear := joinertest.NewEar()
		ear.Refuse = true
		r := joinertest.Join(t, b.system, b.login("ann"), ear, b.Log)
		r.Connected(t, time.Second)
		ann.Say(10 * time.Second)
		if n := len(d.asked(http.MethodPost)); n != 1 {
			t.Errorf("asked %d times", n)
		}
		if n := len(d.asked(http.MethodDelete)); n != 1 {
			t.Errorf("deleted %d times", n)
		}
		ear.Refuse = false
		r.Pubs.OfferAgain()
		ann.Say(2 * time.Second)
		if n := len(r.Of("ann-voice").Numbers()); n < 80 {
			t.Errorf("heard %d packets", n)
		}
	})
}

// TestSessionForgotten: a server that forgets a session without a word is
// found out by asking, one that is only silent is not disturbed.
func TestSessionForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var forgotten atomic.Bool
		b, d := through(t, func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodHead && forgotten.Load() {
				return says(r, http.StatusNotFound), nil
			}
			return nil, nil
		})
		ann := b.Bed.Speaker("standup", "ann")
		r := b.join(b.login("ann"))
		r.Connected(t, time.Second)
		ann.Say(2 * time.Second)
		time.Sleep(time.Minute) // a long silence
		if n := len(d.asked(http.MethodPost)); n != 1 {
			t.Errorf("%d sessions over a silence", n)
		}
		forgotten.Store(true)
		time.Sleep(12 * time.Second)
		if n := len(d.asked(http.MethodPost)); n != 2 {
			t.Errorf("%d sessions after one was forgotten", n)
		}
		ann.Say(time.Second)
		if missing := r.Of("ann-voice").Missing(ann.Frames()-40, ann.Frames()-5); len(missing) > 0 {
			t.Errorf("missing %v", missing)
		}
		if lines := r.Take(); slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "end") }) {
			t.Errorf("told %q", lines)
		}
	})
}

// TestPush: what is pushed to our own rooms is heard there under its RTP time;
// a server that restarts gets it again, its time gone on; the end is told.
func TestPush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		listener := b.Host()
		r := joinertest.Join(t, listener.System, b.Login("standup", "listener", false), joinertest.NewEar(), b.Log)
		token, err := b.Token("standup", "desk", false)
		if err != nil {
			t.Fatal(err)
		}
		pub, stop := push(t, b.system, joiner.Endpoint{StreamID: "desk", URL: "http://room.test/whip/standup/desk", Token: token})
		time.Sleep(5 * time.Second)
		before, _ := r.Of("desk").Received()
		if len(before) < 200 || !pub.Stats().Published {
			t.Fatalf("%d packets, %+v", len(before), pub.Stats())
		}
		b.Stop()
		time.Sleep(20 * time.Second)
		if s := pub.Stats(); s.Published || s.Err == nil {
			t.Errorf("without a server: %+v", s)
		}
		b.Start()
		time.Sleep(20 * time.Second)
		after, _ := r.Of("desk").Received()
		if s := pub.Stats(); !s.Published || s.Err != nil || len(after) < len(before)+100 {
			t.Fatalf("%d packets, then %d, %+v", len(before), len(after), s)
		}
		a, z := after[len(before)+50], after[len(after)-1]
		if z.Timestamp-a.Timestamp != uint32((z.Number-a.Number)*joinertest.FrameSamples) {
			t.Errorf("%d packets are %d in RTP time", z.Number-a.Number, z.Timestamp-a.Timestamp)
		}
		r.Take()
		stop()
		joinertest.Within(t, 2*time.Second, "the end is told", func() bool { return r.Told("- desk") })
		if s := pub.Stats(); s.Published || s.Err != nil {
			t.Errorf("in the end %+v", s)
		}
	})
}

// TestPushLinkCut: a line that was cut for longer than a session lasts is not
// held against the publisher by a server that has not noticed.
func TestPushLinkCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		token, err := b.Token("standup", "desk", false)
		if err != nil {
			t.Fatal(err)
		}
		pub, _ := push(t, b.system, joiner.Endpoint{StreamID: "desk", URL: "http://room.test/whip/standup/desk", Token: token})
		time.Sleep(5 * time.Second)
		b.host.Link.Cut(true)
		time.Sleep(12 * time.Second)
		if pub.Stats().Published {
			t.Error("published over a line that is cut")
		}
		b.host.Link.Cut(false)
		back := joinertest.Within(t, 20*time.Second, "published again", func() bool { return pub.Stats().Published })
		t.Logf("published again after %v", back)
	})
}

// TestPushToNowhere: who pushes to a server that is not there waits for
// nothing, tries for ever and ends at once.
func TestPushToNowhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, d := through(t, func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done() // a dead line
			return nil, r.Context().Err()
		})
		pub, stop := push(t, b.system, joiner.Endpoint{StreamID: "desk", URL: "http://dead.test/whip"})
		time.Sleep(10 * time.Minute)
		if n := len(d.asked(http.MethodPost)); n < 25 || n > 60 {
			t.Errorf("asked %d times in 10 minutes", n)
		}
		if s := pub.Stats(); s.Dropped < 29_000 || s.Sent != 0 || s.Err == nil {
			t.Errorf("%+v", s)
		}
		start := time.Now()
		stop()
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("the end took %v", took)
		}
	})
}

// TestLink: a cut of the recorder's line that is short loses nothing.
func TestLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		r := b.join(b.login("ann"))
		r.Connected(t, time.Second)
		ann := b.Bed.Speaker("standup", "ann")
		ann.Say(3 * time.Second)
		b.host.Link.Cut(true)
		ann.Say(2 * time.Second)
		b.host.Link.Cut(false)
		ann.Say(time.Second)
		b.host.Link.Lose(0.3, 1)
		ann.Say(20 * time.Second)
		b.host.Link.Lose(0, 0)
		ann.Say(time.Second)
		time.Sleep(3 * time.Second)
		if missing := r.Of("ann-voice").Missing(40, ann.Frames()); len(missing) > 0 {
			t.Errorf("missing %v", missing)
		}
	})
}
