// Package storage keeps recordings: the journal of packets that makes five
// seconds in flight safe, the spool directory that is the upload queue, the
// uploader, and the manifest that proves a recording whole.
//
// In the straight line it is the last station. Package capture writes here;
// what it has committed is on disk and reaches every bucket, however often
// the process dies in between. It imports the standard library and
// golang.org/x/mod only; buckets live below it, in file and s3.
package storage

import (
	"context"
	"errors"
	"io"
	"iter"
	"path"
	"time"
)

// Bucket is where finished objects go. Keys are slash-separated.
type Bucket interface {
	// Put stores r under key, whole or not at all; repeating it is harmless.
	// Unless o.Replace is set an existing object of other content is never
	// overwritten: Put returns ErrConflict. It seeks r to its start itself.
	Put(ctx context.Context, key string, r io.ReadSeeker, o PutOptions) error
	// Stat describes an object; the error wraps fs.ErrNotExist if there is none.
	Stat(ctx context.Context, key string) (Object, error)
}

// Browser is a bucket that can be read back: what verifying, listing and
// downloading need.
type Browser interface {
	Open(ctx context.Context, key string) (io.ReadSeekCloser, Object, error)
	List(ctx context.Context, prefix string) iter.Seq2[Object, error]
}

// PutOptions say what is known of the object beforehand.
type PutOptions struct {
	Size        int64
	SHA256      [32]byte
	ContentType string
	Replace     bool // manifests are replaced, segments never
	Lock        Lock // from the first byte on; needs a [Locker]
}

// Object describes a stored object.
type Object struct {
	Key     string
	Size    int64
	SHA256  [32]byte // zero if the bucket does not know it
	ModTime time.Time
}

// ErrConflict is returned by Put when another content has the key.
var ErrConflict = errors.New("another object has this key")

// ErrPermanent marks errors of a bucket that repeating cannot mend without an
// operator: wrong key, no such bucket. The uploader still tries again, rarely.
var ErrPermanent = errors.New("permanent")

// ContentType is the media type of a recording's file, by the ending of its
// name.
func ContentType(key string) string {
	switch path.Ext(key) {
	case ".ogg":
		return "audio/ogg"
	case ".wav":
		return "audio/wav"
	case ".flac":
		return "audio/flac"
	case ".json":
		return "application/json"
	case ".jsonl":
		return "application/jsonl"
	case ".tsr":
		return "application/timestamp-reply"
	case ".sig":
		return "text/plain; charset=utf-8"
	}
	return "application/octet-stream"
}
