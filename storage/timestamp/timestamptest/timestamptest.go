// Package timestamptest has a time stamping authority of its own on the
// loopback interface, for tests.
package timestamptest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	rfc3161 "github.com/digitorus/timestamp"
)

// Authority is a running authority.
type Authority struct {
	URL    string
	Roots  *x509.CertPool
	CAFile string       // the root as PEM
	Down   atomic.Bool  // answers 503 meanwhile
	Asked  atomic.Int64 // requests so far
}

// Start starts an authority that ends with the test.
func Start(t testing.TB) *Authority {
	t.Helper()
	root, rootKey := certificate(t, "Test Root", nil, nil)
	leaf, leafKey := certificate(t, "Test Time Stamps", root, rootKey)
	a := &Authority{Roots: x509.NewCertPool(), CAFile: filepath.Join(t.TempDir(), "ca.pem")}
	a.Roots.AddCert(root)
	if err := os.WriteFile(a.CAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.Asked.Add(1)
		if a.Down.Load() {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get("Content-Type") != "application/timestamp-query" {
			http.Error(w, "no question", http.StatusBadRequest)
			return
		}
		q, err := rfc3161.ParseRequest(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		stamp := rfc3161.Timestamp{
			HashAlgorithm: q.HashAlgorithm, HashedMessage: q.HashedMessage, Nonce: q.Nonce, Time: time.Now(),
			Policy: asn1.ObjectIdentifier{1, 2, 3, 4, 1}, AddTSACertificate: q.Certificates,
		}
		answer, err := stamp.CreateResponseWithOpts(leaf, leafKey, crypto.SHA256)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/timestamp-reply")
		_, _ = w.Write(answer) // the client sees if it is short
	}))
	t.Cleanup(server.Close)
	a.URL = server.URL
	return a
}

// certificate makes a root, or a certificate for time stamps below one.
func certificate(t testing.TB, name string, root *x509.Certificate, rootKey *rsa.PrivateKey) (*x509.Certificate, *rsa.PrivateKey) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(24 * time.Hour), BasicConstraintsValid: true,
	}
	if root == nil {
		c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign
		root, rootKey = c, key
	} else {
		c.KeyUsage = x509.KeyUsageDigitalSignature
		// Only time stamps, and critical, as RFC 3161 section 2.3 asks.
		usage, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
		if err != nil {
			t.Fatal(err)
		}
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage}}
	}
	raw, err := x509.CreateCertificate(rand.Reader, c, root, &key.PublicKey, rootKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}
