package peer

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// Sender reports count their seconds from the first stream that is sent, whenever
// the connection began, and come once for each stream.
func TestSenderReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner, err := report.NewSenderInterceptor()
		if err != nil {
			t.Fatal(err)
		}
		i, err := senders{inner}.NewInterceptor("")
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		sent := map[uint32][]time.Duration{} // by the one goroutine that reports
		i.BindRTCPWriter(interceptor.RTCPWriterFunc(func(packets []rtcp.Packet, _ interceptor.Attributes) (int, error) {
			for _, p := range packets {
				ssrc := p.(*rtcp.SenderReport).SSRC
				sent[ssrc] = append(sent[ssrc], time.Since(start))
			}
			return 0, nil
		}))
		time.Sleep(5300 * time.Millisecond)
		for ssrc := uint32(1); ssrc <= 2; ssrc++ {
			out := i.BindLocalStream(&interceptor.StreamInfo{SSRC: ssrc, ClockRate: 48000},
				interceptor.RTPWriterFunc(func(*rtp.Header, []byte, interceptor.Attributes) (int, error) { return 0, nil }))
			if _, err := out.Write(&rtp.Header{SSRC: ssrc}, nil, nil); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2500 * time.Millisecond)
		if err := i.Close(); err != nil {
			t.Fatal(err)
		}
		for ssrc := uint32(1); ssrc <= 2; ssrc++ {
			if at := sent[ssrc]; len(at) != 2 || at[0] != 6300*time.Millisecond || at[1] != 7300*time.Millisecond {
				t.Errorf("stream %d is reported at %v", ssrc, at)
			}
		}
	})
}
