package capture

import (
	"context"
	"encoding/hex"
	"fmt"
	"path"
	"time"

	"mixdown/storage"
)

// stampEvery is how often an authority that gave no time stamp is asked again.
const stampEvery = time.Minute

// TimeStamp is the time stamp of a sealed recording, by an authority elsewhere.
type TimeStamp struct {
	Of      string        `json:"of" doc:"SHA-256 of manifest.json, which is stamped."`
	At      *storage.Time `json:"at" doc:"What the authority says; null while it has not."`
	Trouble string        `json:"trouble,omitempty" doc:"Why there is none yet; it is asked again every minute."`
}

// sealedAs notes what is sealed, and that it wants a time stamp if there is an
// authority.
func (c *Capture) sealedAs(mark *storage.SealMark, sum [32]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.status.Sealed, c.mu.status.TimeStamp = mark, nil
	if c.env.Stamp != nil {
		c.mu.status.TimeStamp = &TimeStamp{Of: hex.EncodeToString(sum[:])}
	}
}

// stamp gets time stamps for what is sealed until ctx ends. The seal waits for
// none of it.
func (m *Manager) stamp(ctx context.Context) {
	if m.config.Stamp == nil {
		return
	}
	tick := time.NewTicker(stampEvery)
	defer tick.Stop()
	for {
		for _, c := range m.List() {
			if err := c.stampOnce(ctx); err != nil {
				c.log.Warn("recording has no time stamp yet", "err", err)
				break // the others fare no better
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-m.config.sealed:
		}
	}
}

// stampOnce gets the time stamp of a recording that wants one.
func (c *Capture) stampOnce(ctx context.Context) error {
	c.mu.Lock()
	stamp, ended := c.mu.status.TimeStamp, c.mu.state.Ended()
	c.mu.Unlock()
	if !ended || stamp == nil || stamp.At != nil {
		return nil
	}
	at, err := c.getStamp(ctx, stamp.Of)
	next := TimeStamp{Of: stamp.Of}
	if err != nil {
		next.Trouble = err.Error()
	} else {
		next.At = &at
	}
	c.mu.Lock()
	c.mu.status.TimeStamp = &next
	c.mu.Unlock()
	if err != nil {
		return err
	}
	c.tell("recording.stamped", map[string]any{"stamp": next})
	return c.save()
}

func (c *Capture) getStamp(ctx context.Context, of string) (storage.Time, error) {
	sum, err := hex.DecodeString(of)
	if err != nil || len(sum) != 32 {
		return storage.Time{}, fmt.Errorf("%q is no SHA-256", of)
	}
	token, at, err := c.env.Stamp(ctx, [32]byte(sum))
	if err != nil {
		return storage.Time{}, err
	}
	if _, err := c.env.Spool.Put(path.Join(c.Base(), storage.TimeStampName), token, c.Storages()); err != nil {
		return storage.Time{}, fmt.Errorf("store the time stamp: %w", err)
	}
	return storage.At(at), nil
}
