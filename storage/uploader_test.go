package storage_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/storage"
	"mixdown/storage/file"
)

// bubble runs an uploader in virtual time around fn.
func bubble(t *testing.T, buckets map[string]storage.Bucket, o storage.Options, fn func(t *testing.T, s *storage.Spool, u *storage.Uploader, dir string)) {
	synctest.Test(t, func(t *testing.T) {
		dir := memoryDir(t)
		s := openSpool(t, dir)
		u := storage.NewUploader(s, buckets, o)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- u.Run(ctx) }()
		fn(t, s, u, dir)
		stop()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

func drain(t *testing.T, u *storage.Uploader, prefix string, within time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	must(t, u.Drain(ctx, prefix))
}

func TestUploaderOrder(t *testing.T) {
	a, b := newMemory(), newMemory()
	var told []string
	var spool *storage.Spool
	o := storage.Options{Parallel: 1, Uploaded: func(bucket, key string, err error) {
		if bucket == "a" {
			told = append(told, key)
		}
		if n, _ := spool.Pending(bucket, key); n != 1 {
			t.Errorf("%s has left the spool before it was told: a kill then leaves it untold", key)
		}
		if err != nil {
			t.Error(err)
		}
	}}
	bubble(t, map[string]storage.Bucket{"a": a, "b": b}, o, func(t *testing.T, s *storage.Spool, u *storage.Uploader, dir string) {
		spool = s
		var want []string
		for i := range 20 {
			key := fmt.Sprintf("r/c/%02d", 99-i)
			_, err := commit(s, key, key, "a", "b")
			must(t, err)
			want = append(want, key)
		}
		drain(t, u, "", time.Second)
		synctest.Wait() // the last is counted after it left the spool
		if !slices.Equal(a.keys(), want) || !slices.Equal(b.keys(), want) || !slices.Equal(told, want) {
			t.Errorf("order: %v, told %v", a.keys(), told)
		}
		stats := u.Stats()["a"]
		if stats.Uploaded != 20 || stats.Pending != 0 || stats.Failures != 0 || stats.LastError != "" {
			t.Errorf("%+v", stats)
		}
		if entries, err := os.ReadDir(filepath.Join(dir, "out", "a")); err != nil || len(entries) != 0 {
			t.Errorf("empty folders stay: %v %v", entries, err)
		}
	})
}

// The waits double from 1 s to 30 s, are never shorter and never longer.
func TestUploaderBackoff(t *testing.T) {
	m := newMemory()
	var at []time.Time
	m.fail(func(context.Context, string) error {
		at = append(at, time.Now())
		return errors.New("no")
	})
	bubble(t, map[string]storage.Bucket{"m": m}, storage.Options{}, func(t *testing.T, s *storage.Spool, u *storage.Uploader, dir string) {
		_, err := commit(s, "k", "x", "m")
		must(t, err)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if len(at) < 20 {
			t.Fatalf("%d attempts", len(at))
		}
		for i := 1; i < len(at); i++ {
			least := min(20*time.Second, 500*time.Millisecond<<min(i, 20))
			if wait := at[i].Sub(at[i-1]); wait < least || wait > least*3/2 {
				t.Errorf("wait %d was %v, not between %v and %v", i, wait, least, least*3/2)
			}
		}
	})
	for attempt := range 100 {
		if d := storage.Backoff(attempt); d < time.Second/2 || d > 30*time.Second {
			t.Errorf("backoff %d is %v", attempt, d)
		}
	}
}

func TestUploaderPermanent(t *testing.T) {
	m := newMemory()
	m.fail(func(context.Context, string) error { return fmt.Errorf("no such bucket: %w", storage.ErrPermanent) })
	bubble(t, map[string]storage.Bucket{"m": m}, storage.Options{}, func(t *testing.T, s *storage.Spool, u *storage.Uploader, dir string) {
		_, err := commit(s, "k", "x", "m")
		must(t, err)
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := m.attempts(); n < 20 || n > 31 {
			t.Errorf("%d attempts in an hour", n)
		}
		m.fail(nil)
		drain(t, u, "", 2*time.Minute+time.Second)
	})
}

// One file that the bucket never takes holds up no other.
func TestUploaderBadFile(t *testing.T) {
	m := newMemory()
	m.fail(func(_ context.Context, key string) error {
		if key == "r/bad" {
			return errors.New("too strange")
		}
		return nil
	})
	bubble(t, map[string]storage.Bucket{"m": m}, storage.Options{}, func(t *testing.T, s *storage.Spool, u *storage.Uploader, dir string) {
		_, err := commit(s, "r/bad", "x", "m")
		must(t, err)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		for i := range 50 {
			key := fmt.Sprintf("good/%d", i)
			_, err := commit(s, key, key, "m")
			must(t, err)
			drain(t, u, "good/", 2*time.Second)
		}
		if n, _ := s.Pending("m", ""); n != 1 {
			t.Errorf("%d pending", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := u.Drain(ctx, "r/"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("drain: %v", err)
		}
	})
}

// The server stored the object and its answer was lost: one object, no alarm.
func TestUploaderLostAnswer(t *testing.T) {
	m := newMemory()
	lost := 0
	m.after = func(string) error {
		if lost++; lost <= 3 {
			return context.DeadlineExceeded
		}
		return nil
	}
	bubble(t, map[string]storage.Bucket{"m": m}, storage.Options{}, func(t *testing.T, s *storage.Spool, u *storage.Uploader, dir string) {
		_, err := commit(s, "k", "x", "m")
		must(t, err)
		drain(t, u, "", time.Minute)
		synctest.Wait()
		if stats := u.Stats()["m"]; stats.Conflicts != 0 || stats.Uploaded != 1 || len(m.keys()) != 1 {
			t.Errorf("%+v", stats)
		}
	})
}

func TestUploaderConflict(t *testing.T) {
	m := newMemory()
	m.objects["r/2"] = []byte("somebody else's")
	var note notices
	bubble(t, map[string]storage.Bucket{"m": m}, storage.Options{Notice: note.tell}, func(t *testing.T, s *storage.Spool, u *storage.Uploader, dir string) {
		for range 2 {
			for _, key := range []string{"r/1", "r/2", "r/3"} {
				_, err := commit(s, key, "ours "+key, "m")
				must(t, err)
			}
			drain(t, u, "", time.Second)
		}
		synctest.Wait()
		if got, _ := m.get("r/2"); got != "somebody else's" {
			t.Errorf("overwritten: %q", got)
		}
		for _, name := range []string{"r/2", "r/2.2"} {
			if b, err := os.ReadFile(filepath.Join(dir, "conflict/m", name)); err != nil || string(b) != "ours r/2" {
				t.Errorf("moved aside: %q %v", b, err)
			}
		}
		if stats := u.Stats()["m"]; stats.Conflicts != 2 || stats.Uploaded != 4 {
			t.Errorf("%+v", stats)
		}
		aside, err := s.Aside()
		if want := []storage.ConflictFile{{Storage: "m", Key: "r/2"}, {Storage: "m", Key: "r/2.2"}}; err != nil || !slices.Equal(aside.Conflicts, want) {
			t.Errorf("aside: %+v, %v", aside, err)
		}
		if !slices.Equal(note.told(), []string{"upload.conflict m", "upload.conflict m"}) {
			t.Errorf("told: %q", note.told())
		}
	})
}

// A Put that hangs is bounded by its deadline, and by a grace when Run ends.
func TestUploaderDeadlines(t *testing.T) {
	m := newMemory()
	m.fail(func(ctx context.Context, _ string) error {
		<-ctx.Done()
		return ctx.Err()
	})
	o := storage.Options{Deadline: func(size int64) time.Duration { return time.Duration(size) * time.Minute }}
	start := time.Now()
	bubble(t, map[string]storage.Bucket{"m": m}, o, func(t *testing.T, s *storage.Spool, u *storage.Uploader, dir string) {
		start = time.Now()
		_, err := commit(s, "k", "12", "m")
		must(t, err)
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if stats := u.Stats()["m"]; stats.Failures != 1 {
			t.Errorf("%+v", stats)
		}
		if n := m.attempts(); n != 2 {
			t.Errorf("%d attempts", n)
		}
		start = time.Now()
		t.Cleanup(func() {
			if took := time.Since(start); took > 11*time.Second {
				t.Errorf("run ended %v after it was told to", took)
			}
		})
	})
}

// An upload that the bucket does not show as it was sent is not done.
func TestUploaderVerifies(t *testing.T) {
	m := &forgetful{memory: newMemory()}
	bubble(t, map[string]storage.Bucket{"m": m}, storage.Options{}, func(t *testing.T, s *storage.Spool, u *storage.Uploader, dir string) {
		_, err := commit(s, "k", "content", "m")
		must(t, err)
		time.Sleep(time.Minute)
		if n, _ := s.Pending("m", ""); n != 1 {
			t.Error("a file left the spool without being in the bucket")
		}
		m.honest.Store(true)
		drain(t, u, "", time.Minute)
	})
}

// forgetful says yes to every Put and keeps half.
type forgetful struct {
	*memory
	honest atomic.Bool
}

func (f *forgetful) Stat(ctx context.Context, key string) (storage.Object, error) {
	o, err := f.memory.Stat(ctx, key)
	if !f.honest.Load() {
		o.Size /= 2
		o.SHA256 = [32]byte{1}
	}
	return o, err
}

// Files that cannot be read, or are gone, are not the bucket's fault: the others
// go on at once, nobody is told that it is down, but of what is gone.
func TestUploaderVanishedFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, dir := newMemory(), t.TempDir()
		s := openSpool(t, dir)
		for n := range 10 {
			_, err := commit(s, fmt.Sprint(n), "content", "m")
			must(t, err)
		}
		for n := range 6 {
			name := filepath.Join(dir, "out/m", fmt.Sprint(n))
			must(t, os.Remove(name))
			if n >= 4 { // a folder opens, and cannot be read
				must(t, os.Mkdir(name, 0o700))
			}
		}
		var told []storage.Notice
		u := storage.NewUploader(s, map[string]storage.Bucket{"m": m}, storage.Options{Notice: func(n storage.Notice) { told = append(told, n) }, Parallel: 1})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- u.Run(ctx) }()
		time.Sleep(20 * time.Millisecond)
		if stats := u.Stats()["m"]; stats.Failures != 6 || stats.Uploaded != 4 || stats.Pending != 2 {
			t.Errorf("%+v", stats)
		}
		time.Sleep(time.Minute) // they are tried again and again
		if stats := u.Stats()["m"]; stats.Failures < 10 || stats.Pending != 2 || !stats.Down.IsZero() {
			t.Errorf("%+v", stats)
		}
		stop()
		must(t, <-ended)
		if len(told) != 6 || told[4].Type != "upload.unreadable" || told[5].Type != "upload.unreadable" || told[4].Key == told[5].Key {
			t.Fatalf("told %+v", told)
		}
		for i, n := range told[:4] {
			if n.Type != "upload.vanished" || n.Key != fmt.Sprint(i) || n.Data["storage"] != "m" || n.Data["bytes"] != int64(len("content")) {
				t.Errorf("told %+v", n)
			}
		}
	})
}

