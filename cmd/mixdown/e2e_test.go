package main

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mixdown/capture"
	"mixdown/configs"
	"mixdown/encoder/encodertest"
	"mixdown/mixer/pcm"
	"mixdown/rooms"
	"mixdown/storage"
	"mixdown/storage/storagetest"
	"mixdown/web/webtest"
)

// The tones of the end-to-end test lie above what voices are compared by.
const (
	annHz     = 3000.0
	annSilent = 6 * time.Second // after they joined
	annSounds = 7 * time.Second
	beaHz     = 4200.0
	beaSilent = 3 * time.Second // and then a tone until they leave
)

// meeting is the end-to-end test: two browsers with voices, two people with
// tones, one capture into two storages and back into the room.
type meeting struct {
	*here
	s3        storagetest.S3
	pages     map[string]context.Context
	voices    map[string][][2]float32
	ann, bea  *person
	asked     [2]time.Time // around the start
	stopped   [2]time.Time // around the stop
	status    capture.Status
	manifest  storage.Manifest
	dir       string
	tracks    map[string][][2]float32 // decoded outputs by id
	trackZero map[string]time.Time    // of their first samples
}

// TestEndToEnd is the main job, with real browsers, real speech and a real S3
// server: everybody is heard, kept, proved and at their time.
func TestEndToEnd(t *testing.T) { // alone: two browsers are enough for a machine
	m := newMeeting(t)
	m.talk()
	m.hold()
	m.read()
	t.Run("Manifest", m.inTest((*meeting).checkManifest))
	t.Run("Tones", m.inTest((*meeting).checkTones))
	t.Run("Voices", m.inTest((*meeting).checkVoices))
	t.Run("Durations", m.inTest((*meeting).checkDurations))
	t.Run("Storages", m.inTest((*meeting).checkStorages))
	t.Run("Tools", m.inTest((*meeting).checkTools))
}

// inTest lets a subtest fail by itself.
func (m *meeting) inTest(f func(*meeting)) func(*testing.T) {
	return func(t *testing.T) {
		own, bed := *m, *m.here
		own.here = &bed
		bed.t = t
		f(&own)
	}
}

func newMeeting(t *testing.T) *meeting {
	m := &meeting{pages: map[string]context.Context{}, voices: map[string][][2]float32{}}
	edit, server := withBucket(t)
	m.s3 = server
	m.here = startHere(t, edit, func(c *configs.Config) { c.Log.Level = "info" })
	for _, name := range []string{"alice", "bob"} {
		m.voices[name] = spoken(t, name)
		page := webtest.Browser(t, webtest.Microphone(t, microphone(m.voices[name])))
		fragment := url.Values{
			"room": {"standup"}, "user": {name}, "stream": {name + "-mic"}, "microphone": {"raw"},
			"appID": {strconv.Itoa(int(m.rooms.AppID()))}, "token": {m.mint("standup", name)},
		}
		webtest.Open(t, page, m.at.HTTP+"/call#"+fragment.Encode())
		webtest.Do(t, page, `document.getElementById('join').click()`)
		m.pages[name] = page
	}
	m.live("alice-mic", "bob-mic")
	return m
}

// live waits until the room has these streams.
func (m *meeting) live(ids ...string) {
	m.t.Helper()
	eventually(m.t, fmt.Sprintf("%s are live", ids), 30*time.Second, func() bool {
		r, _ := m.rooms.Room("standup")
		return !slices.ContainsFunc(ids, func(id string) bool {
			return !slices.ContainsFunc(r.Streams, func(s rooms.Stream) bool { return s.ID == id && s.Live })
		})
	})
}

