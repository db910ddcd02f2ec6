package capture_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"

	"mixdown/capture"
	"mixdown/encoder/opus"
	"mixdown/joiner"
	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
	"mixdown/storage"
	"mixdown/storage/crypt"
	"mixdown/storage/file"
)

// stage is a room system of which a test is the director: it decides who
// speaks, when the link is cut and what gets lost. Time is the bubble's.
type stage struct {
	mu      sync.Mutex
	cut     bool
	count   int // of logins
	rooms   map[joiner.Room]context.CancelCauseFunc
	players map[string]*player
	users   []joiner.User
}

// player is one stream on the stage.
type player struct {
	stream    joiner.Stream
	receivers map[joiner.Room]joiner.Receiver
	ssrc      uint32
}

func newStage() *stage {
	return &stage{rooms: map[joiner.Room]context.CancelCauseFunc{}, players: map[string]*player{}}
}

var errCut = errors.New("the link is cut")

// Connect implements joiner.System.
func (s *stage) Connect(ctx context.Context, _ joiner.Login, room joiner.Room, pubs *joiner.Publications) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.mu.Lock()
	if s.cut {
		s.mu.Unlock()
		return errCut
	}
	s.count++
	s.rooms[room] = cancel
	var there joiner.Present
	for _, u := range s.users {
		there.Users = append(there.Users, u.ID)
	}
	there.Streams = slices.Collect(maps.Keys(s.players))
	room.Event(there)
	for _, u := range s.users {
		room.Event(joiner.UserAdded{User: u})
	}
	for _, p := range s.players {
		p.receivers[room] = room.Stream(p.stream)
	}
	room.Event(joiner.StateChanged{State: joiner.Connected})
	s.mu.Unlock()
	s.follow(ctx, room, pubs)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.rooms, room)
	for _, p := range s.players {
		delete(p.receivers, room)
	}
	return context.Cause(ctx)
}

// follow offers again what was not played, when it is asked for.
func (s *stage) follow(ctx context.Context, room joiner.Room, pubs *joiner.Publications) {
	offers := pubs.Offers()
	for ctx.Err() == nil {
		changed := pubs.Changed()
		if n := pubs.Offers(); n != offers {
			offers = n
			s.mu.Lock()
			for _, p := range s.players {
				if p.receivers[room] == nil {
					p.receivers[room] = room.Stream(p.stream)
				}
			}
			s.mu.Unlock()
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
}

// logins is how many there have been.
func (s *stage) logins() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// link cuts the recorder's link or mends it.
func (s *stage) link(up bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut = !up
	if s.cut {
		for _, cancel := range s.rooms {
			cancel(errCut)
		}
	}
}

// enter brings a stream into the room, leave takes it out.
func (s *stage) enter(id, user string, ssrc uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := joiner.User{ID: user, Name: user}
	if !slices.Contains(s.users, u) {
		s.users = append(s.users, u)
		for room := range s.rooms {
			room.Event(joiner.UserAdded{User: u})
		}
	}
	p := &player{joiner.Stream{ID: id, User: u}, map[joiner.Room]joiner.Receiver{}, ssrc}
	s.players[id] = p
	for room := range s.rooms {
		p.receivers[room] = room.Stream(p.stream)
	}
}

// reconnect lets a publisher come back by a connection of its own: to those who
// are in the room it is the same stream with packets of another SSRC.
func (s *stage) reconnect(id string, ssrc uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.players[id].ssrc = ssrc
}

func (s *stage) leave(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.players, id)
	for room := range s.rooms {
		room.Event(joiner.StreamRemoved{StreamID: id, Reason: "left"})
	}
}

// send delivers one packet of a stream to whoever is there.
func (s *stage) send(id string, seq uint16, timestamp uint32, payload []byte) {
	s.sendAs(id, seq, timestamp, payload, 20)
}

// sendAs sends a packet that says how loud it is (RFC 6464).
func (s *stage) sendAs(id string, seq uint16, timestamp uint32, payload []byte, level uint8) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.players[id]
	if p == nil {
		return
	}
	pkt := &rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 111, SequenceNumber: seq, Timestamp: timestamp, SSRC: p.ssrc}, Payload: payload}
	for _, r := range p.receivers {
		if r != nil {
			r.Packet(pkt, level, time.Now())
		}
	}
}

// report delivers a sender report of a stream; its SSRC is filled in.
func (s *stage) report(id string, rep joiner.SenderReport) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.players[id]
	if p == nil {
		return
	}
	rep.SSRC = p.ssrc
	for _, r := range p.receivers {
		if r != nil {
			r.Report(rep, time.Now())
		}
	}
}

// voice is a publisher of a tone: its packets are made once and repeated, so
// that hours cost nothing. The tone has a whole number of periods in them.
type voice struct {
	id      string
	hz      float64
	packets [][]byte
	seq     uint16
	ts      uint32
}

