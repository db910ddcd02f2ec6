package mixer

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Preparer is what the reader of an input may be too. Prepare does what the next
// ReadFrame needs and others do not, such as decoding; then ReadFrame has little
// left to do. Many inputs are prepared at once by several goroutines, so it must
// not touch what is not its own. A panic in it breaks the input like one in
// ReadFrame. Where inputs are few it is not called.
type Preparer interface{ Prepare() }

const (
	// share is how many inputs are worth another goroutine. One core decodes 250
	// as they come; to share what it can do alone costs 3 to 5 % more, for what
	// one core has decoded another one adds up.
	share = 64
	// handful is how many inputs one takes at a time.
	handful = 4
)

// crew is a caller and its helpers, who prepare inputs side by side. All of them
// are gone when the frame is prepared.
type crew struct {
	work   func() // made once, for to go it allocates
	inputs []*input
	next   atomic.Int64 // of inputs
	busy   sync.WaitGroup
}

func newCrew() *crew {
	c := new(crew)
	c.work = c.help
	return c
}

// prepare prepares all inputs that can be, if they are many, and returns when
// that is done.
func (c *crew) prepare(inputs []*input) {
	if len(inputs) < 2*share {
		return
	}
	helpers := min(runtime.GOMAXPROCS(0), len(inputs)/share) - 1
	if helpers < 1 {
		return
	}
	c.inputs = inputs
	c.next.Store(0)
	c.busy.Add(helpers + 1)
	for range helpers {
		go c.work()
	}
	c.work()
	c.busy.Wait()
	c.inputs = nil
}

// help prepares inputs while there are some.
func (c *crew) help() {
	defer c.busy.Done()
	for {
		end := int(c.next.Add(handful))
		for i := end - handful; i < end; i++ {
			if i >= len(c.inputs) {
				return
			}
			c.inputs[i].prepare()
		}
	}
}

// prepare does the reader's work for the next frame, if it can be done before.
func (in *input) prepare() {
	if r, ok := in.reader.(Preparer); ok {
		defer contain(&in.broken)
		r.Prepare()
	}
}