// A file that cannot be read waits its time, also while the bucket is down or
// hangs and nothing else could be tried.
func TestUploaderUnreadableAlone(t *testing.T) {
	for name, put := range map[string]func(context.Context, string) error{
		"down":  func(context.Context, string) error { return errors.New("down") },
		"hangs": func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() },
	} {
		m := newMemory()
		m.fail(put)
		var attempts atomic.Int64
		var unreadable atomic.Int64
		o := storage.Options{Uploaded: func(_, _ string, err error) { attempts.Add(1) }, Notice: func(n storage.Notice) {
			if n.Type == "upload.unreadable" && n.Key == "2" {
				unreadable.Add(1)
			}
		}}
		bubble(t, map[string]storage.Bucket{"m": m}, o, func(t *testing.T, s *storage.Spool, u *storage.Uploader, dir string) {
			for n := range 3 {
				_, err := commit(s, fmt.Sprint(n), "content", "m")
				must(t, err)
			}
			time.Sleep(2 * time.Minute) // it is the bucket, not one file
			for n := range 3 {
				must(t, os.Remove(filepath.Join(dir, "out/m", fmt.Sprint(n))))
				if n == 2 || name == "hangs" && n == 1 {
					must(t, os.Mkdir(filepath.Join(dir, "out/m", fmt.Sprint(n)), 0o700))
				}
			}
			time.Sleep(2 * time.Minute)
			before := attempts.Load()
			time.Sleep(time.Minute)
			if n := attempts.Load() - before; n > 20 {
				t.Errorf("%s: %d attempts in a minute", name, n)
			}
			if n := unreadable.Load(); n != 1 { // also if the bucket had failed it before
				t.Errorf("%s: told %d times that it cannot be read", name, n)
			}
			if stats := u.Stats()["m"]; name == "down" && (stats.Down.IsZero() || !strings.HasSuffix(stats.LastError, "down")) {
				t.Errorf("%s: %+v", name, stats)
			}
			m.fail(nil)
		})
	}
}