func newVoice(t testing.TB, id string, hz float64) *voice {
	t.Helper()
	enc, err := opus.NewEncoder(opus.EncoderConfig{Channels: 1, Bitrate: 64000, Complexity: 5})
	if err != nil {
		t.Fatal(err)
	}
	v := &voice{id: id, hz: hz, seq: 65500, ts: 4294900000}
	tone := pcmtest.Tone(hz, 0.25)
	var f pcm.Frame
	for range 100 {
		var buf [1500]byte
		if err := tone.ReadFrame(&f); err != nil {
			t.Fatal(err)
		}
		n, err := enc.Encode(&f, buf[:])
		if err != nil {
			t.Fatal(err)
		}
		v.packets = append(v.packets, slices.Clone(buf[:n]))
	}
	v.packets = v.packets[50:] // the encoder has settled
	return v
}

// speak sends the voice in real time for d. The packets of one second repeat.
func (v *voice) speak(s *stage, d time.Duration) {
	for range d / pcm.FrameTime {
		s.send(v.id, v.seq, v.ts, v.packets[int(v.seq)%len(v.packets)])
		v.seq++
		v.ts += pcm.FrameSize
		time.Sleep(pcm.FrameTime)
	}
}

// pause lets time pass without packets, as a muted microphone with DTX does.
func (v *voice) pause(d time.Duration) {
	v.ts += uint32(pcm.Samples(d))
	time.Sleep(d)
}

// house is a daemon without HTTP: spool, uploader, local storage, captures.
type house struct {
	t        testing.TB
	data     string
	captures *capture.Manager
	local    *file.Bucket
	who      *customer // whose recordings it has, if they are encrypted
	spare    int       // steps of an overview that may be shown otherwise than they are heard
	stop     func()
}

// open starts a house over a data folder, with rooms of one system.
func open(t testing.TB, data string, system joiner.System, change ...func(*capture.Config)) *house {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	local, err := file.Open(filepath.Join(data, "recordings"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := storage.LoadOrCreateKey(filepath.Join(data, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, data: data, local: local}
	config := capture.Config{
		Dir: filepath.Join(data, "captures"), Storages: []string{capture.LocalStorage},
		Systems: map[string]joiner.System{"mixdown": system}, URL: func(capture.RoomSpec) (string, error) { return "ws://stage/ws", nil },
		Token: func(string, joiner.Login) (string, error) { return "", nil }, Key: key, Log: log,
		Encryption: capture.Encryption{Host: crypt.NewHost(filepath.Join(data, "host.key"))},
	}
	for _, f := range change {
		f(&config)
	}
	spool, err := storage.OpenSpoolWith(filepath.Join(data, "spool"), log, config.Fault)
	if err != nil {
		t.Fatal(err)
	}
	up := storage.NewUploader(spool, map[string]storage.Bucket{capture.LocalStorage: local}, storage.Options{Log: log})
	config.Spool, config.Local = spool, up.Drain
	h.captures, err = capture.NewManager(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	upCtx, stopUp := context.WithCancel(context.Background())
	var running, uploading sync.WaitGroup
	running.Go(func() { _ = h.captures.Run(ctx) })
	uploading.Go(func() { _ = up.Run(upCtx) })
	h.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		if err := up.Drain(context.Background(), ""); err != nil {
			t.Error(err)
		}
		stopUp()
		uploading.Wait()
		if err := errors.Join(spool.Close(), local.Close()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(h.stop)
	return h
}

// image is a data folder as a kill would leave this one now.
func (h *house) image() string {
	h.t.Helper()
	image := h.t.TempDir()
	if err := os.CopyFS(image, os.DirFS(h.data)); err != nil {
		h.t.Fatal(err)
	}
	return image
}

// kill is image; what the house writes from here on nobody will see.
func (h *house) kill() (data string) {
	h.t.Helper()
	data = h.image()
	h.stop()
	return data
}

// start starts a capture of mix and streams in segments of ten seconds.
func (h *house) start(id string, change ...func(*capture.Spec)) *capture.Capture {
	h.t.Helper()
	spec := capture.Spec{
		Room: capture.RoomSpec{RoomID: "r"},
		Record: []capture.RecordSpec{
			{What: "mix", Format: "wav", SegmentSeconds: 10},
			{What: "streams", Format: "ogg", SegmentSeconds: 10},
		},
	}
	for _, f := range change {
		f(&spec)
	}
	c, created, err := h.captures.Start(id, spec)
	if err != nil || !created {
		h.t.Fatalf("start %s: created %v, %v", id, created, err)
	}
	return c
}

// recording reads a recording's manifest after verifying it.
func (h *house) recording(id string) *storage.Manifest {
	h.t.Helper()
	h.verify(id, nil)
	raw, err := os.ReadFile(filepath.Join(h.data, "recordings", "r", id, storage.ManifestName))
	if err != nil {
		h.t.Fatal(err)
	}
	m, err := storage.DecodeManifest(raw)
	if err != nil {
		h.t.Fatal(err)
	}
	return m
}
