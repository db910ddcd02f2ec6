package storage_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/storage"
	"mixdown/storage/file"
)

// lockless stores without locks, as a Put does whose answer was lost and that
// an older configuration made.
type lockless struct{ *file.Bucket }

func (f lockless) Put(ctx context.Context, key string, r io.ReadSeeker, o storage.PutOptions) error {
	o.Lock = storage.Lock{}
	return f.Bucket.Put(ctx, key, r, o)
}

// An object leaves the spool only when the bucket shows its lock.
func TestUploaderConfirmsLocks(t *testing.T) {
	local, err := file.Open(t.TempDir())
	must(t, err)
	defer local.Close()
	until := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	o := storage.Options{
		Backoff: func(n int) time.Duration { return time.Duration(n) * time.Minute },
		Lock: func(bucket, key string) storage.Lock {
			if strings.HasSuffix(key, "free.ogg") {
				return storage.Lock{}
			}
			return storage.Lock{Mode: storage.Governance, Until: until}
		},
	}
	cannot := newMemory()
	bubble(t, map[string]storage.Bucket{"a": lockless{local}, "b": cannot}, o, func(t *testing.T, s *storage.Spool, u *storage.Uploader, dir string) {
		_, err := commit(s, "r/c/1.ogg", "audio", "a", "b")
		must(t, err)
		_, err = commit(s, "r/c/free.ogg", "audio", "a", "b")
		must(t, err)
		_, err = s.Put("r/c/manifest.json", []byte("{}"), []string{"a"})
		must(t, err)
		time.Sleep(150 * time.Second) // a bucket that failed is left alone for a minute, a file that failed twice for two
		synctest.Wait()
		for key, want := range map[string]time.Time{"r/c/1.ogg": until, "r/c/free.ogg": {}, "r/c/manifest.json": {}} {
			if l, err := local.Lock(t.Context(), key); err != nil || !l.Until.Equal(want) {
				t.Errorf("%s: %s, %v; want until %s", key, l, err, want)
			}
		}
		if st := u.Stats(); st["a"].Pending != 0 || st["b"].Pending != 1 || st["b"].Failures == 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestLockCovers(t *testing.T) {
	at := time.Date(2027, 1, 1, 0, 0, 0, 500, time.UTC)
	governance, compliance := storage.Lock{Mode: storage.Governance, Until: at}, storage.Lock{Mode: storage.Compliance, Until: at}
	whole := storage.Lock{Mode: storage.Governance, Until: at.Truncate(time.Second)}
	later := storage.Lock{Mode: storage.Governance, Until: at.Add(time.Second)}
	for _, c := range []struct {
		have, want storage.Lock
		covers     bool
	}{
		{storage.Lock{}, storage.Lock{}, true}, {governance, storage.Lock{}, true}, {storage.Lock{}, governance, false},
		{compliance, governance, true}, {governance, compliance, false}, {whole, governance, true}, {governance, later, false}, {later, governance, true},
	} {
		if got := c.have.Covers(c.want); got != c.covers {
			t.Errorf("%s covers %s: %v", c.have, c.want, got)
		}
	}
}
