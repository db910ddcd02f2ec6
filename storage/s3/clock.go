package s3

import (
	"net/http"
	"sync/atomic"
	"time"
)

// dated is a transport that compares the server's clock with ours: every
// answer carries its time, to the second.
type dated struct {
	http.RoundTripper
	skew     atomic.Int64
	answered atomic.Bool
}

// RoundTrip implements http.RoundTripper.
func (d *dated) RoundTrip(r *http.Request) (*http.Response, error) {
	asked := time.Now()
	resp, err := d.RoundTripper.RoundTrip(r)
	if err != nil {
		return resp, err
	}
	if there, derr := http.ParseTime(resp.Header.Get("Date")); derr == nil {
		// It was that time there at some instant between asking and now.
		now := time.Now()
		skew := now.Add(-now.Sub(asked) / 2).Sub(there)
		d.skew.Store(int64(skew.Round(time.Second)))
		d.answered.Store(true)
	}
	return resp, nil
}

// Skew implements [storage.Clocked].
func (b *Bucket) Skew() (time.Duration, bool) {
	return time.Duration(b.clock.skew.Load()), b.clock.answered.Load()
}
