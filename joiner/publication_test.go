package joiner_test

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/pion/rtp"

	"mixdown/joiner"
)

// line notes the headers that a publication writes to a connection.
type line struct {
	mu      sync.Mutex
	headers []rtp.Header
	levels  []uint8
	err     error
}

func (l *line) WriteRTP(p *rtp.Packet, level uint8) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	l.headers = append(l.headers, p.Header)
	l.levels = append(l.levels, level)
	return nil
}

func write(t *testing.T, p *joiner.Publication, frames ...int64) {
	t.Helper()
	for _, n := range frames {
		if err := p.WritePacket(joiner.OutPacket{Pos: n * 960, Samples: 960, Level: uint8(n % 128), Payload: []byte{1, 2}}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPublicationTime: the RTP time is the mix's clock, whatever happens; the
// numbers have no holes; the marker says where a pause ended.
func TestPublicationTime(t *testing.T) {
	p := new(joiner.Publications).Add("mix", "", 2)
	write(t, p, 0, 1) // no connection: dropped
	var first, second line
	p.Attach(&first)
	write(t, p, 2, 3)
	write(t, p, 10) // after a pause of sending
	write(t, p, 11)
	p.Detach(nil)
	write(t, p, 12, 13)
	p.Attach(&second)
	write(t, p, 14, 15)

	headers := slices.Concat(first.headers, second.headers)
	frames := []uint32{2, 3, 10, 11, 14, 15}
	markers := []bool{true, false, true, false, true, false}
	if len(headers) != len(frames) {
		t.Fatalf("%d packets, want %d", len(headers), len(frames))
	}
	for i, h := range headers {
		if got, want := h.Timestamp-headers[0].Timestamp, 960*(frames[i]-frames[0]); got != want {
			t.Errorf("packet %d: RTP time %d after the first, want %d", i, got, want)
		}
		if got := h.SequenceNumber - headers[0].SequenceNumber; got != uint16(i) {
			t.Errorf("packet %d: number %d after the first", i, got)
		}
		if h.Marker != markers[i] {
			t.Errorf("packet %d: marker %v", i, h.Marker)
		}
	}
	if s := p.Stats(); s.Sent != 6 || s.Dropped != 4 || !s.Published {
		t.Errorf("stats %+v", s)
	}
	if !slices.Equal(first.levels, []uint8{2, 3, 10, 11}) {
		t.Errorf("levels %v", first.levels)
	}
}

func TestPublicationNeverGoesBack(t *testing.T) {
	p := new(joiner.Publications).Add("mix", "", 1)
	var l line
	p.Attach(&l)
	write(t, p, 5)
	for _, pos := range []int64{0, 5 * 960, 6*960 - 1} {
		if err := p.WritePacket(joiner.OutPacket{Pos: pos, Samples: 960, Payload: []byte{1}}); err == nil {
			t.Errorf("a packet at sample %d after frame 5 was taken", pos)
		}
	}
	write(t, p, 6)
	if len(l.headers) != 2 || l.headers[1].Marker {
		t.Errorf("%d packets, marker %v", len(l.headers), l.headers[len(l.headers)-1].Marker)
	}
	if s := p.Stats(); s.Dropped != 3 {
		t.Errorf("stats %+v", s)
	}
}

// TestPublicationWriteError: what could not be written takes no number.
func TestPublicationWriteError(t *testing.T) {
	p := new(joiner.Publications).Add("mix", "", 1)
	l := line{err: errors.New("socket closed")}
	p.Attach(&l)
	if err := p.WritePacket(joiner.OutPacket{Samples: 960, Payload: []byte{1}}); !errors.Is(err, l.err) {
		t.Errorf("error %v", err)
	}
	l.err = nil
	write(t, p, 1, 2)
	if l.headers[1].SequenceNumber != l.headers[0].SequenceNumber+1 || !l.headers[0].Marker {
		t.Errorf("headers %+v", l.headers)
	}
	refused := errors.New("duplicate stream")
	p.Detach(refused)
	if s := p.Stats(); s.Published || !errors.Is(s.Err, refused) || s.Sent != 2 || s.Dropped != 1 {
		t.Errorf("stats %+v", s)
	}
}

func TestPublicationsChanged(t *testing.T) {
	var pubs joiner.Publications
	told := func(what string, want bool, change func()) {
		t.Helper()
		changed := pubs.Changed()
		change()
		got := false
		select {
		case <-changed:
			got = true
		default:
		}
		if got != want {
			t.Errorf("%s: told %v", what, got)
		}
	}
	var a *joiner.Publication
	told("add", true, func() { a = pubs.Add("a", "one", 1) })
	told("add the same", false, func() {
		if pubs.Add("a", "one", 1) != a {
			t.Error("not the same publication")
		}
	})
	told("new extra info", true, func() { pubs.Add("a", "two", 1) })
	if a.ExtraInfo() != "two" {
		t.Errorf("extra info %q", a.ExtraInfo())
	}
	told("second", true, func() { pubs.Add("b", "", 2) })
	told("remove", true, func() { pubs.Remove("a") })
	told("remove nothing", false, func() { pubs.Remove("a") })
	told("indicator", true, func() { pubs.SetIndicator(joiner.RecordingOn) })
	told("same indicator", false, func() { pubs.SetIndicator(joiner.RecordingOn) })
	if l := pubs.List(); len(l) != 1 || l[0].StreamID() != "b" || l[0].Channels() != 2 {
		t.Errorf("list %v", l)
	}
}

func TestWritePacketAllocatesNothing(t *testing.T) {
	p := new(joiner.Publications).Add("mix", "", 1)
	p.Attach(discard{})
	var frame int64
	payload := make([]byte, 80)
	if n := testing.AllocsPerRun(1000, func() {
		if err := p.WritePacket(joiner.OutPacket{Pos: frame * 960, Samples: 960, Payload: payload}); err != nil {
			t.Fatal(err)
		}
		frame++
	}); n != 0 {
		t.Errorf("%v allocations per packet", n)
	}
}

type discard struct{}

func (discard) WriteRTP(*rtp.Packet, uint8) error { return nil }

func BenchmarkWritePacket(b *testing.B) {
	p := new(joiner.Publications).Add("mix", "", 1)
	p.Attach(discard{})
	payload := make([]byte, 80)
	b.ReportAllocs()
	var frame int64
	for b.Loop() {
		if err := p.WritePacket(joiner.OutPacket{Pos: frame * 960, Samples: 960, Payload: payload}); err != nil {
			b.Fatal(err)
		}
		frame++
	}
}
