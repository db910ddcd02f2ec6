package main

import (
	"errors"
	"strings"
	"testing"

	"mixdown/configs"
	"mixdown/netguard"
	"mixdown/storage/storagetest"
)

// TestStoragesAreGuarded: an operator's storage may stand on this machine or in
// a private network, and leads to nothing that answers only this machine, in
// whatever way it is spelled.
func TestStoragesAreGuarded(t *testing.T) {
	t.Parallel()
	s := archive(storagetest.S3{Endpoint: "169.254.169.254", Bucket: "bucket", AccessKey: "a", SecretKey: "s"})
	for _, endpoint := range []string{"http://169.254.169.254", "https://[fd00:ec2::254]", "http://[::ffff:169.254.169.254]:80", "http://[fe80::1]", "http://0.0.0.0:9000"} {
		s.Endpoint = endpoint
		if _, err := openBucket(configs.Network{}, s); !errors.Is(err, netguard.ErrReserved) {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
	// 169.254.169.254 in decimal and octal: some resolvers know these.
	for _, endpoint := range []string{"http://2852039166:80", "http://0251.0376.0251.0376:80", "http://0xa9fea9fe:80"} {
		s.Endpoint = endpoint
		b, err := openBucket(configs.Network{}, s)
		if err != nil {
			t.Errorf("%s: %v", endpoint, err)
			continue
		}
		if _, err := b.Stat(t.Context(), "x"); err == nil || !errors.Is(err, netguard.ErrReserved) && !strings.Contains(err.Error(), "no such host") && !strings.Contains(err.Error(), "lookup") {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
	for _, endpoint := range []string{"http://10.0.0.7:9000", "http://127.0.0.1:9000", "https://minio.internal"} {
		s.Endpoint = endpoint
		if _, err := openBucket(configs.Network{}, s); err != nil {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
	s.Endpoint = "http://169.254.7.7:9000"
	if _, err := openBucket(configs.Network{Allow: []string{"169.254.7.7"}}, s); err != nil {
		t.Errorf("an address that is allowed: %v", err)
	}
}
