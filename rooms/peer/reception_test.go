package peer

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
)

// line is a receiving connection in virtual time.
type line struct {
	t        *testing.T
	r        *reception
	in       interceptor.RTPReader
	incoming []byte

	hastened atomic.Int32
	came     time.Time

	mu   sync.Mutex
	sent []rtcp.Packet
	at   []time.Time
}

// arrival is now, or when the packets came that are read late.
func (l *line) arrival(uint32, uint16) time.Time {
	if l.came.IsZero() {
		return time.Now()
	}
	return l.came
}

func receiving(t *testing.T, nack bool, test func(l *line)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &line{t: t}
		made, err := receptions{arrival: l.arrival, asked: func() { l.hastened.Add(1) }}.NewInterceptor("")
		if err != nil {
			t.Fatal(err)
		}
		l.r = made.(*reception)
		l.r.BindRTCPWriter(interceptor.RTCPWriterFunc(func(p []rtcp.Packet, _ interceptor.Attributes) (int, error) {
			l.mu.Lock()
			defer l.mu.Unlock()
			for _, p := range p {
				l.sent, l.at = append(l.sent, p), append(l.at, time.Now())
			}
			return 0, nil
		}))
		l.in = l.stream(1, nack)
		test(l)
		if err := l.r.Close(); err != nil {
			t.Fatal(err)
		}
		if err := l.r.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func (l *line) stream(ssrc uint32, nack bool) interceptor.RTPReader {
	info := &interceptor.StreamInfo{SSRC: ssrc, ClockRate: 48000}
	if nack {
		info.RTCPFeedback = []interceptor.RTCPFeedback{{Type: "nack"}}
	}
	return l.r.BindRemoteStream(info, interceptor.RTPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		return copy(b, l.incoming), a, nil
	}))
}

func (l *line) get(in interceptor.RTPReader, seqs ...uint16) {
	l.t.Helper()
	for _, seq := range seqs {
		l.incoming = make([]byte, 20)
		binary.BigEndian.PutUint16(l.incoming[2:], seq)
		binary.BigEndian.PutUint32(l.incoming[4:], uint32(seq)*960)
		if _, _, err := in.Read(make([]byte, 1500), nil); err != nil {
			l.t.Fatal(err)
		}
	}
}

// asked counts how often each packet was asked for since the last call.
func (l *line) asked() map[uint16]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	asked := make(map[uint16]int)
	for _, p := range l.sent {
		if nack, ok := p.(*rtcp.TransportLayerNack); ok {
			for _, pair := range nack.Nacks {
				pair.Range(func(seq uint16) bool { asked[seq]++; return true })
			}
		}
	}
	l.sent, l.at = nil, nil
	return asked
}

// settle lets the guesses about what came before the first packet pass.
func (l *line) settle() {
	time.Sleep(200 * time.Millisecond)
	l.asked()
}

func TestMissingPacketsAreAskedForUntilTheyCome(t *testing.T) {
	receiving(t, true, func(l *line) {
		l.get(l.in, 65533)
		l.settle()
		start, before := time.Now(), l.hastened.Load()
		l.get(l.in, 65534, 1, 2, 22)
		time.Sleep(105 * time.Millisecond)
		l.mu.Lock()
		first := l.at[0].Sub(start)
		l.mu.Unlock()
		if first != nackWait {
			t.Errorf("asked after %s", first)
		}
		if n := l.hastened.Load() - before; n != 5 {
			t.Errorf("whoever reads the sockets was told %d times that an answer is waited for, asked were 5", n)
		}
		asked := l.asked()
		for seq := range uint16(22) {
			want := 5 // at 10, 30, 50, 70, 90 ms
			if seq == 1 || seq == 2 {
				want = 0
			}
			if asked[seq] != want {
				t.Errorf("%d was asked for %d times, want %d", seq, asked[seq], want)
			}
		}
		if asked[65535] != 5 || len(asked) != 21 {
			t.Errorf("asked for %v", asked)
		}
		for seq := range uint16(22) {
			l.get(l.in, seq)
		}
		l.get(l.in, 65535)
		time.Sleep(time.Minute)
		if asked := l.asked(); len(asked) != 0 {
			t.Errorf("asked for %v when nothing was missing", asked)
		}
	})
}

