// Package timestamp has a third party say when a recording was there: it asks
// a time stamping authority (RFC 3161) to sign the hash of a manifest, and
// checks such time stamps.
//
// It stands beside the seal: package capture asks for a stamp after a
// recording is sealed and does not wait for it; package storage has it checked
// by whoever verifies. A stamp is the authority's whole answer in DER, as
// openssl ts -verify -in takes it.
package timestamp

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"sync"
	"time"

	"github.com/digitorus/pkcs7"
	rfc3161 "github.com/digitorus/timestamp"
)

// maxAnswer bounds what an authority may answer; stamps have a few KiB.
const maxAnswer = 1 << 20

// patience is how long an authority may take.
const patience = 30 * time.Second

// Authority is a server that gives time stamps over HTTP (RFC 3161, section
// 3.4).
type Authority struct {
	URL   string
	Roots *x509.CertPool // that its certificate must come from; nil trusts the server
	HTTP  *http.Client   // nil is the default client
}

// Stamp asks for a time stamp of a SHA-256 and checks the answer: it must be
// of this hash and this question.
func (a *Authority) Stamp(ctx context.Context, sum [32]byte) (stamp []byte, at time.Time, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("time stamp of %s: %w", a.URL, err)
		}
	}()
	nonce, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 63))
	if err != nil {
		return nil, at, err
	}
	question := rfc3161.Request{HashAlgorithm: crypto.SHA256, HashedMessage: sum[:], Certificates: true, Nonce: nonce}
	body, err := question.Marshal()
	if err != nil {
		return nil, at, err
	}
	if stamp, err = a.ask(ctx, body); err != nil {
		return nil, at, err
	}
	told, err := parseResponse(stamp)
	if err != nil {
		return nil, at, err
	}
	if told.Nonce == nil || told.Nonce.Cmp(nonce) != 0 {
		return nil, at, errors.New("it answers another question")
	}
	c, err := Check(stamp, sum, a.Roots)
	return stamp, c.At, err
}

func (a *Authority) ask(ctx context.Context, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/timestamp-query")
	client := a.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %s", resp.Status)
	}
	return answer, nil
}

// parsing is held while pkcs7 reads: it counts how deep it is in a variable of
// the package.
var parsing sync.Mutex

func parseResponse(stamp []byte) (*rfc3161.Timestamp, error) {
	parsing.Lock()
	defer parsing.Unlock()
	return rfc3161.ParseResponse(stamp)
}

func parseToken(token []byte) (*pkcs7.PKCS7, error) {
	parsing.Lock()
	defer parsing.Unlock()
	return pkcs7.Parse(token)
}

// Checked is what a time stamp says.
type Checked struct {
	At      time.Time
	By      string // subject of the authority's certificate
	Trusted bool   // the certificate comes from a known root
}

// Check checks that a stamp is of a SHA-256 and signed by the certificate in
// it, which is one for time stamps and, unless roots is nil, comes from one of
// them at the time of the stamp.
func Check(stamp []byte, sum [32]byte, roots *x509.CertPool) (Checked, error) {
	told, err := parseResponse(stamp)
	if err != nil {
		return Checked{}, err
	}
	c := Checked{At: told.Time.UTC()}
	if told.HashAlgorithm != crypto.SHA256 || !bytes.Equal(told.HashedMessage, sum[:]) {
		return c, errors.New("it is of something else")
	}
	p7, err := parseToken(told.RawToken)
	if err != nil {
		return c, err
	}
	signer := p7.GetOnlySigner()
	if signer == nil {
		return c, errors.New("it does not carry its signer's certificate")
	}
	c.By = signer.Subject.String()
	between := x509.NewCertPool()
	for _, cert := range p7.Certificates {
		between.AddCert(cert)
	}
	o := x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: told.Time, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping},
	}
	if roots == nil { // the certificate must be one for time stamps at least
		o.Roots = between
	}
	if err := p7.VerifyWithOpts(o); err != nil {
		return c, err
	}
	c.Trusted = roots != nil
	return c, nil
}
