package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"mixdown/storage"
)

func retentionMode(m storage.LockMode) minio.RetentionMode {
	return minio.RetentionMode(strings.ToUpper(string(m)))
}

// CanLock implements [storage.Locker]: object lock is a property that a
// bucket was made with. Both modes come with it.
func (b *Bucket) CanLock(ctx context.Context, _ storage.LockMode) error {
	enabled, _, _, _, err := b.client.GetObjectLockConfig(ctx, b.bucket)
	switch response := minio.ToErrorResponse(err); {
	case err == nil && enabled == "Enabled":
		return nil
	case err == nil, response.Code == "ObjectLockConfigurationNotFoundError", response.Code == minio.NotImplemented:
		return fmt.Errorf("bucket %s at %s was made without object lock: %w", b.bucket, b.endpoint, storage.ErrNoLock)
	}
	return b.explain("ask for object lock of", "the bucket", err)
}

// Lock implements [storage.Locker]; it is the lock of the latest version.
func (b *Bucket) Lock(ctx context.Context, key string) (storage.Lock, error) {
	if err := checkKey(key); err != nil {
		return storage.Lock{}, err
	}
	return b.lockOf(ctx, key, "")
}

func (b *Bucket) lockOf(ctx context.Context, key, version string) (storage.Lock, error) {
	mode, until, err := b.client.GetObjectRetention(ctx, b.bucket, b.prefix+key, version)
	switch code := minio.ToErrorResponse(err).Code; {
	case code == "NoSuchObjectLockConfiguration", code == "InvalidRequest": // of the object; of the bucket
		return storage.Lock{}, nil
	case err != nil:
		return storage.Lock{}, b.explain("read the lock of", key, err)
	case mode == nil || until == nil:
		return storage.Lock{}, nil
	}
	return storage.Lock{Mode: storage.LockMode(strings.ToLower(mode.String())), Until: until.UTC()}, nil
}

// ExtendLock implements [storage.Locker]. The server refuses to shorten; it is
// not asked to.
func (b *Bucket) ExtendLock(ctx context.Context, key string, l storage.Lock) error {
	have, err := b.Lock(ctx, key)
	if err != nil || have.Covers(l) {
		return err
	}
	if have.Mode == storage.Compliance {
		l.Mode = storage.Compliance // never weaker
	}
	if l.Until.Before(have.Until) {
		l.Until = have.Until
	}
	mode, until := retentionMode(l.Mode), l.Until.UTC().Truncate(time.Second)
	err = b.client.PutObjectRetention(ctx, b.bucket, b.prefix+key, minio.PutObjectRetentionOptions{Mode: &mode, RetainUntilDate: &until})
	return b.explain("lock", key, err)
}

// Delete implements [storage.Deleter]. In a bucket that keeps versions a plain
// DELETE only hides the object; so every version is named, the oldest first,
// because the one that counts must not go while an older one stays.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	versions, err := b.versions(ctx, key)
	if err != nil {
		return err
	}
	for _, version := range versions {
		err := b.client.RemoveObject(ctx, b.bucket, b.prefix+key, minio.RemoveObjectOptions{VersionID: version})
		if err == nil {
			continue
		}
		// A lock and a missing permission have the same code.
		if l, lerr := b.lockOf(ctx, key, version); lerr == nil && time.Now().Before(l.Until) {
			return fmt.Errorf("delete %s, bucket %s at %s, %s: %w", key, b.bucket, b.endpoint, l, storage.ErrLocked)
		}
		if err = b.explain("delete", key, err); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// versions lists the versions of an object and the marks of its deletion,
// oldest first. In a bucket without versions there is one, "null".
func (b *Bucket) versions(ctx context.Context, key string) (ids []string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	options := minio.ListObjectsOptions{Prefix: b.prefix + key, Recursive: true, WithVersions: true}
	for o := range b.client.ListObjectsIter(ctx, b.bucket, options) {
		if o.Err != nil {
			return nil, b.explain("list the versions of", key, o.Err)
		}
		if o.Key == b.prefix+key {
			ids = append(ids, o.VersionID)
		} else if o.Key > b.prefix+key {
			break // keys come in the order of their bytes
		}
	}
	slices.Reverse(ids)
	return ids, nil
}

// lenient is a transport that mends an answer of versitygw (1.8.0): it calls
// an object's retention ObjectLockRetention, and minio-go reads Retention
// only, as the S3 reference has it.
type lenient struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (l lenient) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.RoundTripper.RoundTrip(r)
	if err != nil || r.Method != http.MethodGet || !r.URL.Query().Has("retention") {
		return resp, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	body = bytes.ReplaceAll(body, []byte("ObjectLockRetention"), []byte("Retention"))
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, nil
}
