package capture

import (
	"context"
	"fmt"
	"sync"
	"time"

	"mixdown/storage"
)

// keepEvery is how often records are made durable: with the time of an fsync
// it is what a kill can cost.
const keepEvery = 250 * time.Millisecond

// keeper moves records from the inbox through the journal to the timeline, on
// its own goroutine: neither rendering nor the room ever waits for the disk,
// and the disk never waits for rendering.
type keeper struct {
	inbox   *inbox
	journal *storage.Journal
	clock   clock

	mu   sync.Mutex
	due  inbox         // journaled, not yet applied
	kept time.Duration // every record up to here is in due or applied
	err  error         // of the last try
}

// run keeps until ctx ends.
func (k *keeper) run(ctx context.Context) {
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			k.keep(k.clock.now())
		}
	}
}

// keep journals what came until now. A journal that cannot write keeps it in
// memory and tries again.
func (k *keeper) keep(now time.Duration) {
	err := k.hand(now)
	if serr := k.journal.Sync(); err == nil {
		err = serr
	}
	if err != nil {
		err = fmt.Errorf("journal: %w", err)
	}
	k.mu.Lock()
	k.err = err
	k.mu.Unlock()
}

func (k *keeper) hand(now time.Duration) (err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range k.inbox.take(now) {
		if aerr := k.journal.Append(r); aerr != nil {
			err = aerr
		}
		k.due.put(r)
	}
	k.kept = now
	return err
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

// rotate starts a new stretch of the journal with a checkpoint of a timeline
// that has applied everything but what is due: that follows it.
func (k *keeper) rotate(checkpoint []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.journal.Rotate(checkpoint); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	for _, r := range k.due.records {
		if err := k.journal.Append(r); err != nil {
			return fmt.Errorf("journal: %w", err)
		}
	}
	return nil
}
