package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"
	"time"

	"mixdown/configs"
	"mixdown/storage"
	"mixdown/storage/timestamp"
)

// roots reads the certificates that a time stamping authority must come from;
// nil without a file.
func roots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("roots of the time stamping authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("roots of the time stamping authority: %s holds no certificate", file)
	}
	return pool, nil
}

// authority is the configured time stamping authority: how to ask it, nil if
// there is none, and how to check its stamps.
func authority(c configs.Timestamp) (ask func(context.Context, [32]byte) ([]byte, time.Time, error), check stampCheck, err error) {
	pool, err := roots(c.CA)
	if err != nil {
		return nil, nil, err
	}
	if c.URL != "" {
		ask = (&timestamp.Authority{URL: c.URL, Roots: pool}).Stamp
	}
	return ask, checkStamps(pool), nil
}

type stampCheck = func(stamp []byte, sum [32]byte) (time.Time, string, error)

func checkStamps(pool *x509.CertPool) stampCheck {
	return func(stamp []byte, sum [32]byte) (time.Time, string, error) {
		c, err := timestamp.Check(stamp, sum, pool)
		if err != nil {
			return time.Time{}, "", err
		}
		if c.Trusted {
			return c.At, "", nil
		}
		return c.At, fmt.Sprintf("stamped %s by %s, whose certificate was not checked: no roots are known (timestamp.ca, --tsa-ca)", storage.At(c.At), c.By), nil
	}
}
