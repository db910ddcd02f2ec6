package peer

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
)

const (
	nackWait     = 10 * time.Millisecond // a packet may only be out of order
	nackInterval = 20 * time.Millisecond
	nackMax      = 100 // requests for one packet, 2 s
	nackGroup    = 8   // NACKs in one RTCP packet
	reportTime   = time.Second
	reportGrace  = 100 * time.Millisecond // the next packets are waited for; they wake us anyway
	reportGroup  = 31                     // report blocks in one receiver report, RFC 3550 section 6.4.2
)

// reception watches what a connection receives and tells the senders what is
// missing (RTCP NACK, RFC 4585 section 6.2.1) and how it goes (receiver
// reports, RFC 3550 section 6.4.2).
//
// It takes the place of pion's interceptors for these, because wakeups are the
// cost of receiving: theirs tick 50 times a second for every connection, ours
// sleeps while nothing is missing, and reports when packets have woken the
// process anyway. One goroutine per connection sends; Close ends it and waits.
type reception struct {
	interceptor.NoOp
	config receptions
	ssrc   uint32 // who reports

	mu       sync.Mutex
	inbound  map[uint32]*inbound
	nackAt   time.Time // when to ask for what is missing; zero while nothing is
	reportAt time.Time // when to report; zero while nothing arrives
	fresh    bool      // something arrived since the last report

	wake   chan struct{}
	once   sync.Once
	closed chan struct{}
	wg     sync.WaitGroup
}

// receptions makes a reception for each connection.
type receptions struct {
	always  bool                                    // every sender is asked
	arrival func(ssrc uint32, seq uint16) time.Time // when a packet that was read came
	asked   func()                                  // told that somebody was asked, for an answer is waited for
}

func (f receptions) NewInterceptor(string) (interceptor.Interceptor, error) {
	return &reception{
		config:  f,
		ssrc:    rand.Uint32(),
		inbound: make(map[uint32]*inbound),
		wake:    make(chan struct{}, 1),
		closed:  make(chan struct{}),
	}, nil
}

// BindRTCPWriter is called once for a connection.
func (r *reception) BindRTCPWriter(w interceptor.RTCPWriter) interceptor.RTCPWriter {
	r.wg.Go(func() { r.run(w) })
	return w
}

// BindRemoteStream watches an incoming stream.
func (r *reception) BindRemoteStream(info *interceptor.StreamInfo, in interceptor.RTPReader) interceptor.RTPReader {
	s := &inbound{ssrc: info.SSRC, rate: info.ClockRate, repaired: r.config.always}
	for _, f := range info.RTCPFeedback {
		s.repaired = s.repaired || f.Type == "nack" && f.Parameter == ""
	}
	r.mu.Lock()
	r.inbound[info.SSRC] = s
	r.mu.Unlock()
	return interceptor.RTPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		n, a, err := in.Read(b, a)
		if err == nil && n >= 12 {
			r.receive(s, binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint32(b[4:]))
		}
		return n, a, err
	})
}

// UnbindRemoteStream forgets a stream.
func (r *reception) UnbindRemoteStream(info *interceptor.StreamInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.inbound, info.SSRC)
}

// BindRTCPReader notes sender reports, which receiver reports refer to.
func (r *reception) BindRTCPReader(in interceptor.RTCPReader) interceptor.RTCPReader {
	return interceptor.RTCPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		n, a, err := in.Read(b, a)
		if err != nil {
			return n, a, err
		}
		if a == nil {
			a = make(interceptor.Attributes)
		}
		packets, err := a.GetRTCPPackets(b[:n])
		if err != nil {
			return n, a, nil // the reader's to refuse
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, p := range packets {
			if report, ok := p.(*rtcp.SenderReport); ok && r.inbound[report.SSRC] != nil {
				s := r.inbound[report.SSRC]
				s.lastReport, s.lastReportAt = uint32(report.NTPTime>>16), time.Now()
			}
		}
		return n, a, nil
	})
}

// Close ends the goroutine.
func (r *reception) Close() error {
	r.once.Do(func() { close(r.closed) })
	r.wg.Wait()
	return nil
}

func (r *reception) receive(s *inbound, seq uint16, ts uint32) {
	came, now := r.config.arrival(s.ssrc, seq), time.Now()
	r.mu.Lock()
	gap := s.receive(seq, ts, came)
	due := false
	if gap && s.repaired && r.nackAt.IsZero() {
		r.nackAt, due = now.Add(nackWait), true
	}
	r.fresh = true
	switch {
	case r.reportAt.IsZero():
		r.reportAt, due = now.Add(reportTime), true
	case !now.Before(r.reportAt):
		due = true
	}
	r.mu.Unlock()
	if due {
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
}

// run sends when something is due.
func (r *reception) run(w interceptor.RTCPWriter) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-r.closed:
			return
		case <-r.wake:
		case <-timer.C:
		}
		batches, next := r.due(time.Now())
		for _, packets := range batches {
			// A write that fails is lost like any other; the next one follows.
			_, _ = w.Write(packets, interceptor.Attributes{})
		}
		timer.Reset(next)
	}
}

// due collects what is to be sent now and says when to come again.
func (r *reception) due(now time.Time) (batches [][]rtcp.Packet, next time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.nackAt.IsZero() && !now.Before(r.nackAt) {
		batches = r.nacks(batches)
		r.nackAt = time.Time{}
		if len(batches) > 0 {
			r.nackAt = now.Add(nackInterval)
			r.config.asked()
		}
	}
	if !r.reportAt.IsZero() && !now.Before(r.reportAt) {
		if r.fresh {
			batches = r.reports(batches, now)
			r.reportAt, r.fresh = now.Add(reportTime), false
		} else {
			r.reportAt = time.Time{} // the next packet asks for the next one
		}
	}
	next = time.Hour
	if !r.nackAt.IsZero() {
		next = r.nackAt.Sub(now)
	}
	if !r.reportAt.IsZero() {
		next = min(next, r.reportAt.Add(reportGrace).Sub(now))
	}
	return batches, next
}

func (r *reception) nacks(batches [][]rtcp.Packet) [][]rtcp.Packet {
	var group []rtcp.Packet
	for _, s := range r.inbound {
		if !s.repaired {
			continue
		}
		pairs := s.missing()
		if len(pairs) == 0 {
			continue
		}
		group = append(group, &rtcp.TransportLayerNack{SenderSSRC: r.ssrc, MediaSSRC: s.ssrc, Nacks: pairs})
		if len(group) == nackGroup {
			batches, group = append(batches, group), nil
		}
	}
	if len(group) > 0 {
		batches = append(batches, group)
	}
	return batches
}

func (r *reception) reports(batches [][]rtcp.Packet, now time.Time) [][]rtcp.Packet {
	report := &rtcp.ReceiverReport{SSRC: r.ssrc}
	for _, s := range r.inbound {
		if !s.started {
			continue
		}
		report.Reports = append(report.Reports, s.report(now))
		if len(report.Reports) == reportGroup {
			batches = append(batches, []rtcp.Packet{report})
			report = &rtcp.ReceiverReport{SSRC: r.ssrc}
		}
	}
	if len(report.Reports) > 0 {
		batches = append(batches, []rtcp.Packet{report})
	}
	return batches
}
