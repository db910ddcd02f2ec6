package mixer_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"mixdown/mixer"
	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
)

// prepared is an input that makes its frame ahead of ReadFrame.
type prepared struct {
	from  pcm.Reader
	frame pcm.Frame
	err   error
	ahead bool
	times *atomic.Int64 // how often all of them were prepared
	meet  func()
}

func (p *prepared) Prepare() {
	p.times.Add(1)
	if p.meet != nil {
		p.meet()
	}
	p.err = p.from.ReadFrame(&p.frame)
	p.ahead = true
}

func (p *prepared) ReadFrame(f *pcm.Frame) error {
	if !p.ahead {
		return p.from.ReadFrame(f)
	}
	p.ahead = false
	*f = p.frame
	return p.err
}

// cores gives the mixers made in a test so many.
func cores(t *testing.T, n int) {
	before := runtime.GOMAXPROCS(n)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

// Many inputs are prepared by all cores, few by none, and the samples are the
// same.
func TestPreparedInputsSoundTheSame(t *testing.T) {
	cores(t, 4)
	for _, count := range []int{3, 127, 128, 200, 301} {
		var times atomic.Int64
		one, many := mixer.New(mixer.Config{Aligned: true}), mixer.New(mixer.Config{Aligned: true})
		var want, got pcmtest.Sink
		one.AddOutput(&want)
		many.AddOutput(&got)
		for i := range count {
			name := fmt.Sprint(i)
			one.AddInput(name, pcmtest.Noise(uint64(i), 0.02))
			if i%5 == 4 {
				many.AddInput(name, pcmtest.Noise(uint64(i), 0.02)) // cannot be prepared
			} else {
				many.AddInput(name, &prepared{from: pcmtest.Noise(uint64(i), 0.02), times: &times})
			}
		}
		mix(one, 10)
		mix(many, 10)
		one.Drain()
		many.Drain()
		equal(t, row(got.Frames), row(want.Frames))
		expect := int64(10 * (count - count/5))
		if count < 128 {
			expect = 0
		}
		if times.Load() != expect {
			t.Errorf("%d inputs were prepared %d times, not %d", count, times.Load(), expect)
		}
	}
}

// Preparing is really shared: two inputs wait for each other in it.
func TestInputsArePreparedSideBySide(t *testing.T) {
	cores(t, 2)
	var times atomic.Int64
	m := mixer.New(mixer.Config{})
	var both sync.WaitGroup
	both.Add(2)
	for i := range 130 {
		p := &prepared{from: pcmtest.Noise(1, 0.1), times: &times}
		if i == 0 || i == 129 {
			p.meet = func() { both.Done(); both.Wait() }
		}
		m.AddInput(fmt.Sprintf("%03d", i), p)
	}
	m.Mix()
	if n := times.Load(); n != 130 {
		t.Errorf("%d of 130 were prepared", n)
	}
}

// An input that breaks while it is prepared is taken out like one that breaks
// while it is read, and may come back.
func TestPanicInPreparation(t *testing.T) {
	cores(t, 2)
	var times atomic.Int64
	var failed []string
	m := mixer.New(mixer.Config{InputFailed: func(id string, err error) {
		failed = append(failed, id+": "+strings.SplitN(err.Error(), "\n", 2)[0])
	}})
	for i := range 130 {
		p := &prepared{from: pcmtest.Noise(1, 0.1), times: &times}
		if i == 7 {
			p.meet = func() { panic("no such packet") }
		}
		m.AddInput(fmt.Sprint(i), p)
	}
	mix(m, 3)
	if want := "7: read frame of input 7: panic: no such packet"; len(failed) != 1 || failed[0] != want {
		t.Errorf("%q", failed)
	}
	if m.Inputs() != 129 {
		t.Errorf("%d inputs are left", m.Inputs())
	}
	m.AddInput("7", &prepared{from: pcmtest.Noise(1, 0.1), times: &times})
	mix(m, 3)
	if len(failed) != 1 || m.Inputs() != 130 {
		t.Errorf("%q, %d inputs", failed, m.Inputs())
	}
}

// Helpers cost no memory.
func TestPreparationAllocatesNothing(t *testing.T) {
	cores(t, 2)
	var times atomic.Int64
	m := mixer.New(mixer.Config{})
	for i := range 128 {
		m.AddInput(fmt.Sprint(i), &prepared{from: loop(make([]pcm.Frame, 1)), times: &times})
	}
	mix(m, 200)
	// testing.AllocsPerRun takes all cores but one away, and the helpers with them.
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	mix(m, 1000)
	runtime.ReadMemStats(&after)
	if n := after.Mallocs - before.Mallocs; n > 100 { // of the runtime's own
		t.Errorf("%d allocations in 1000 frames", n)
	}
}