func TestAskingEnds(t *testing.T) {
	receiving(t, true, func(l *line) {
		l.get(l.in, 100)
		l.settle()
		l.get(l.in, 102)
		time.Sleep(time.Minute)
		if asked := l.asked(); asked[101] != nackMax {
			t.Errorf("a packet that never comes was asked for %d times", asked[101])
		}
		// A jump asks for no more than the window, and goes on from there.
		l.get(l.in, 30000, 30001, 30003)
		time.Sleep(15 * time.Millisecond)
		asked := l.asked()
		if len(asked) > window || asked[30002] != 1 || asked[30003-window] != 0 || asked[30004-window] != 1 {
			t.Errorf("%d packets asked for after a jump", len(asked))
		}
		// The window moved on: the old ones are gone.
		for seq := uint16(30004); seq < 30004+window; seq++ {
			l.get(l.in, seq)
		}
		time.Sleep(time.Minute)
		l.asked()
		time.Sleep(time.Minute)
		if asked := l.asked(); len(asked) != 0 {
			t.Errorf("asked for %v", asked)
		}
	})
}

// The beginning of a stream may be lost: some packets before the first one
// are asked for, and more when one of them comes.
func TestBeginningIsGuessed(t *testing.T) {
	receiving(t, true, func(l *line) {
		l.get(l.in, 40)
		time.Sleep(time.Second)
		asked := l.asked()
		if len(asked) != guess || asked[39] != guessTries || asked[40-guess] != guessTries {
			t.Fatalf("asked for %v", asked)
		}
		l.get(l.in, 40-guess, 41)
		time.Sleep(15 * time.Millisecond)
		asked = l.asked()
		for seq := uint16(40 - 2*guess); seq < 40; seq++ {
			want := 1
			if seq == 40-guess {
				want = 0
			}
			if asked[seq] != want {
				t.Errorf("%d was asked for %d times", seq, asked[seq])
			}
		}
	})
}

func TestNoNackWithoutItsFeedback(t *testing.T) {
	receiving(t, false, func(l *line) {
		l.get(l.in, 1, 5, 9)
		time.Sleep(time.Minute)
		if asked := l.asked(); len(asked) != 0 {
			t.Errorf("asked for %v", asked)
		}
	})
}

func TestReceiverReports(t *testing.T) {
	receiving(t, true, func(l *line) {
		l.get(l.in, 65530)
		sr := &rtcp.SenderReport{SSRC: 1, NTPTime: 0x1111222233334444}
		raw, err := sr.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		reports := l.r.BindRTCPReader(interceptor.RTCPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
			return copy(b, raw), a, nil
		}))
		time.Sleep(500 * time.Millisecond)
		if n, _, err := reports.Read(make([]byte, 1500), nil); n != len(raw) || err != nil {
			t.Fatal(n, err)
		}
		for seq := uint16(65531); seq != 6; seq++ { // 12 sent, 65532..65534 lost
			if seq < 65532 || seq > 65534 {
				l.get(l.in, seq)
			}
		}
		time.Sleep(500 * time.Millisecond)
		l.get(l.in, 5) // what comes when a report is due sends it
		time.Sleep(time.Millisecond)
		got := l.reports()
		if len(got) != 1 || len(got[0].Reports) != 1 {
			t.Fatalf("%d reports", len(got))
		}
		want := rtcp.ReceptionReport{SSRC: 1, FractionLost: 3 * 256 / 12, TotalLost: 3, LastSequenceNumber: 1<<16 | 5,
			LastSenderReport: 0x22223333, Delay: 1 << 15}
		r := got[0].Reports[0]
		want.Jitter = r.Jitter
		if r != want {
			t.Errorf("report %+v, want %+v", r, want)
		}
		// Repaired is not lost; nothing received is nothing reported. A report
		// waits for no packet for long.
		l.get(l.in, 65532, 65533, 65534)
		time.Sleep(1090 * time.Millisecond)
		if got := l.reports(); len(got) != 0 {
			t.Errorf("%d reports before a packet could come", len(got))
		}
		time.Sleep(10 * time.Second)
		got = l.reports()
		if len(got) != 1 || got[0].Reports[0].TotalLost != 0 || got[0].Reports[0].FractionLost != 0 {
			t.Errorf("after the repair: %d reports, %+v", len(got), got[0].Reports)
		}
	})
}

