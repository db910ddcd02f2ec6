package s3

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"sync"

	"mixdown/storage"
)

// cutOff remembers the keys whose PUT found the connection broken. A server that
// refuses by the headers alone hangs up while the body is on its way, and its
// answer is lost with the write that fails: a large object would be sent again
// and again without ever learning that the key is taken. The next attempt asks
// first what is there. Not this one: a server that went away is asked once a try.
type cutOff struct {
	mu   sync.Mutex
	keys map[string]bool
}

// mostCutOff bounds the memory of keys that are not tried again.
const mostCutOff = 10_000

func (c *cutOff) note(key string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var op *net.OpError
	switch {
	case !errors.As(err, &op) || op.Op == "dial" || op.Timeout():
		delete(c.keys, key)
	case c.keys == nil || len(c.keys) >= mostCutOff:
		c.keys = map[string]bool{key: true}
	default:
		c.keys[key] = true
	}
}

func (c *cutOff) has(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.keys[key]
}

// decided says how the last attempt to put a key ended, of which no answer came.
// It has not if the key is free, or if the server does not tell.
func (b *Bucket) decided(ctx context.Context, key string, o storage.PutOptions) (done bool, err error) {
	if o.Replace || !b.cutOff.has(key) {
		return false, nil
	}
	switch err = b.compare(ctx, key, o); {
	case err == nil, errors.Is(err, storage.ErrConflict):
		b.cutOff.note(key, nil)
		return true, err
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	}
	return storage.FailureOf(err) == storage.Unreachable, err
}
