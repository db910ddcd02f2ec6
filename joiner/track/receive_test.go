package track

import (
	"encoding/binary"
	"io"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"mixdown/joiner"
	"mixdown/mixer/playout"
)

// tape is a track that plays the same packets until it is told to end.
type tape struct {
	packets [][]byte
	errs    []error
	n, left int
}

func (t *tape) Read(b []byte) (int, interceptor.Attributes, error) {
	if t.left == 0 {
		return 0, nil, io.EOF
	}
	t.left--
	i := t.n % len(t.packets)
	t.n++
	var err error
	if i < len(t.errs) {
		err = t.errs[i]
	}
	return copy(b, t.packets[i]), nil, err
}

// counter is a receiver that counts.
type counter struct {
	packets, reports int
	levels           []uint8
	last             joiner.SenderReport
}

func (c *counter) Packet(_ *rtp.Packet, level uint8, _ time.Time) {
	c.packets++
	if c.packets <= cap(c.levels) {
		c.levels = append(c.levels, level)
	}
}

func (c *counter) Report(r joiner.SenderReport, _ time.Time) { c.reports++; c.last = r }

func marshal(t testing.TB, p *rtp.Packet) []byte {
	t.Helper()
	b, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func now(uint32, uint16) time.Time { return time.Now() }

func leveled(t testing.TB, level byte) []byte {
	p := &rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 111, SequenceNumber: 7, SSRC: 1}, Payload: make([]byte, 80)}
	if err := p.SetExtension(3, []byte{level}); err != nil {
		t.Fatal(err)
	}
	return marshal(t, p)
}

// TestReceivePackets: what is no RTP or of a foreign payload type is passed
// over, the level comes without the voice bit.
func TestReceivePackets(t *testing.T) {
	plain := marshal(t, &rtp.Packet{Header: rtp.Header{Version: 2, SSRC: 1}, Payload: []byte{1}})
	track := &tape{
		packets: [][]byte{leveled(t, 0x80|42), {1, 2, 3}, plain, plain, leveled(t, 127)},
		errs:    []error{nil, nil, io.ErrNoProgress},
		left:    5,
	}
	c := &counter{levels: make([]uint8, 0, 5)}
	receivePackets(track, format{level: 3}, now, &Slot{receiver: c})
	if c.packets != 3 || c.levels[0] != 42 || c.levels[1] != playout.NoLevel || c.levels[2] != 127 {
		t.Errorf("%d packets, levels %v", c.packets, c.levels)
	}
}

// TestStragglers: packets that came before their stream ended, but are read
// after it, are not lost; what comes later is nobody's.
func TestStragglers(t *testing.T) {
	c := &counter{levels: make([]uint8, 0, 3)}
	s := &Slot{receiver: c}
	before := time.Now()
	s.End()
	arrivals := []time.Time{before.Add(-40 * time.Millisecond), before.Add(-time.Microsecond), time.Now().Add(time.Millisecond)}
	next := func(uint32, uint16) time.Time {
		at := arrivals[0]
		arrivals = arrivals[1:]
		return at
	}
	track := &tape{packets: [][]byte{leveled(t, 1), leveled(t, 2), leveled(t, 3)}, left: 3}
	receivePackets(track, format{level: 3}, next, s)
	if len(c.levels) != 2 || c.levels[1] != 2 {
		t.Errorf("levels %v, want those of the first two", c.levels)
	}
	s.Set(c)
	arrivals = []time.Time{time.Now()}
	track.left = 1
	receivePackets(track, format{level: 3}, next, s)
	if len(c.levels) != 3 {
		t.Error("the next stream of this name is not heard")
	}
}

func TestReceivePacketsAllocatesNothing(t *testing.T) {
	track := &tape{packets: [][]byte{leveled(t, 30)}}
	c := &counter{}
	s := &Slot{receiver: c}
	// A call allocates its buffers once, however many packets it reads.
	few := testing.AllocsPerRun(20, func() { track.left = 10; receivePackets(track, format{level: 3}, now, s) })
	many := testing.AllocsPerRun(20, func() { track.left = 10000; receivePackets(track, format{level: 3}, now, s) })
	if many > few {
		t.Errorf("%v allocations for 10 packets, %v for 10000", few, many)
	}
	if c.packets == 0 {
		t.Error("nothing received")
	}
}

func BenchmarkReceivePackets(b *testing.B) {
	track := &tape{packets: [][]byte{leveled(b, 30)}, left: b.N}
	s := &Slot{receiver: &counter{}}
	b.ReportAllocs()
	b.ResetTimer()
	receivePackets(track, format{level: 3}, now, s)
}

func TestReceiveReports(t *testing.T) {
	want := rtcp.SenderReport{SSRC: 0x01020304, NTPTime: 0x1122334455667788, RTPTime: 0x99aabbcc, PacketCount: 5}
	compound, err := rtcp.Marshal([]rtcp.Packet{
		&rtcp.ReceiverReport{SSRC: 9, Reports: []rtcp.ReceptionReport{{SSRC: 8}}}, &want,
		&rtcp.SourceDescription{Chunks: []rtcp.SourceDescriptionChunk{{Source: 9, Items: []rtcp.SourceDescriptionItem{{Type: rtcp.SDESCNAME, Text: "x"}}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	nack, err := rtcp.Marshal([]rtcp.Packet{&rtcp.TransportLayerNack{MediaSSRC: 1, Nacks: []rtcp.NackPair{{PacketID: 1}}}})
	if err != nil {
		t.Fatal(err)
	}
	c := &counter{}
	receiveReports(&tape{packets: [][]byte{compound, nack, {0x80}}, left: 3}, &Slot{receiver: c})
	if c.reports != 1 || c.last.SSRC != want.SSRC || c.last.NTP != want.NTPTime || c.last.RTP != want.RTPTime {
		t.Errorf("%d reports, %+v", c.reports, c.last)
	}
}

// FuzzSenderReport: the search agrees with pion's parser where that finds one.
func FuzzSenderReport(f *testing.F) {
	report, err := (&rtcp.SenderReport{SSRC: 1, NTPTime: 2, RTPTime: 3, Reports: []rtcp.ReceptionReport{{SSRC: 4}}}).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(report)
	f.Add(append([]byte{0x80, 201, 0, 1, 0, 0, 0, 1}, report...))
	f.Add([]byte{0x80, 200, 0xff, 0xff})
	f.Add(report[:20])
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := findSenderReport(b)
		if ok && len(b) < 28 {
			t.Fatal("a report out of nothing")
		}
		packets, err := rtcp.Unmarshal(b)
		if err != nil {
			return
		}
		for _, p := range packets {
			if r, is := p.(*rtcp.SenderReport); is {
				if !ok || got != (joiner.SenderReport{SSRC: r.SSRC, NTP: r.NTPTime, RTP: r.RTPTime}) {
					t.Fatalf("found %+v, %v; pion %+v", got, ok, r)
				}
				return
			}
		}
		if ok && binary.BigEndian.Uint16(b[2:]) == 0 {
			t.Fatalf("found %+v where pion finds none", got)
		}
	})
}
