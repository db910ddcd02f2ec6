// Package storagetest holds what tests of storage share: the contract suite
// that every bucket must pass, and a real S3 server on loopback.
package storagetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"
	"testing"

	"mixdown/storage"
)

// Bucket is what the suite tests: both halves of a store.
type Bucket interface {
	storage.Bucket
	storage.Browser
}

// TestBucket runs the contract of [storage.Bucket] and [storage.Browser].
// open returns a new empty bucket at every call.
func TestBucket(t *testing.T, open func(t *testing.T) Bucket) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Bucket)
	}{
		{"RoundTrip", roundTrip},
		{"Missing", missing},
		{"Repeat", repeat},
		{"Conflict", conflict},
		{"Replace", replace},
		{"Damaged", damaged},
		{"List", list},
		{"Cancelled", cancelled},
		{"Concurrent", concurrent},
		{"HostileKeys", hostileKeys},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

func options(data []byte) storage.PutOptions {
	return storage.PutOptions{Size: int64(len(data)), SHA256: sha256.Sum256(data), ContentType: "audio/ogg"}
}

func put(t *testing.T, b Bucket, key string, data []byte) {
	t.Helper()
	if err := b.Put(t.Context(), key, bytes.NewReader(data), options(data)); err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
}

func expect(t *testing.T, b Bucket, key string, want []byte) {
	t.Helper()
	f, o, err := b.Open(t.Context(), key)
	if err != nil {
		t.Fatalf("open %s: %v", key, err)
	}
	defer f.Close()
	got, err := io.ReadAll(f)
	if err != nil || !bytes.Equal(got, want) || o.Size != int64(len(want)) || o.Key != key {
		t.Fatalf("open %s: %d bytes, object %+v, %v; want %d bytes", key, len(got), o, err, len(want))
	}
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8*13)
	}
	return b
}

func roundTrip(t *testing.T, b Bucket) {
	for _, size := range []int{0, 1, 1000, 17 << 20} {
		key := fmt.Sprintf("room/call/mix/%06d-20261123T081500.120Z.ogg", size)
		data := pattern(size)
		r := bytes.NewReader(data)
		if _, err := r.Seek(int64(size/2), io.SeekStart); err != nil { // Put must rewind
			t.Fatal(err)
		}
		if err := b.Put(t.Context(), key, r, options(data)); err != nil {
			t.Fatalf("put %d bytes: %v", size, err)
		}
		expect(t, b, key, data)
		o, err := b.Stat(t.Context(), key)
		if err != nil || o.Size != int64(size) || o.SHA256 != sha256.Sum256(data) || o.ModTime.IsZero() || o.Key != key {
			t.Fatalf("stat: %+v, %v", o, err)
		}
	}
	f, _, err := b.Open(t.Context(), "room/call/mix/001000-20261123T081500.120Z.ogg")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Seek(-10, io.SeekEnd); err != nil {
		t.Fatal(err)
	}
	tail, err := io.ReadAll(f)
	if want := pattern(1000)[990:]; err != nil || !bytes.Equal(tail, want) {
		t.Fatalf("tail %x, %v; want %x", tail, err, want)
	}
}

func missing(t *testing.T, b Bucket) {
	put(t, b, "a/b", []byte("x"))
	for _, key := range []string{"nothing", "a", "a/b/c", "a/bb"} {
		if _, err := b.Stat(t.Context(), key); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("stat %s: %v", key, err)
		}
		if f, _, err := b.Open(t.Context(), key); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("open %s: %v, %v", key, f, err)
		}
	}
}

func repeat(t *testing.T, b Bucket) {
	data := pattern(5000)
	for range 3 {
		put(t, b, "k/segment.ogg", data)
	}
	expect(t, b, "k/segment.ogg", data)
}

func conflict(t *testing.T, b Bucket) {
	first, other := pattern(5000), pattern(5001)[1:]
	put(t, b, "k/segment.ogg", first)
	for _, data := range [][]byte{other, first[:4000], nil} {
		err := decide(t, b, "k/segment.ogg", data)
		if !errors.Is(err, storage.ErrConflict) {
			t.Fatalf("put of other content: %v", err)
		}
	}
	expect(t, b, "k/segment.ogg", first)
}

// decide puts until it is told whether the key is taken. A try may end without an
// answer: a server may hang up before it has read what it refuses.
func decide(t *testing.T, b Bucket, key string, data []byte) (err error) {
	for range 20 {
		err = b.Put(t.Context(), key, bytes.NewReader(data), options(data))
		if err == nil || errors.Is(err, storage.ErrConflict) {
			break
		}
	}
	return err
}

