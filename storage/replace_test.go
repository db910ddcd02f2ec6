package storage_test

import (
	"sync"
	"testing"
	"time"

	"mixdown/storage"
)

// A manifest is replaced while its predecessor is on the way: the newer one
// arrives too.
func TestUploaderReplacedWhileUploading(t *testing.T) {
	m := newMemory()
	var s *storage.Spool
	version := 1
	m.after = func(string) error {
		if version < 5 {
			version++
			if _, err := s.Put("r/manifest.json", []byte(manifest(version)), []string{"m"}); err != nil {
				t.Error(err)
			}
		}
		return nil
	}
	bubble(t, map[string]storage.Bucket{"m": m}, storage.Options{}, func(t *testing.T, spool *storage.Spool, u *storage.Uploader, dir string) {
		s = spool
		_, err := s.Put("r/manifest.json", []byte(manifest(1)), []string{"m"})
		must(t, err)
		drain(t, u, "", time.Second)
		if got, _ := m.get("r/manifest.json"); got != manifest(5) {
			t.Errorf("the bucket has %s", got)
		}
	})
}

// A newer version that comes between choosing a file and opening it is what
// is uploaded, and nothing is left to fail on.
func TestUploaderReplacedBeforeOpening(t *testing.T) {
	m := newMemory()
	s := openSpool(t, memoryDir(t))
	for i := range 50 {
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			defer close(stop)
			for v := range 10 {
				if _, err := s.Put("r/manifest.json", []byte(manifest(i*10+v)), []string{"m"}); err != nil {
					t.Error(err)
				}
			}
		})
		u := storage.NewUploader(s, map[string]storage.Bucket{"m": m}, storage.Options{})
		for ended := false; !ended; {
			select {
			case <-stop:
				ended = true
			default:
			}
			for u.Step(t.Context(), "m") {
			}
		}
		wg.Wait()
		if stats := u.Stats()["m"]; stats.Failures != 0 || stats.Pending != 0 {
			t.Fatalf("%+v", stats)
		}
		if got, _ := m.get("r/manifest.json"); got != manifest(i*10+9) {
			t.Fatalf("the bucket has %s in round %d", got, i)
		}
	}
}
