package storage

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"
	"time"
)

// ProbeOptions say what is asked of a bucket besides taking objects.
type ProbeOptions struct {
	Lock LockMode // it must be able to lock objects so
}

// Probed is what a probe measured.
type Probed struct {
	Took  time.Duration
	Skew  time.Duration // this machine's clock minus the bucket's, to the second; 0 if it has none
	Notes []string      // what is odd but no obstacle
}

// Clocked is a bucket on a machine with a clock of its own.
type Clocked interface {
	// Skew is this machine's clock minus the bucket's as of its last answer;
	// false if it has not answered yet.
	Skew() (time.Duration, bool)
}

const (
	// probeFolder is where probes put their byte: no room has this folder,
	// for KeyName writes = only before two digits.
	probeFolder = "=probe/"
	// maxSkew is what S3 servers bear.
	maxSkew = 15 * time.Minute
)

// Probe tries a bucket out: it puts a byte under a key that no recording has,
// reads it, deletes it, compares clocks and asks for what o asks for. An error
// that wraps a *Failure says by a stable name what is wrong; see [FailureOf].
// A bucket that has not answered when ctx ends is Unreachable. That the access
// key must not delete is worth a note only: recording needs no such right.
func Probe(ctx context.Context, b Bucket, o ProbeOptions) (p Probed, err error) {
	start := time.Now()
	defer func() { p.Took = time.Since(start) }()
	key, data := probeFolder+strings.ToLower(rand.Text()), []byte("m")
	err = b.Put(ctx, key, bytes.NewReader(data), PutOptions{Size: 1, SHA256: sha256.Sum256(data), ContentType: ContentType(key)})
	if c, ok := b.(Clocked); ok {
		p.Skew, _ = c.Skew()
	}
	if err == nil && p.Skew.Abs() > maxSkew {
		err = &Failure{ClockSkew, fmt.Errorf("this machine's clock and the bucket's are %v apart: set the one that is wrong: %w", p.Skew.Abs(), ErrPermanent)}
	}
	if err != nil {
		if !errors.Is(err, ErrPermanent) || FailureOf(err) == ClockSkew {
			_ = p.cleanUp(ctx, b, key) // it may be there; what is wrong is known already
		}
		return p, err
	}
	err = readBack(ctx, b, key, data)
	if derr := p.cleanUp(ctx, b, key); err == nil {
		err = derr
	}
	if err == nil && o.Lock != Unlocked {
		err = canLock(ctx, b, o.Lock)
	}
	return p, err
}

func readBack(ctx context.Context, b Bucket, key string, want []byte) error {
	browser, ok := b.(Browser)
	if !ok {
		return nil
	}
	f, _, err := browser.Open(ctx, key)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(io.LimitReader(f, 1024))
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("read %s: %w", key, err)
	}
	if !bytes.Equal(got, want) {
		return &Failure{Corrupt, fmt.Errorf("the bucket was given %q under %s and gives back %q: %w", want, key, got, ErrPermanent)}
	}
	return nil
}

// cleanUp takes the probe's byte away again.
func (p *Probed) cleanUp(ctx context.Context, b Bucket, key string) error {
	d, ok := b.(Deleter)
	if !ok {
		return nil
	}
	err := d.Delete(ctx, key)
	switch {
	case errors.Is(err, ErrLocked):
		p.Notes = append(p.Notes, "the bucket locks by itself: the probe's byte stays as "+key)
	case FailureOf(err) == AccessDenied:
		p.Notes = append(p.Notes, "the access key must not delete: the probe's byte stays as "+key)
	default:
		return err
	}
	return nil
}

func canLock(ctx context.Context, b Bucket, mode LockMode) error {
	l, ok := b.(Locker)
	err := ErrNoLock
	if ok {
		err = l.CanLock(ctx, mode)
	}
	if errors.Is(err, ErrNoLock) {
		return &Failure{NoLock, fmt.Errorf("the policy asks for a %s lock: %w: %w", mode, err, ErrPermanent)}
	}
	return err
}

// FailureCode names what is wrong with a bucket. Codes are stable.
type FailureCode string

// What can be wrong with a bucket.
const (
	WrongKey     FailureCode = "wrong_key"     // access key or secret key
	AccessDenied FailureCode = "access_denied" // right keys that may not do this
	WrongRegion  FailureCode = "wrong_region"
	NoBucket     FailureCode = "no_bucket"
	NoLock       FailureCode = "no_lock"    // object lock is asked for and the bucket has none
	ClockSkew    FailureCode = "clock_skew" // this machine's clock or the bucket's is off
	Corrupt      FailureCode = "corrupt"    // it gives back other bytes than it was given
	Unsupported  FailureCode = "unsupported"
	NoSpace      FailureCode = "no_space"
	Refused      FailureCode = "refused"     // it answers with an error that has no name here
	Unreachable  FailureCode = "unreachable" // it does not answer, or says that it cannot now
)

// Failure is an error of a bucket that has a name. Those that repeating cannot
// mend wrap ErrPermanent.
type Failure struct {
	Code FailureCode
	Err  error
}

func (f *Failure) Error() string { return f.Err.Error() }
func (f *Failure) Unwrap() error { return f.Err }

// FailureOf is the name of what is wrong with a bucket; an error without one is
// Unreachable, for all that is known. nil has no name.
func FailureOf(err error) FailureCode {
	if err == nil {
		return ""
	}
	var f *Failure
	switch {
	case errors.As(err, &f):
		return f.Code
	case errors.Is(err, fs.ErrPermission):
		return AccessDenied
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return NoSpace
	}
	return Unreachable
}
