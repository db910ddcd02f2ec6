package s3_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"mixdown/storage"
	"mixdown/storage/s3"
	"mixdown/storage/s3/s3test"
	"mixdown/storage/storagetest"
)

// openLocking makes a new bucket with object lock.
func openLocking(t *testing.T, server storagetest.S3, name string) *s3.Bucket {
	t.Helper()
	s3test.MakeLockingBucket(t, server, name)
	c := config(server)
	c.Bucket, c.Prefix = name, "tenant"
	return open(t, c)
}

func TestKeeper(t *testing.T) {
	server := storagetest.StartS3(t)
	buckets := 0
	storagetest.TestKeeper(t, func(t *testing.T) storagetest.Keeper {
		buckets++
		return openLocking(t, server, fmt.Sprintf("keeper-%02d", buckets))
	})
}

// Deleting works where nothing can be locked, too.
func TestDeleteWithoutVersions(t *testing.T) {
	b := open(t, config(storagetest.StartS3(t)))
	for _, key := range []string{"a/k", "a/k2"} {
		if err := put(t.Context(), b, key, []byte(key)); err != nil {
			t.Fatal(err)
		}
	}
	if l, err := b.Lock(t.Context(), "a/k"); err != nil || l.Mode != storage.Unlocked {
		t.Errorf("lock: %s, %v", l, err)
	}
	for range 2 {
		if err := b.Delete(t.Context(), "a/k"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Stat(t.Context(), "a/k"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("deleted: %v", err)
	}
	if _, err := b.Stat(t.Context(), "a/k2"); err != nil {
		t.Errorf("its neighbour: %v", err)
	}
}

// What a compliance lock keeps, the server keeps: also from a client with the
// root keys that does not go through this package.
func TestComplianceIsTheServers(t *testing.T) {
	server := storagetest.StartS3(t)
	b := openLocking(t, server, "worm")
	l := storage.Lock{Mode: storage.Compliance, Until: time.Now().Add(time.Hour).UTC().Truncate(time.Second)}
	data := []byte("audio")
	o := storage.PutOptions{Size: 5, SHA256: sha(data), Lock: l}
	if err := b.Put(t.Context(), "k.ogg", bytes.NewReader(data), o); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Lock(t.Context(), "k.ogg"); err != nil || got != l {
		t.Errorf("read back: %s, %v, want %s", got, err, l)
	}
	if err := b.Delete(t.Context(), "k.ogg"); !errors.Is(err, storage.ErrLocked) || !strings.Contains(err.Error(), "compliance") {
		t.Errorf("delete: %v", err)
	}
	root := s3test.Client(t, server)
	info, err := root.StatObject(t.Context(), "worm", "tenant/k.ogg", minio.StatObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	err = root.RemoveObject(t.Context(), "worm", "tenant/k.ogg", minio.RemoveObjectOptions{VersionID: info.VersionID, GovernanceBypass: true})
	if minio.ToErrorResponse(err).Code != minio.AccessDenied {
		t.Errorf("the server let root delete: %v", err)
	}
	mode, sooner := minio.Compliance, l.Until.Add(-time.Minute)
	err = root.PutObjectRetention(t.Context(), "worm", "tenant/k.ogg", minio.PutObjectRetentionOptions{Mode: &mode, RetainUntilDate: &sooner, GovernanceBypass: true})
	if minio.ToErrorResponse(err).Code != minio.AccessDenied {
		t.Errorf("the server let root shorten: %v", err)
	}
	// Hiding is all that is left, and it does not take the content away.
	if err := root.RemoveObject(t.Context(), "worm", "tenant/k.ogg", minio.RemoveObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := b.Delete(t.Context(), "k.ogg"); !errors.Is(err, storage.ErrLocked) {
		t.Errorf("delete a hidden object: %v", err)
	}
	if _, err := root.StatObject(t.Context(), "worm", "tenant/k.ogg", minio.StatObjectOptions{VersionID: info.VersionID}); err != nil {
		t.Errorf("the locked version: %v", err)
	}
}

func TestBucketWithoutLock(t *testing.T) {
	server := storagetest.StartS3(t)
	b := open(t, config(server))
	for _, mode := range []storage.LockMode{storage.Governance, storage.Compliance} {
		if err := b.CanLock(t.Context(), mode); !errors.Is(err, storage.ErrNoLock) {
			t.Errorf("can lock: %v", err)
		}
	}
	data := []byte("audio")
	o := storage.PutOptions{Size: 5, SHA256: sha(data), Lock: storage.Lock{Mode: storage.Governance, Until: time.Now().Add(time.Hour)}}
	if err := b.Put(t.Context(), "k", bytes.NewReader(data), o); !errors.Is(err, storage.ErrPermanent) || !errors.Is(err, storage.ErrNoLock) {
		t.Errorf("put with a lock: %v", err)
	}
	c := config(server)
	c.Bucket = "no-such-bucket"
	if err := open(t, c).CanLock(t.Context(), storage.Governance); !errors.Is(err, storage.ErrPermanent) || errors.Is(err, storage.ErrNoLock) {
		t.Errorf("no such bucket: %v", err)
	}
}

// The lock of an object whose first Put was one without is made good by the
// uploader; see storage's own tests. Here: that extending from nothing works,
// and that a governance lock does not turn into a weaker thing.
func TestExtendFromNothing(t *testing.T) {
	b := openLocking(t, storagetest.StartS3(t), "later")
	if err := put(t.Context(), b, "k", []byte("x")); err != nil {
		t.Fatal(err)
	}
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	if err := b.ExtendLock(t.Context(), "k", storage.Lock{Mode: storage.Compliance, Until: until}); err != nil {
		t.Fatal(err)
	}
	if err := b.ExtendLock(t.Context(), "k", storage.Lock{Mode: storage.Governance, Until: until.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	want := storage.Lock{Mode: storage.Compliance, Until: until.Add(time.Hour)}
	if got, err := b.Lock(t.Context(), "k"); err != nil || got != want {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
}
