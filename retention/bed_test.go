package retention_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mixdown/audit"
	"mixdown/events"
	"mixdown/retention"
	"mixdown/storage"
	"mixdown/storage/file"
)

// errCrash is what a process that dies here would not have seen.
var errCrash = errors.New("the process dies")

// bed is a keeper over buckets in folders, with recordings that nobody had to
// record.
type bed struct {
	t      testing.TB
	dir    string
	key    *storage.Key
	audit  *audit.Log
	keeper *retention.Keeper

	buckets map[string]retention.Storage
	deletes func(bucket, key string) error // before every deletion
	extends func(bucket, key string)       // before every lock that is extended

	mu      sync.Mutex
	recs    map[string]retention.Recording
	put     map[string][]byte // what went into the spool, by storage and key
	events  []events.Event
	pending map[string]int // by storage
	crash   func(step string) error
}

// watched tells the bed of deletions.
type watched struct {
	*file.Bucket
	b    *bed
	name string
}

func (w watched) Delete(ctx context.Context, key string) error {
	if w.b.deletes != nil {
		if err := w.b.deletes(w.name, key); err != nil {
			return err
		}
	}
	return w.Bucket.Delete(ctx, key)
}

func (w watched) ExtendLock(ctx context.Context, key string, l storage.Lock) error {
	if w.b.extends != nil {
		w.b.extends(w.name, key)
	}
	return w.Bucket.ExtendLock(ctx, key, l)
}

func (b *bed) Publish(e events.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, old := range b.events {
		if e.Series != "" && old.Series == e.Series && old.Capture == e.Capture && old.Number >= e.Number {
			return
		}
	}
	b.events = append(b.events, e)
}

func (b *bed) published(kind string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		if e.Type == kind {
			n++
		}
	}
	return n
}

func (b *bed) Get(id string) (retention.Recording, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r, ok := b.recs[id]
	return r, ok
}

func (b *bed) All() []retention.Recording {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Values(b.recs))
}

func (b *bed) Forget(id string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.recs, id)
	return nil
}

var classes = map[string]retention.Class{
	"short": {Days: 7, Early: true},
	"month": {Days: 30},
	"legal": {Days: 90, Lock: storage.Governance},
	"worm":  {Days: 90, Lock: storage.Compliance},
}

// memoryDir is a folder on which fsync costs nothing.
func memoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "mixdown-retention-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func newBed(t testing.TB, dir string, storages ...string) *bed {
	t.Helper()
	b := &bed{
		t: t, dir: dir, buckets: map[string]retention.Storage{}, recs: map[string]retention.Recording{},
		put: map[string][]byte{}, pending: map[string]int{},
	}
	var err error
	if b.key, err = storage.LoadOrCreateKey(filepath.Join(dir, "keys")); err != nil {
		t.Fatal(err)
	}
	for _, name := range storages {
		bucket, err := file.Open(filepath.Join(dir, "buckets", name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { bucket.Close() })
		b.buckets[name] = watched{bucket, b, name}
	}
	if b.audit, err = audit.Open(audit.Config{Dir: filepath.Join(dir, "audit"), Key: b.key, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.audit.Close() })
	b.restart()
	return b
}

// restart opens the keeper as the next life of the daemon would.
func (b *bed) restart() {
	b.t.Helper()
	config := retention.Config{
		Dir: filepath.Join(b.dir, "retention"), Disposals: filepath.Join(b.dir, "disposals"), Classes: classes, Recordings: b,
		Storages: b.buckets, Key: b.key, Audit: b.audit, Events: b, Log: slog.New(slog.DiscardHandler), Rate: 1e6,
		Pending: func(storage, prefix string) (int, int64) { return b.pending[storage], 0 },
		Put: func(key string, data []byte, storages []string) error {
			for _, s := range storages {
				b.put[s+"/"+key] = data
			}
			return nil
		},
	}
	k, err := retention.New(config.WithFault(func(step string) error {
		if b.crash == nil {
			return nil
		}
		return b.crash(step)
	}))
	if err != nil {
		b.t.Fatal(err)
	}
	b.keeper = k
}

