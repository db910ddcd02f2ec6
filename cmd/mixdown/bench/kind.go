package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"time"

	"mixdown/capture"
)

// kind is a kind of work that is measured.
type kind struct {
	name   string
	spec   capture.Spec  // without a spec the packets are dropped
	warm   time.Duration // until the work is steady
	inside bool          // the packets come over no network
}

// steady is when a capture has come to rest: it begins to render when it is five
// seconds old.
const steady = 5500 * time.Millisecond

// shaken is when sockets are not new any more: in their first three seconds they
// are looked at far more often (rooms/udp).
const shaken = 3500 * time.Millisecond

var (
	receive = kind{name: "receive", warm: shaken}
	record  = kind{name: "record", warm: steady, spec: capture.Spec{Record: []capture.RecordSpec{{What: "mix"}}}}
	live    = kind{name: "live", warm: 2 * time.Second, spec: capture.Spec{Republish: []capture.RepublishSpec{{StreamID: "mix"}}}}
	both    = kind{name: "both", warm: steady, spec: capture.Spec{Record: record.spec.Record, Republish: live.spec.Republish}}
	wave    = kind{name: "wave", warm: steady, spec: capture.Spec{Record: []capture.RecordSpec{{What: "mix", Format: "wav"}}}}
	handed  = kind{name: "handed", warm: steady, spec: record.spec, inside: true}
	stored  = kind{name: "stored", warm: steady, spec: capture.Spec{Record: []capture.RecordSpec{{What: "streams"}}}}
)

// result is what one kind of work costs.
type result struct {
	rooms, streams int
	kind           string
	us             float64 // per stream-second
	decodes        float64 // the same in bare decodes of a stream-second beside it
	share          float64 // of the packets that were to be dealt with
	bytes          float64 // per stream
	p50, p99       int64   // ms that the live mix adds
}

// subject is what is measured.
type subject interface {
	// ready says whether everybody is heard.
	ready() bool
	// packets is how many packets it has dealt with.
	packets() int64
	// latency is what the live mix adds, in ms.
	latency() (p50, p99 int64)
	stop() error
}

// enough is the share of the packets below which the machine was too busy for
// this kind of work; then the cost counts for those it did. Captures tell what
// they did twice a second, hence the tolerance.
const enough = 0.8

// readyTimeout is how long it may take until everybody is heard.
const readyTimeout = time.Minute

func (k kind) measure(ctx context.Context, m *meter, url string, s scene, o options) (r result, err error) {
	r = result{rooms: s.rooms, streams: s.streams, kind: k.name}
	before := memory()
	var sub subject
	if len(k.spec.Record)+len(k.spec.Republish) > 0 {
		sub, err = newCaptures(ctx, url, s, k)
	} else {
		sub, err = newListeners(ctx, url, s)
	}
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, sub.stop()) }()
	deadline := time.Now().Add(readyTimeout)
	for !sub.ready() {
		if time.Now().After(deadline) || ctx.Err() != nil {
			return r, fmt.Errorf("not everybody is heard after %v", readyTimeout)
		}
		time.Sleep(50 * time.Millisecond)
	}
	time.Sleep(k.warm)
	end, err := profile(o.profiles, fmt.Sprintf("%s-%dx%d", k.name, s.rooms, s.streams))
	if err != nil {
		return r, err
	}
	packets, start := sub.packets(), time.Now()
	r.us, r.decodes = m.slices(o.seconds)
	r.us /= float64(s.rooms * s.streams)
	r.decodes /= float64(s.rooms * s.streams)
	r.share = float64(sub.packets()-packets) / (time.Since(start).Seconds() * 50 * float64(s.rooms*s.streams))
	if r.share < enough {
		r.us /= max(r.share, 0.01)
		r.decodes /= max(r.share, 0.01)
	}
	if err := end(); err != nil {
		return r, err
	}
	r.bytes = (memory() - before) / float64(s.rooms*s.streams)
	r.p50, r.p99 = sub.latency()
	return r, nil
}

// profile starts a CPU profile if a folder for it is given; at the end the heap's
// is written too.
func profile(dir, name string) (end func() error, err error) {
	if dir == "" {
		return func() error { return nil }, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	f, err := os.Create(filepath.Join(dir, name+".prof"))
	if err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("profile: %w", err), f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return errors.Join(f.Close(), heap(filepath.Join(dir, name+".heap")))
	}, nil
}

// heap writes what is held.
func heap(file string) error {
	f, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	return errors.Join(pprof.WriteHeapProfile(f), f.Close())
}
