package peer

import (
	"sync"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/report"
)

// senders makes pion's sender reports (RFC 3550 section 6.4.1) for connections
// that may send. Theirs tick from the first moment, and most connections of a
// recorder never send: ours begin with the first stream.
type senders struct {
	*report.SenderInterceptorFactory
}

func (f senders) NewInterceptor(id string) (interceptor.Interceptor, error) {
	i, err := f.SenderInterceptorFactory.NewInterceptor(id)
	if err != nil {
		return nil, err
	}
	return &sender{Interceptor: i}, nil
}

type sender struct {
	interceptor.Interceptor

	mu     sync.Mutex
	writer interceptor.RTCPWriter // not given on yet
}

// BindRTCPWriter is called once for a connection.
func (s *sender) BindRTCPWriter(w interceptor.RTCPWriter) interceptor.RTCPWriter {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writer = w
	return w
}

// BindLocalStream reports on a stream from now on.
func (s *sender) BindLocalStream(info *interceptor.StreamInfo, w interceptor.RTPWriter) interceptor.RTPWriter {
	s.mu.Lock()
	if s.writer != nil {
		s.Interceptor.BindRTCPWriter(s.writer)
		s.writer = nil
	}
	s.mu.Unlock()
	return s.Interceptor.BindLocalStream(info, w)
}
