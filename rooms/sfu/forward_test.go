package sfu

import (
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// outlet is where a forward writes in these tests.
type outlet struct {
	seqs   []uint16
	keep   bool
	levels int
}

func (o *outlet) Write(b []byte) (int, error) { return len(b), nil }

func (o *outlet) WriteRTP(h *rtp.Header, payload []byte) (int, error) {
	if o.keep {
		o.seqs = append(o.seqs, h.SequenceNumber)
	}
	if h.Extension {
		o.levels++
	}
	return len(payload), nil
}

func bound(o *outlet) *forward {
	f := &forward{id: "test", writeRTCP: func([]rtcp.Packet) error { return nil }}
	f.writer, f.ssrc = o, 7
	f.header = rtp.Header{Version: 2, PayloadType: 111, SSRC: 7}
	f.leveled = f.header.SetExtension(3, f.level[:]) == nil
	return f
}

// raw is packet n of a stream, with an audio level.
func raw(n int, payload []byte) []byte {
	h := rtp.Header{Version: 2, PayloadType: 111, SSRC: 1, SequenceNumber: uint16(n), Timestamp: uint32(n * 960)}
	_ = h.SetExtension(5, []byte{30})
	b, err := (&rtp.Packet{Header: h, Payload: payload}).Marshal()
	if err != nil {
		panic(err)
	}
	return b
}

func TestForwardingAllocatesNothing(t *testing.T) {
	u := &Upstream{}
	o := &outlet{}
	for range 3 {
		u.attach(bound(o), false)
	}
	var in rtp.Packet
	b := raw(0, make([]byte, 120))
	n := 0
	step := func() {
		binary.BigEndian.PutUint16(b[2:], uint16(n))
		n++
		p, ok := parse(&in, b, 5, formats{})
		if !ok {
			t.Fatal("not parsed")
		}
		u.push(&p)
	}
	u.first = time.Now().Add(-time.Hour) // the stream keeps no backlog any more
	for range 2 * historySize {
		step()
	}
	if allocs := testing.AllocsPerRun(1000, step); allocs > 0 {
		t.Errorf("%v allocations per packet", allocs)
	}
	if o.levels != 3*n {
		t.Errorf("%d of %d packets had a level", o.levels, 3*n)
	}
}

// Packets that arrive while a backlog is being sent follow it.
func TestLivePacketsFollowTheBacklog(t *testing.T) {
	u := &Upstream{}
	var in rtp.Packet
	next := 0
	push := func(n int) {
		for range n {
			p, _ := parse(&in, raw(next, nil), 5, formats{})
			u.push(&p)
			next++
		}
	}
	push(100)
	o := &outlet{keep: true}
	f := bound(o)
	u.mu.Lock() // as attach does, stopped in the middle
	f.begin(u, append([]packet(nil), u.young...), true)
	u.forwards = []*forward{f}
	u.mu.Unlock()
	push(20)
	if len(o.seqs) != 0 {
		t.Fatalf("%d live packets overtook the backlog", len(o.seqs))
	}
	f.drain()
	push(5)

	// And with both going on at once.
	o2 := &outlet{keep: true}
	var pushing sync.WaitGroup
	pushing.Go(func() { push(300) })
	u.attach(bound(o2), true)
	pushing.Wait()

	for _, seqs := range [][]uint16{o.seqs, o2.seqs} {
		if len(seqs) != next {
			t.Fatalf("%d packets of %d", len(seqs), next)
		}
		for i, seq := range seqs {
			if int(seq) != i {
				t.Fatalf("packet %d has number %d", i, seq)
			}
		}
	}
}

// What a player may ask for again: what it was sent, of the present source, as
// far back as the history goes.
func TestResends(t *testing.T) {
	u := &Upstream{}
	var in rtp.Packet
	for n := range 100 {
		p, _ := parse(&in, raw(n, nil), 5, formats{})
		u.push(&p)
	}
	o := &outlet{keep: true}
	f := bound(o)
	u.attach(f, false)
	for n := 100; n < 3000; n++ {
		p, _ := parse(&in, raw(n, nil), 5, formats{})
		u.push(&p)
	}
	for _, c := range []struct {
		name string
		ssrc uint32
		pair rtcp.NackPair
		want []uint16
	}{
		{"two of the newest", 7, rtcp.NackPair{PacketID: 2990, LostPackets: 1 << 3}, []uint16{2990, 2994}},
		{"not sent yet", 7, rtcp.NackPair{PacketID: 3000}, nil},
		{"too old", 7, rtcp.NackPair{PacketID: 1900}, nil},
		{"before the player's time", 7, rtcp.NackPair{PacketID: 99}, nil},
		{"another stream's", 8, rtcp.NackPair{PacketID: 2990}, nil},
	} {
		o.seqs = nil
		var again packet
		f.resend(&rtcp.TransportLayerNack{MediaSSRC: c.ssrc, Nacks: []rtcp.NackPair{c.pair}}, &again)
		if fmt.Sprint(o.seqs) != fmt.Sprint(c.want) {
			t.Errorf("%s: sent %v again, want %v", c.name, o.seqs, c.want)
		}
	}
}

// One small RTCP packet asks for thousands of packets; a player gets no more
// than a second's worth at once.
func TestResendsAreLimited(t *testing.T) {
	u := &Upstream{}
	o := &outlet{keep: true}
	f := bound(o)
	u.attach(f, false)
	var in rtp.Packet
	for n := range 1000 {
		p, _ := parse(&in, raw(n, nil), 5, formats{})
		u.push(&p)
	}
	o.seqs = nil
	var again packet
	began := time.Now()
	for range 10 {
		for n := 0; n < 1000; n += 17 {
			f.resend(&rtcp.TransportLayerNack{MediaSSRC: 7, Nacks: []rtcp.NackPair{{PacketID: uint16(n), LostPackets: 0xffff}}}, &again)
		}
	}
	took := time.Since(began)
	if n := len(o.seqs); n < resendBurst || n > resendBurst+int(resendRate*(took.Seconds()+1)) {
		t.Errorf("%d packets were sent again in %s", n, took)
	}
}

func TestPanicEndsOnlyItsConnection(t *testing.T) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s, err := New(Config{Conn: conn})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 3)
	lives := make([]*life, 3)
	for i := range lives {
		l, err := s.newLife()
		if err != nil {
			t.Fatal(err)
		}
		lives[i] = l
		step := func() {
			if i == 1 {
				panic("step")
			}
		}
		if err := l.start(step, func(err error) { ended <- err }); err != nil {
			t.Fatal(err)
		}
	}
	lives[0].media(func() error { panic("media") })
	lives[1].poke()
	for range 2 {
		if err := <-ended; err == nil {
			t.Error("a panic ended a connection without an error")
		}
	}
	select {
	case <-lives[2].ending:
		t.Error("a panic ended another connection")
	default:
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("after Close: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(raw(1, []byte("payload")), uint8(5))
	f.Add([]byte{0xb0, 111, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0xbe, 0xde, 0, 1, 0x50, 1, 0, 0, 2}, uint8(5))
	f.Add([]byte{0xa0, 111, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 4}, uint8(0))
	f.Fuzz(func(t *testing.T, b []byte, levelID uint8) {
		u := &Upstream{}
		o := &outlet{}
		u.attach(bound(o), true)
		var in rtp.Packet
		if p, ok := parse(&in, b, levelID, formats{opus: 111, red: 63}); ok {
			u.push(&p)
			if len(p.payload) > len(b)-12 {
				t.Errorf("%d bytes of payload in %d", len(p.payload), len(b))
			}
		}
	})
}

// BenchmarkForward is the cost of one packet for its players, without SRTP and
// the network.
func BenchmarkForward(b *testing.B) {
	for _, players := range []int{1, 10, 100} {
		b.Run(fmt.Sprint(players, "-players"), func(b *testing.B) {
			u := &Upstream{first: time.Now().Add(-time.Hour)}
			for range players {
				u.attach(bound(&outlet{}), false)
			}
			packet := raw(0, make([]byte, 120))
			var in rtp.Packet
			b.ReportAllocs()
			for n := range b.N {
				binary.BigEndian.PutUint16(packet[2:], uint16(n))
				if p, ok := parse(&in, packet, 5, formats{}); ok {
					u.push(&p)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*players), "ns/forward")
		})
	}
}

var _ webrtc.TrackLocal = (*forward)(nil)