// talk starts the capture, brings in the tones and looks at what the people
// in the room see and hear of it.
func (m *meeting) talk() {
	t := m.t
	record := []capture.RecordSpec{}
	for _, what := range []string{"mix", "streams"} {
		for _, where := range []string{"local", "archive"} {
			record = append(record, capture.RecordSpec{What: what, SegmentSeconds: 5, Storage: where})
		}
	}
	spec := capture.Spec{
		Room: capture.RoomSpec{RoomID: "standup"}, Record: record,
		Republish: []capture.RepublishSpec{{StreamID: "standup-mix"}}, Labels: map[string]string{"case": "A-17"},
	}
	m.asked[0] = time.Now()
	m.status = call[capture.Status](t, m.client, http.MethodPut, "/v1/captures/call", spec)
	m.asked[1] = time.Now()
	m.ann = m.join("standup", "ann", burst(t, annHz, annSilent, annSounds, time.Minute))
	m.bea = m.join("standup", "bea", burst(t, beaHz, beaSilent, time.Minute, time.Minute))
	m.live("alice-mic", "bob-mic", "ann-mic", "bea-mic", "standup-mix")
	webtest.Await(t, m.pages["alice"], `document.getElementById('recording').checkVisibility() && document.getElementById('recording').textContent.includes('being recorded')`,
		`document.getElementById('recording').textContent`)
	r, _ := m.rooms.Room("standup")
	if len(r.Users) != 4 || r.Online != 4 || r.Recording != rooms.Recording {
		t.Errorf("the room counts %d users, %v, recording %q", r.Online, r.Users, r.Recording)
	}
	webtest.Await(t, m.pages["bob"], `document.getElementById('count').textContent === '4 people'`, `document.getElementById('count').textContent`)
	list := webtest.Eval[string](t, m.pages["bob"], `document.getElementById('people').textContent`)
	if strings.Contains(strings.ToLower(list), "recorder") || !strings.Contains(list, "alice") || !strings.Contains(list, "bea") {
		t.Errorf("bob's page lists %q", list)
	}
	webtest.Do(t, m.pages["bob"], fmt.Sprintf(`(async () => {
		await new Promise((resolve, reject) => {
			document.head.append(Object.assign(document.createElement('script'), {src: '/client.js', onload: resolve, onerror: reject}));
		});
		window.listener = new ZegoExpressEngine(%d, location.origin);
		await listener.loginRoom('standup', %q, {userID: 'listener', userName: ''});
		await listener.getPlayerInstance('standup-mix').play();
	})()`, m.rooms.AppID(), m.mint("standup", "listener")))
	webtest.Await(t, m.pages["bob"], `document.querySelector('audio[data-stream-id="standup-mix"]')`, "")
	m.hears("bob", "standup-mix", beaHz)
	webtest.Do(t, m.pages["bob"], `listener.destroyEngine()`)
}

// hears waits until the page plays a tone in a stream.
func (m *meeting) hears(page, stream string, hz float64) {
	m.t.Helper()
	var got, level float64
	for range 20 {
		got, level = webtest.Pitch(m.t, m.pages[page], fmt.Sprintf(`document.querySelector('audio[data-stream-id=%q]').srcObject`, stream))
		if math.Abs(got-hz) < 12 && level > -30 {
			return
		}
	}
	m.t.Errorf("%s hears %.0f Hz at %.0f dB in %s, want %.0f Hz", page, got, level, stream, hz)
}

// hold lets the meeting last 20 s, and bea leave before its end.
func (m *meeting) hold() {
	t := m.t
	<-time.After(time.Until(m.asked[1].Add(16 * time.Second)))
	m.bea.leave()
	<-time.After(time.Until(m.asked[1].Add(20 * time.Second)))
	if st := call[capture.Status](t, m.client, http.MethodGet, "/v1/captures/call", nil); st.State != capture.Recording || len(st.Streams) != 4 {
		t.Errorf("before the stop: %s %s with %d streams", st.State, st.Trouble, len(st.Streams))
	}
	m.stopped[0] = time.Now()
	m.status = call[capture.Status](t, m.client, http.MethodPost, "/v1/captures/call/stop", nil)
	m.stopped[1] = time.Now()
	m.ann.leave()
	eventually(t, "everything is in the bucket", 30*time.Second, func() bool {
		files, _ := m.spool.Pending("archive", "")
		return files == 0
	})
}

// read decodes what is there.
func (m *meeting) read() {
	m.dir = filepath.Join(m.config.Data, "recordings", "standup", "call")
	m.manifest, m.tracks, m.trackZero = m.readRecording("call", m.dir)
}

// readRecording decodes every output of a recording in the local storage, and
// says when its first sample was.
func (h *here) readRecording(id, dir string) (m storage.Manifest, tracks map[string][][2]float32, zero map[string]time.Time) {
	h.t.Helper()
	m = call[storage.Manifest](h.t, h.client, http.MethodGet, "/v1/recordings/"+id, nil)
	tracks, zero = map[string][][2]float32{}, map[string]time.Time{}
	for _, s := range m.Segments {
		part, err := encodertest.ReadFile(filepath.Join(dir, filepath.FromSlash(s.Path)))
		if err != nil {
			h.t.Fatal(err)
		}
		if int64(len(part)) != s.Samples {
			h.t.Errorf("%s has %d samples, the manifest says %d", s.Path, len(part), s.Samples)
		}
		if tracks[s.Output] == nil {
			zero[s.Output] = m.Start.Add(pcm.Duration(s.StartSample))
		}
		tracks[s.Output] = append(tracks[s.Output], part...)
	}
	return m, tracks, zero
}

func ownOf(user string) string { return "streams-ogg/" + user + "/" + user + "-mic" }
