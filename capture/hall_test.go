package capture_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"mixdown/capture"
	"mixdown/encoder/ogg"
	"mixdown/joiner"
	"mixdown/mixer/pcm"
	"mixdown/rooms/roomstest"
	"mixdown/storage"
)

// TestMain lets the captures write to memory if there is such a file system:
// every record is synced, which is what these tests would spend their time on.
func TestMain(m *testing.M) {
	const memory = "/dev/shm"
	if info, err := os.Stat(memory); err == nil && info.IsDir() && os.Getenv("TMPDIR") == "" {
		if f, err := os.CreateTemp(memory, "capture"); err == nil {
			f.Close()
			os.Remove(f.Name())
			os.Setenv("TMPDIR", memory)
		}
	}
	os.Exit(m.Run())
}

// hall is a house next to a real room service: what its captures hear has
// passed WebSocket, ICE, SRTP and the SFU.
type hall struct {
	*house
	bed      *roomstest.Bed
	recorder *roomstest.Host // on which all captures run
}

func openHall(t testing.TB, change ...func(*capture.Config)) *hall {
	t.Helper()
	bed := roomstest.New(t)
	recorder := bed.Host()
	change = append([]func(*capture.Config){func(c *capture.Config) {
		c.URL = func(capture.RoomSpec) (string, error) { return bed.URL(), nil }
		c.Token = func(_ string, l joiner.Login) (string, error) { return bed.Token(l.RoomID, l.UserID, l.Hidden) }
	}}, change...)
	return &hall{open(t, t.TempDir(), recorder.System, change...), bed, recorder}
}

// unraced is how long something lasts, and how long under the race detector.
func unraced(long, short time.Duration) time.Duration {
	if raced {
		return short
	}
	return long
}

// end stops a capture and returns its verified recording.
func (h *hall) end(c *capture.Capture, id string) *storage.Manifest {
	h.t.Helper()
	if err := c.Stop(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	return h.recording(id)
}

// talker is a speaker of the room service whose packets sound and carry their
// numbers.
type talker struct {
	*roomstest.Speaker
	begin time.Time // of its clock
	base  int64     // number of its first packet
}

func (h *hall) talker(user, streamID string, v *voice, base int64) *talker {
	h.t.Helper()
	s := h.bed.SpeakerOf("r", user, streamID)
	s.Payload = func(n int64) []byte { return numbered(v.packets[n%int64(len(v.packets))], base+n) }
	return &talker{s, time.Now(), base}
}

// visitor logs a user in on a machine of their own who hears what room takes,
// or nothing.
func (h *hall) visitor(user string, hidden bool, room joiner.Room) {
	h.t.Helper()
	if room == nil {
		room = deaf{}
	}
	ctx, leave := context.WithCancel(context.Background())
	p := joiner.NewParticipant(h.bed.Host().System, h.bed.Login("r", user, hidden), room, nil, nil, h.bed.Log)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_ = p.Run(ctx) // that it ends is all that counts
	}()
	h.t.Cleanup(func() {
		leave()
		<-gone
	})
}

// deaf is a room of which nothing is played.
type deaf struct{}

func (deaf) Event(joiner.Event)                   {}
func (deaf) Stream(joiner.Stream) joiner.Receiver { return nil }

// numbered puts a number into the padding of an Opus packet of one frame
// (RFC 6716, section 3.2.5): it sounds the same.
func numbered(packet []byte, n int64) []byte {
	b := []byte{packet[0] | 3, 0x41, 8}
	b = append(b, packet[1:]...)
	return binary.BigEndian.AppendUint64(b, uint64(n))
}

// number is the number of a packet, or -1.
func number(b []byte) int64 {
	if len(b) < 11 || b[0]&3 != 3 || b[1] != 0x41 || b[2] != 8 {
		return -1
	}
	return int64(binary.BigEndian.Uint64(b[len(b)-8:]))
}

// kept is a numbered packet of a recording and the sample at which it lies.
type kept struct{ number, pos int64 }

// packets reads the numbered packets of an output of originals, in their
// order.
func (h *house) packets(m *storage.Manifest, output string) (all []kept) {
	h.t.Helper()
	for _, s := range m.Segments {
		if s.Output != output {
			continue
		}
		f, err := os.Open(h.clear(m, s.Path))
		if err != nil {
			h.t.Fatal(err)
		}
		for r := ogg.NewReader(f); ; {
			p, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				h.t.Fatal(err)
			}
			at := p.Start - int64(r.Head().PreSkip)
			if n := number(p.Data); n >= 0 && at >= 0 {
				all = append(all, kept{n, s.StartSample + at})
			}
		}
		f.Close()
	}
	return all
}

// missing lists the numbers of [from, to) that are not there, counted from the
// talker's first packet.
func (k *talker) missing(all []kept, from, to int64) (list []int64) {
	have := map[int64]bool{}
	for _, p := range all {
		have[p.number-k.base] = true
	}
	for n := from; n < to; n++ {
		if !have[n] {
			list = append(list, n)
		}
	}
	return list
}

// placed checks that every packet of the talker lies where its own clock says
// and is there once; it returns the largest error.
func (k *talker) placed(t testing.TB, m *storage.Manifest, all []kept, tolerance time.Duration) time.Duration {
	t.Helper()
	var worst time.Duration
	begin := k.begin.Sub(m.Start.Time)
	seen := map[int64]bool{}
	for _, p := range all {
		n := p.number - k.base
		if n < 0 || n >= k.Frames() {
			continue
		}
		if seen[n] {
			t.Errorf("packet %d is there twice", n)
		}
		seen[n] = true
		off := time.Duration(p.pos)*time.Second/pcm.Rate - begin - time.Duration(n)*pcm.FrameTime
		worst = max(worst, off, -off)
	}
	if worst > tolerance {
		t.Errorf("packets of %s lie up to %v off", k.StreamID, worst)
	}
	return worst
}

// before is the number of the packet that the talker sent at an instant.
func (k *talker) before(at time.Time) int64 { return int64(at.Sub(k.begin) / pcm.FrameTime) }

// whole checks that the ledger of a stream adds up to its time in the
// recording.
func whole(t testing.TB, m *storage.Manifest, key string, want time.Duration) storage.Ledger {
	t.Helper()
	l := m.Ledger[key]
	if sum := l.Sum(); sum < want.Milliseconds()-60 || sum > want.Milliseconds()+60 {
		t.Errorf("the ledger of %s has %d ms, want %d: %v", key, sum, want.Milliseconds(), l)
	}
	return l
}

// within waits until what is true, for at most d, and returns how long it
// took.
func within(t testing.TB, d time.Duration, what string, condition func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for !condition() {
		if time.Since(start) > d {
			t.Fatalf("not within %v: %s", d, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(start)
}

// events counts the events of one type in a recording.
func (h *house) events(m *storage.Manifest, kind string) int {
	h.t.Helper()
	b, err := os.ReadFile(filepath.Join(h.data, "recordings", "r", m.ID, storage.EventsName))
	if err != nil {
		h.t.Fatal(err)
	}
	return bytes.Count(b, []byte(`"type":"`+kind+`"`))
}

// order says that the numbers rise.
func order(t testing.TB, all []kept) {
	t.Helper()
	if !slices.IsSortedFunc(all, func(a, b kept) int { return int(a.number - b.number) }) {
		t.Error("packets are out of order")
	}
}
