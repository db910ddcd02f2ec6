package events_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"mixdown/events"
)

// TestBusyLogLetsGo: old files go, however busy the log is while a new one
// begins, and a log that is opened then knows all the same how far its captures
// had come.
func TestBusyLogLetsGo(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	l, err := events.Open(dir, events.Options{MaxBytes: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = l.Run(ctx) }()
	pad := strings.Repeat("x", 40000)
	n := uint64(0)
	for ; n < 1500; n++ { // 60 MB, faster than it is written
		l.Publish(events.Event{Type: "t", Capture: "c", Series: "s", Number: n + 1, Data: pad})
		time.Sleep(time.Millisecond)
	}
	busy := l.Figures().Bytes
	cancel()
	<-ended
	if f := l.Figures(); busy > 20<<20 || f.Last != n {
		t.Errorf("%d MiB in the log, %d events of %d", busy>>20, f.Last, n)
	}
	again, err := events.Open(dir, events.Options{MaxBytes: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	again.Publish(events.Event{Type: "t", Capture: "c", Series: "s", Number: n}) // known
	if f := again.Figures(); f.Last != n || f.Pending != 0 {
		t.Errorf("opened again it has %d events of %d, and %d wait", f.Last, n, f.Pending)
	}
}
