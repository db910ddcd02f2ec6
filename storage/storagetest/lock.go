package storagetest

import (
	"bytes"
	"errors"
	"io/fs"
	"testing"
	"time"

	"mixdown/storage"
)

// Keeper is a bucket that can lock and delete.
type Keeper interface {
	Bucket
	storage.Deleter
	storage.Locker
}

// TestKeeper runs the contract of [storage.Deleter] and [storage.Locker].
// open returns a new empty bucket that can lock, at every call.
func TestKeeper(t *testing.T, open func(t *testing.T) Keeper) {
	t.Run("Delete", func(t *testing.T) { deleted(t, open(t)) })
	t.Run("Lock", func(t *testing.T) { locked(t, open(t)) })
	t.Run("LockLater", func(t *testing.T) { lockedLater(t, open(t)) })
	t.Run("LockEnds", func(t *testing.T) { lockEnds(t, open(t)) })
}

func deleted(t *testing.T, b Keeper) {
	for _, key := range []string{"room/call/a.ogg", "room/call/a.ogg.sig", "room/call/b.ogg", "room/other/c.ogg"} {
		put(t, b, key, []byte(key))
	}
	o := options([]byte("second"))
	o.Replace = true
	if err := b.Put(t.Context(), "room/call/a.ogg", bytes.NewReader([]byte("second")), o); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"room/call/a.ogg", "room/call/a.ogg", "room/none.ogg", "none", "room/call", "room/call/b.ogg/c"} {
		if err := b.Delete(t.Context(), key); err != nil {
			t.Errorf("delete %s: %v", key, err)
		}
	}
	if _, err := b.Stat(t.Context(), "room/call/a.ogg"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was deleted: %v", err)
	}
	for _, key := range []string{"room/call/a.ogg.sig", "room/call/b.ogg", "room/other/c.ogg"} {
		expect(t, b, key, []byte(key))
	}
	put(t, b, "room/call/a.ogg", []byte("third"))
	expect(t, b, "room/call/a.ogg", []byte("third"))
	for _, key := range []string{"", "..", "../x", "a//b", "/etc/x"} {
		if err := b.Delete(t.Context(), key); err == nil {
			t.Errorf("delete %q succeeded", key)
		}
	}
}

func readLock(t *testing.T, b Keeper, key string) storage.Lock {
	t.Helper()
	l, err := b.Lock(t.Context(), key)
	if err != nil {
		t.Fatalf("lock of %s: %v", key, err)
	}
	return l
}

// keeps expects an object to withstand everything.
func keeps(t *testing.T, b Keeper, key string, data []byte, l storage.Lock) {
	t.Helper()
	if err := b.Delete(t.Context(), key); !errors.Is(err, storage.ErrLocked) {
		t.Errorf("delete under a lock: %v", err)
	}
	expect(t, b, key, data)
	if got := readLock(t, b, key); got.Mode != l.Mode || !got.Until.Equal(l.Until) {
		t.Errorf("locked with %s, is %s", l, got)
	}
}

func locked(t *testing.T, b Keeper) {
	if err := b.CanLock(t.Context(), storage.Governance); err != nil {
		t.Fatal(err)
	}
	data := pattern(2000)
	o := options(data)
	o.Lock = storage.Lock{Mode: storage.Governance, Until: time.Now().Add(time.Hour).UTC().Truncate(time.Second)}
	for range 2 { // repeating is harmless
		if err := b.Put(t.Context(), "room/call/a.ogg", bytes.NewReader(data), o); err != nil {
			t.Fatal(err)
		}
		keeps(t, b, "room/call/a.ogg", data, o.Lock)
	}
	longer := o.Lock
	longer.Until = longer.Until.Add(24 * time.Hour)
	if err := b.ExtendLock(t.Context(), "room/call/a.ogg", longer); err != nil {
		t.Fatal(err)
	}
	keeps(t, b, "room/call/a.ogg", data, longer)
	for _, weaker := range []storage.Lock{o.Lock, {}, {Mode: storage.Governance, Until: time.Now().Add(-time.Hour)}} {
		if err := b.ExtendLock(t.Context(), "room/call/a.ogg", weaker); err != nil {
			t.Errorf("a lock that is longer already: %v", err)
		}
		keeps(t, b, "room/call/a.ogg", data, longer)
	}
}

func lockedLater(t *testing.T, b Keeper) {
	put(t, b, "k/manifest.json", []byte("{}"))
	if l := readLock(t, b, "k/manifest.json"); l.Mode != storage.Unlocked {
		t.Errorf("an object without a lock has %s", l)
	}
	if _, err := b.Lock(t.Context(), "k/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the lock of what is not there: %v", err)
	}
	l := storage.Lock{Mode: storage.Governance, Until: time.Now().Add(time.Hour).UTC().Truncate(time.Second)}
	if err := b.ExtendLock(t.Context(), "k/none", l); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("lock what is not there: %v", err)
	}
	if err := b.ExtendLock(t.Context(), "k/manifest.json", l); err != nil {
		t.Fatal(err)
	}
	keeps(t, b, "k/manifest.json", []byte("{}"), l)
}

func lockEnds(t *testing.T, b Keeper) {
	data := pattern(10)
	o := options(data)
	o.Lock = storage.Lock{Mode: storage.Governance, Until: time.Now().Add(2 * time.Second).UTC().Truncate(time.Second)}
	if err := b.Put(t.Context(), "k/x.ogg", bytes.NewReader(data), o); err != nil {
		t.Fatal(err)
	}
	<-time.After(time.Until(o.Lock.Until) + 50*time.Millisecond)
	if err := b.Delete(t.Context(), "k/x.ogg"); err != nil {
		t.Errorf("delete when the lock is over: %v", err)
	}
	if _, err := b.Stat(t.Context(), "k/x.ogg"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was deleted: %v", err)
	}
	put(t, b, "k/x.ogg", data)
	if l := readLock(t, b, "k/x.ogg"); l.Mode != storage.Unlocked {
		t.Errorf("a new object inherits %s", l)
	}
}
