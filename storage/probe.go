package storage

import (
	"context"
	"errors"
	"time"
)

// Prober is a bucket that can be tried out before it is needed.
type Prober interface {
	// Probe really puts a byte, reads it and deletes it, under a key that no
	// recording has, and checks what o asks for. An error that wraps a *Failure
	// says what is wrong by a stable name. It ends with ctx; a server that
	// cannot be reached by then is Unreachable.
	Probe(ctx context.Context, o ProbeOptions) (Probed, error)
}

// ProbeOptions say what is asked of a bucket besides taking objects.
type ProbeOptions struct {
	Lock bool // it must be able to lock objects against deletion
}

// Probed is what a probe measured.
type Probed struct {
	Took  time.Duration
	Skew  time.Duration // this machine's clock minus the bucket's, to the second; 0 if it has none
	Notes []string      // what is odd but no obstacle
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
// Unreachable, for all that is known.
func FailureOf(err error) FailureCode {
	var f *Failure
	if errors.As(err, &f) {
		return f.Code
	}
	return Unreachable
}