// TestUploaderBacklog: an hour of 100 streams waits, the next process brings
// it to a real folder, oldest first.
func TestUploaderBacklog(t *testing.T) {
	dir := memoryDir(t)
	old := time.Now().Add(-time.Hour)
	for i := range 6000 {
		name := filepath.Join(dir, fmt.Sprintf("spool/out/m/room/call/streams/u%d/%06d.ogg", i%100, i/100))
		if i < 100 {
			must(t, os.MkdirAll(filepath.Dir(name), 0o700))
		}
		must(t, os.WriteFile(name, []byte(name), 0o600))
		must(t, os.Chtimes(name, old, old.Add(time.Duration(i)*time.Millisecond)))
	}
	s := openSpool(t, filepath.Join(dir, "spool"))
	b, err := file.Open(filepath.Join(dir, "bucket"))
	must(t, err)
	defer b.Close()
	last := -1
	ctx, stop := context.WithCancel(t.Context())
	u := storage.NewUploader(s, map[string]storage.Bucket{"m": b}, storage.Options{Parallel: 1, Uploaded: func(_, key string, err error) {
		var user, index int
		if _, scan := fmt.Sscanf(key, "room/call/streams/u%d/%d.ogg", &user, &index); scan != nil || err != nil || index*100+user <= last {
			t.Errorf("%s after %d: %v", key, last, errors.Join(scan, err))
		}
		last = index*100 + user
	}})
	ended := make(chan error)
	start := time.Now()
	go func() { ended <- u.Run(ctx) }()
	must(t, u.Drain(t.Context(), ""))
	t.Logf("uploaded 6,000 segments in %v", time.Since(start))
	stop()
	must(t, <-ended)
	if last != 5999 {
		t.Errorf("last was %d", last)
	}
	if _, err := os.Stat(filepath.Join(dir, "spool/out/m/room")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("something is left in the spool")
	}
}