// record makes a recording that still runs, with a few files in its storages.
func (b *bed) record(id, room, class string, days int, storages ...string) retention.Recording {
	b.t.Helper()
	policy, err := b.keeper.Admit(b.t.Context(), id, class, days, storages)
	if err != nil {
		b.t.Fatal(err)
	}
	r := retention.Recording{
		ID: id, Room: storage.Room{System: "mixdown", RoomID: room}, Users: []string{"ann", "user-of-" + id}, Labels: map[string]string{"case": id},
		Start: time.Now(), Base: storage.KeyName(room) + "/" + id, Storages: storages, Policy: policy,
	}
	b.mu.Lock()
	b.recs[id] = r
	b.mu.Unlock()
	for _, name := range storages {
		for _, path := range []string{"mix/000001-a.ogg", "mix/000002-b.ogg", "streams/ann/mic/000001-a.ogg"} {
			b.store(name, r.Base+"/"+path, false)
		}
	}
	return r
}

// store puts an object as the uploader does.
func (b *bed) store(name, key string, replace bool) {
	b.t.Helper()
	data := []byte("content of " + name + "/" + key)
	o := storage.PutOptions{Size: int64(len(data)), SHA256: sha256.Sum256(data), Replace: replace}
	if !replace {
		o.Lock = b.keeper.LockOf(name, key)
	}
	if err := b.buckets[name].Put(b.t.Context(), key, bytes.NewReader(data), o); err != nil {
		b.t.Fatal(err)
	}
}

// stop ends a recording.
func (b *bed) stop(id string) {
	b.t.Helper()
	r, _ := b.Get(id)
	for _, name := range r.Storages {
		b.store(name, r.Base+"/manifest.json", true)
	}
	r.End = time.Now()
	if r.Policy != nil {
		policy, until := *r.Policy, storage.At(r.End.AddDate(0, 0, r.Policy.Days))
		policy.RetainUntil = &until
		r.Policy = &policy
	}
	b.mu.Lock()
	b.recs[id] = r
	b.mu.Unlock()
}

// objects lists what a storage holds below a prefix, with hashes, as
// certificates do.
func (b *bed) objects(base string) (all []string) {
	b.t.Helper()
	for name, bucket := range b.buckets {
		for o, err := range bucket.List(b.t.Context(), base) {
			if err != nil {
				b.t.Fatal(err)
			}
			o, err = bucket.Stat(b.t.Context(), o.Key)
			if err != nil {
				b.t.Fatal(err)
			}
			all = append(all, fmt.Sprintf("%s %s %d %s", name, o.Key, o.Size, hex.EncodeToString(o.SHA256[:])))
		}
	}
	slices.Sort(all)
	return all
}

// certified expects a recording's certificate to list these objects, signed,
// and in every storage.
func (b *bed) certified(t interface{ Errorf(string, ...any) }, r retention.Recording, objects []string) retention.Certificate {
	encoded, signature, err := b.keeper.Certificate(r.ID)
	if err != nil {
		t.Errorf("%v", err)
		return retention.Certificate{}
	}
	c, by, err := retention.VerifyCertificate(encoded, signature, b.key.PublicKeys())
	if err != nil || by != b.key.ID() {
		t.Errorf("signed by %s: %v", by, err)
	}
	var got []string
	for _, o := range c.Objects {
		got = append(got, fmt.Sprintf("%s %s %d %s", o.Storage, o.Key, o.Bytes, o.SHA256))
	}
	slices.Sort(got)
	if !slices.Equal(got, objects) {
		t.Errorf("the certificate of %s lists\n%s\nthere was\n%s", r.ID, strings.Join(got, "\n"), strings.Join(objects, "\n"))
	}
	for _, name := range r.Storages {
		if !bytes.Equal(b.put[name+"/"+r.Base+".disposed.json"], encoded) || !bytes.Equal(b.put[name+"/"+r.Base+".disposed.json.sig"], signature) {
			t.Errorf("storage %s does not get the certificate of %s", name, r.ID)
		}
	}
	return c
}