func (l *line) reports() (reports []*rtcp.ReceiverReport) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.sent {
		if r, ok := p.(*rtcp.ReceiverReport); ok {
			reports = append(reports, r)
		}
	}
	l.sent, l.at = nil, nil
	return reports
}

// A hundred streams are reported in as few packets as can be, and forgotten
// when they end.
func TestReportsOfManyStreams(t *testing.T) {
	receiving(t, true, func(l *line) {
		for ssrc := uint32(100); ssrc < 200; ssrc++ {
			in := l.stream(ssrc, true)
			l.get(in, 7)
		}
		time.Sleep(1200 * time.Millisecond)
		var sizes []int
		for _, r := range l.reports() {
			sizes = append(sizes, len(r.Reports))
		}
		if !slices.Equal(sizes, []int{31, 31, 31, 7}) {
			t.Errorf("reports of %v streams", sizes)
		}
		for ssrc := uint32(100); ssrc < 200; ssrc++ {
			l.r.UnbindRemoteStream(&interceptor.StreamInfo{SSRC: ssrc})
		}
		l.get(l.in, 1)
		time.Sleep(2 * time.Second)
		if got := l.reports(); len(got) != 1 || len(got[0].Reports) != 1 {
			t.Errorf("%d reports after the end", len(got))
		}
	})
}

// Jitter as RFC 3550, section 6.4.1, has it: constant delay is none.
func TestJitter(t *testing.T) {
	for _, wobble := range []time.Duration{0, 10 * time.Millisecond} {
		t.Run(fmt.Sprint(wobble), func(t *testing.T) {
			receiving(t, true, func(l *line) {
				for seq := range uint16(400) {
					if seq%2 == 0 {
						time.Sleep(wobble)
					}
					l.get(l.in, seq+65336)
					if seq%2 == 0 {
						time.Sleep(20*time.Millisecond - wobble)
					} else {
						time.Sleep(20 * time.Millisecond)
					}
				}
				time.Sleep(1100 * time.Millisecond)
				got := l.reports()
				jitter := time.Duration(got[len(got)-1].Reports[0].Jitter) * time.Second / 48000
				if d := jitter - wobble; d < -time.Millisecond || d > time.Millisecond {
					t.Errorf("jitter %s", jitter)
				}
			})
		})
	}
}

// Jitter is the network's: that packets lie in a socket until somebody looks is
// none.
func TestJitterIsOfArrivals(t *testing.T) {
	receiving(t, true, func(l *line) {
		for seq := range uint16(400) {
			l.came = time.Now().Add(-time.Duration(3-seq%4) * 20 * time.Millisecond)
			l.get(l.in, seq)
			if seq%4 == 3 {
				time.Sleep(80 * time.Millisecond)
			}
		}
		time.Sleep(1100 * time.Millisecond)
		got := l.reports()
		if j := got[len(got)-1].Reports[0].Jitter; j != 0 {
			t.Errorf("jitter of %d samples", j)
		}
	})
}

func TestWatchingAllocatesNothing(t *testing.T) {
	now := func(uint32, uint16) time.Time { return time.Now() }
	r := &reception{config: receptions{arrival: now}, inbound: make(map[uint32]*inbound), wake: make(chan struct{}, 1)}
	packet := make([]byte, 20)
	in := r.BindRemoteStream(&interceptor.StreamInfo{SSRC: 1, ClockRate: 48000}, interceptor.RTPReaderFunc(
		func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
			return copy(b, packet), a, nil
		}))
	buf := make([]byte, 1500)
	seq := uint16(0)
	if n := testing.AllocsPerRun(1000, func() {
		seq += 2
		binary.BigEndian.PutUint16(packet[2:], seq)
		if _, _, err := in.Read(buf, nil); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations per packet", n)
	}
}
