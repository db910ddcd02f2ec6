package capture

import (
	"fmt"
	"math"
	"sync"
	"time"

	"mixdown/storage"
)

// keeper moves records from the inbox through the journal to the timeline. The
// flusher of all captures makes them durable: neither rendering nor the room
// ever waits for that, and it never waits for rendering.
type keeper struct {
	inbox   *inbox
	journal *storage.Journal
	clock   *clock

	mu       sync.Mutex    // never held across I/O
	due      inbox         // in the journal, not yet applied
	kept     time.Duration // every record up to here is in due or applied
	durable  time.Duration // no kill and no power cut loses a record up to here
	lostFrom time.Duration // when records found no room in the journal
	lostTo   time.Duration
	err      error // of the last flush
	size     int   // of the last checkpoint
}

// hand passes what came until now to the journal and to the timeline. It only
// touches memory.
func (k *keeper) hand() { k.handTo(k.clock.now()) }

func (k *keeper) handTo(now time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range k.inbox.take(now) {
		if err := k.journal.Append(r); err != nil {
			k.err = fmt.Errorf("journal: %w", err)
			if k.lostTo <= k.durable {
				k.lostFrom = time.Duration(r.At)
			}
			k.lostTo = time.Duration(r.At)
		}
		k.due.put(r)
	}
	k.kept = max(k.kept, now)
}

// keep journals everything that came and makes it durable. What the disk does
// not take stays in memory for the next try.
func (k *keeper) keep() {
	k.handTo(math.MaxInt64)
	k.sync()
}

// write saves what was handed over from a kill, but not from a power cut.
func (k *keeper) write() {
	if err := k.journal.Write(); err != nil {
		k.flushed(0, err)
	}
}

// start lets the disk begin with what was written.
func (k *keeper) start() { k.journal.Start() }

// sync saves what was handed over from both.
func (k *keeper) sync() {
	upTo, _ := k.until()
	upTo = min(upTo, k.clock.now())
	k.flushed(upTo, k.journal.Sync())
}

func (k *keeper) flushed(upTo time.Duration, err error) {
	if err != nil {
		err = fmt.Errorf("journal: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.err = err
	if err == nil {
		k.durable = max(k.durable, upTo)
	}
}

// take removes the records up to capture time upTo, which must be kept. They
// are valid until the next take.
func (k *keeper) take(upTo time.Duration) []storage.Record {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.due.take(upTo)
}

// until is the time up to which records can be taken, and what is wrong with
// the journal.
func (k *keeper) until() (kept time.Duration, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.kept, k.err
}

// safe is the capture time up to which the journal alone can bring back
// everything, for an output that is sealed up to the given time.
func (k *keeper) safe(sealed time.Duration) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	if sealed < k.lostTo {
		return min(k.durable, k.lostFrom)
	}
	return k.durable
}

// rotate starts a new stretch of the journal with a snapshot of a timeline that
// has applied everything but what is due. That is in the checkpoint too: a kill
// leaves all of it or none.
func (k *keeper) rotate(snapshot []byte) error {
	err := k.begin(snapshot)
	if err == nil {
		err = k.journal.Sync()
	}
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

func (k *keeper) begin(snapshot []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	checkpoint := joinCheckpoint(snapshot, k.due.records)
	k.size = len(checkpoint)
	return k.journal.Begin(checkpoint)
}

// checkpointSize is room for a checkpoint that is little larger than the last.
func (k *keeper) checkpointSize() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.size + k.size/16
}
