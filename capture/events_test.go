package capture_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/capture"
	"mixdown/events"
)

// deafening forwards events to a log until it is cut, as a process does that
// dies before the log has written them.
type deafening struct {
	*events.Log
	mu  sync.Mutex
	cut bool
}

func (d *deafening) Publish(e events.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.cut {
		d.Log.Publish(e)
	}
}

func (d *deafening) silence() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cut = true
}

// openLog opens a log below a data folder and runs it until the test ends or
// stop is called.
func openLog(t testing.TB, data string) (l *events.Log, stop func()) {
	t.Helper()
	l, err := events.Open(filepath.Join(data, "events"), events.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = l.Run(ctx) })
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	return l, stop
}

// told is an event of a capture as its readers see it.
type told struct {
	events.Head
	Data struct {
		Capture capture.Status
		Details map[string]any
	}
}

func readLog(t testing.TB, l *events.Log) (all []told) {
	t.Helper()
	list, _, err := l.Read(0, 1<<20, events.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range list {
		var v told
		if err := json.Unmarshal(e.JSON, &v); err != nil {
			t.Fatal(err)
		}
		if v.Seq != uint64(i+1) || v.CaptureSeq != uint64(i+1) {
			t.Errorf("event %d has numbers %d and %d", i+1, v.Seq, v.CaptureSeq)
		}
		all = append(all, v)
	}
	return all
}

// legal are the changes that docs/events.md draws.
var legal = map[capture.State][]capture.State{
	"":                   {capture.Waiting},
	capture.Waiting:      {capture.Recording, capture.Reconnecting, capture.Finalizing, capture.Interrupted},
	capture.Recording:    {capture.Reconnecting, capture.Finalizing, capture.Interrupted},
	capture.Reconnecting: {capture.Waiting, capture.Recording, capture.Reconnecting, capture.Finalizing, capture.Interrupted},
	capture.Finalizing:   {capture.Complete, capture.Failed, capture.Interrupted},
	capture.Interrupted:  {capture.Waiting, capture.Recording, capture.Reconnecting, capture.Finalizing, capture.Interrupted, capture.Complete},
}

// path checks that every series is without holes, that the states follow one
// another as they may, and returns the types in their order.
func path(t testing.TB, all []told) (types []string) {
	t.Helper()
	numbers := map[string]uint64{}
	var state capture.State
	for _, e := range all {
		types = append(types, e.Type)
		if e.Series == "" {
			continue
		}
		if numbers[e.Series]++; e.Number != numbers[e.Series] {
			t.Errorf("%s: number %d of %s comes where %d was due", e.Type, e.Number, e.Series, numbers[e.Series])
		}
		if e.Series != "state" {
			continue
		}
		next := e.Data.Capture.State
		if !slices.Contains(legal[state], next) {
			t.Errorf("%s comes after %s", next, state)
		}
		if e.Type != "capture."+string(next) || !e.Data.Capture.Since.Equal(e.Time.Time) {
			t.Errorf("%s at %v carries state %s since %v", e.Type, e.Time, next, e.Data.Capture.Since)
		}
		state = next
	}
	return types
}

func TestEventsOfACapture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data, s := t.TempDir(), newStage()
		l, stop := openLog(t, data)
		h := open(t, data, s, func(c *capture.Config) { c.Events = l })
		c := h.start("a")
		alice := newVoice(t, "alice-mic", 500)
		time.Sleep(time.Second)
		s.enter("alice-mic", "alice", 1)
		alice.speak(s, 12*time.Second)
		s.link(false)
		time.Sleep(5 * time.Second)
		s.link(true)
		time.Sleep(10 * time.Second)
		alice.speak(s, 2*time.Second)
		s.leave("alice-mic")
		time.Sleep(time.Second)
		if err := c.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.stop()
		stop()
		all := readLog(t, l)
		got := strings.Join(path(t, all), " ")
		for _, want := range []string{
			"capture.waiting", "user.joined", "stream.added", "capture.recording", "segment.sealed", "capture.reconnecting",
			"stream.removed", "capture.finalizing", "recording.sealed", "capture.complete",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("there is no %s among %s", want, got)
			}
		}
		last := all[len(all)-1]
		if last.Type != "capture.complete" || last.Data.Capture.End == nil || len(last.Data.Capture.Streams) != 1 || last.Room != "r" {
			t.Errorf("the last event is %+v", last)
		}
		for _, e := range all {
			if e.Type == "user.joined" && fmt.Sprint(e.Data.Details["user"]) != "map[userID:alice userName:alice]" {
				t.Errorf("user.joined names %v", e.Data.Details["user"])
			}
		}
	})
}

// TestNoEventIsLostInKills kills a daemon at random moments of a call, the log
// of events up to 100 ms before the rest. The last life ends the capture, and
// dies as it does so.
func TestNoEventIsLostInKills(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			s, data := newStage(), t.TempDir()
			alice := newVoice(t, "mic0", 500)
			var c *capture.Capture
			life := func(then func()) {
				l, stopLog := openLog(t, data)
				d := &deafening{Log: l}
				h := open(t, data, s, func(c *capture.Config) { c.Events = d })
				if c == nil {
					c = h.start("a")
				} else {
					var err error
					if c, err = h.captures.Get("a"); err != nil {
						t.Fatal(err)
					}
				}
				then()
				time.Sleep(time.Duration(rnd.IntN(700)) * time.Millisecond)
				d.silence()
				time.Sleep(time.Duration(rnd.IntN(100)) * time.Millisecond)
				synctest.Wait()
				image := h.kill()
				stopLog()
				data = image
			}
			for i := range 4 {
				life(func() {
					id := fmt.Sprint("mic", i)
					s.enter(id, "user"+id, uint32(i+1))
					if alice.id = id; i%2 == 0 {
						alice.speak(s, time.Duration(5+rnd.IntN(8))*time.Second)
					}
					time.Sleep(5 * time.Second) // some say nothing, and that is no gap in the books
					if i == 1 {
						s.link(false)
						time.Sleep(time.Duration(rnd.IntN(3000)) * time.Millisecond)
						s.link(true)
					}
					s.leave(id)
				})
			}
			life(func() {
				time.Sleep(3 * time.Second)
				go func() { _ = c.Stop(context.Background()) }() // ends with the house
				time.Sleep(time.Duration(rnd.IntN(600)) * time.Millisecond)
			})
			l, stopLog := openLog(t, data)
			h := open(t, data, s, func(c *capture.Config) { c.Events = l })
			m := h.finish("a")
			h.stop()
			stopLog()
			all := readLog(t, l)
			types := path(t, all)
			for kind, want := range map[string]int{
				"user.joined": h.events(m, "user.joined"), "stream.added": h.events(m, "stream.added"), "stream.removed": h.events(m, "stream.removed"),
				"segment.sealed": len(m.Segments), "recording.sealed": 1, "capture.complete": 1,
			} {
				n := 0
				for _, e := range types {
					if e == kind {
						n++
					}
				}
				if n != want {
					t.Errorf("seed %d: %d events %s, the recording has %d", seed, n, kind, want)
				}
			}
			if last := types[len(types)-1]; last != "capture.complete" {
				t.Errorf("seed %d: the last event is %s", seed, last)
			}
		})
	}
}