func replace(t *testing.T, b Bucket) {
	for i := range 4 {
		data := fmt.Appendf(nil, `{"version":%d}`, i/2)
		o := options(data)
		o.Replace = true
		if err := b.Put(t.Context(), "k/manifest.json", bytes.NewReader(data), o); err != nil {
			t.Fatal(err)
		}
		expect(t, b, "k/manifest.json", data)
	}
}

// damaged puts content that is not what the options announce.
func damaged(t *testing.T, b Bucket) {
	data := pattern(3000)
	wrong := bytes.Clone(data)
	wrong[1500] ^= 1
	err := b.Put(t.Context(), "k/x.ogg", bytes.NewReader(wrong), options(data))
	if err == nil || errors.Is(err, storage.ErrConflict) {
		t.Errorf("put of damaged content: %v", err)
	}
	if err := b.Put(t.Context(), "k/x.ogg", bytes.NewReader(data[:2000]), options(data)); err == nil {
		t.Error("put of cut content was accepted")
	}
	if o, err := b.Stat(t.Context(), "k/x.ogg"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("damaged content was stored: %+v, %v", o, err)
	}
	put(t, b, "k/x.ogg", data)
}

func list(t *testing.T, b Bucket) {
	keys := []string{
		"room/call/manifest.json", "room/call/mix/000001-a.ogg", "room/call/mix/000002-b.ogg", "room/call.txt",
		"room/call/mix.json", "room/call2/x", "room2/call/x", "Z", "room/call/streams/u=20v/s/1.ogg", "room/call-x",
	}
	for _, k := range keys {
		put(t, b, k, []byte(k))
	}
	slices.Sort(keys)
	for _, prefix := range []string{"", "room/call", "room/call/", "room/call/mix", "room/call/mix/", "room", "nothing", "room/call/mix/000001-a.ogg", "room/call/mix/000001-a.ogg/", "Z"} {
		var want, got []string
		for _, k := range keys {
			if len(k) >= len(prefix) && k[:len(prefix)] == prefix {
				want = append(want, k)
			}
		}
		for o, err := range b.List(t.Context(), prefix) {
			if err != nil {
				t.Fatalf("list %q: %v", prefix, err)
			}
			if o.Size != int64(len(o.Key)) {
				t.Errorf("list %q: %+v", prefix, o)
			}
			got = append(got, o.Key)
		}
		if !slices.Equal(got, want) {
			t.Errorf("list %q:\n got %q\nwant %q", prefix, got, want)
		}
	}
	for range b.List(t.Context(), "") {
		break // must end the iteration, not panic
	}
}

func cancelled(t *testing.T, b Bucket) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	data := pattern(100)
	if err := b.Put(ctx, "k", bytes.NewReader(data), options(data)); err == nil {
		t.Error("put with an ended context succeeded")
	}
	if _, err := b.Stat(ctx, "k"); err == nil {
		t.Error("stat with an ended context succeeded")
	}
	for _, err := range b.List(ctx, "") {
		if err == nil {
			t.Error("list with an ended context yielded an object")
		}
	}
	if _, err := b.Stat(t.Context(), "k"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("cancelled put left something: %v", err)
	}
}

// concurrent lets writers of different contents race for one key: exactly one
// may win, and all who brought the winner's content are told so.
func concurrent(t *testing.T, b Bucket) {
	contents := [][]byte{pattern(40_000), pattern(40_001)[1:]}
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			errs[i] = decide(t, b, "k/race.ogg", contents[i%2])
		})
	}
	wg.Wait()
	o, err := b.Stat(t.Context(), "k/race.ogg")
	if err != nil {
		t.Fatal(err)
	}
	for i, err := range errs {
		won := sha256.Sum256(contents[i%2]) == o.SHA256
		if won && err != nil || !won && !errors.Is(err, storage.ErrConflict) {
			t.Errorf("writer %d (won: %v): %v", i, won, err)
		}
	}
}

func hostileKeys(t *testing.T, b Bucket) {
	for _, key := range []string{"", "..", "../x", "a/../../x", "/etc/x", "a//b", "./a", "a/", "a\x00b"} {
		data := []byte("x")
		if err := b.Put(t.Context(), key, bytes.NewReader(data), options(data)); err == nil {
			t.Errorf("put %q succeeded", key)
		}
		if _, err := b.Stat(t.Context(), key); err == nil {
			t.Errorf("stat %q succeeded", key)
		}
	}
	for o, err := range b.List(t.Context(), "") {
		t.Errorf("something was stored: %+v, %v", o, err)
	}
}
