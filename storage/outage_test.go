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
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/storage"
)

// notices collects what an uploader tells operators.
type notices struct {
	mu  sync.Mutex
	all []string
}

func (n *notices) tell(v storage.Notice) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, fmt.Sprint(v.Type, " ", v.Data["storage"]))
}

func (n *notices) told() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.all)
}

// TestUploaderOutage: a bucket that is dead for an hour is asked no more than
// once a second, loses nothing and delays no other. When it is back an hour of
// a hundred streams arrives in six minutes, at 200 ms an upload.
func TestUploaderOutage(t *testing.T) {
	const streams = 20 // at five times the time of an upload
	dead, alive := newMemory(), newMemory()
	var asked []time.Time
	var note notices
	dead.fail(func(context.Context, string) error {
		asked = append(asked, time.Now())
		return errors.New("connection refused")
	})
	bubble(t, map[string]storage.Bucket{"dead": dead, "alive": alive}, storage.Options{Notice: note.tell}, func(t *testing.T, s *storage.Spool, u *storage.Uploader, dir string) {
		var want []string
		for minute := range 60 {
			for i := range streams {
				key := fmt.Sprintf("r/c/%03d/%03d", minute, i)
				want = append(want, key)
				_, err := commit(s, key, key, "dead", "alive")
				must(t, err)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			if n := len(alive.keys()); n != (minute+1)*streams {
				t.Fatalf("after minute %d the living bucket has %d", minute, n)
			}
		}
		for i := 1; i < len(asked); i++ {
			if wait := asked[i].Sub(asked[i-1]); wait < time.Second {
				t.Errorf("asked again after %v", wait)
			}
		}
		stats := u.Stats()["dead"]
		if stats.Pending != len(want) || stats.Failures != int64(len(asked)) || !strings.Contains(u.Away("dead"), "connection refused") || u.Away("alive") != "" {
			t.Errorf("%+v, away: %q, %q", stats, u.Away("dead"), u.Away("alive"))
		}
		if len(asked) < 100 || len(asked) > 200 {
			t.Errorf("%d attempts in an hour", len(asked))
		}
		dead.fail(func(context.Context, string) error {
			time.Sleep(5 * 200 * time.Millisecond)
			return nil
		})
		back := time.Now()
		drain(t, u, "r/", 6*time.Minute)
		t.Logf("%d segments arrived in %v, after %d attempts", 60*streams, time.Since(back), len(asked))
		got := dead.keys()
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("got %d of %d", len(got), len(want))
		}
		synctest.Wait()
		if u.Away("dead") != "" || !slices.Equal(note.told(), []string{"storage.down dead", "storage.up dead"}) {
			t.Errorf("away: %q; told: %q", u.Away("dead"), note.told())
		}
	})
}

// TestUploaderBlackHole: a bucket that accepts some uploads and never answers
// holds up neither the next one nor another bucket; what hung arrives later.
func TestUploaderBlackHole(t *testing.T) {
	m, other := newMemory(), newMemory()
	var mu sync.Mutex
	tries := map[string]int{}
	try := func(key string) int {
		mu.Lock()
		defer mu.Unlock()
		tries[key]++
		return tries[key]
	}
	m.fail(func(ctx context.Context, key string) error {
		if try(key) == 1 && strings.HasPrefix(key, "hang") {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	})
	bubble(t, map[string]storage.Bucket{"m": m, "other": other}, storage.Options{}, func(t *testing.T, s *storage.Spool, u *storage.Uploader, dir string) {
		for i := range 3 {
			_, err := commit(s, fmt.Sprint("hang/", i), "x", "m", "other")
			must(t, err)
			_, err = commit(s, fmt.Sprint("next/", i), "x", "m", "other")
			must(t, err)
		}
		start := time.Now()
		must(t, u.Drain(t.Context(), "", "other"))
		if took := time.Since(start); took > 0 {
			t.Errorf("the other bucket waited %v", took)
		}
		must(t, u.Drain(t.Context(), "next/", "m"))
		if took := time.Since(start); took > 25*time.Second { // each of three hangs for 5 s, and a moment
			t.Errorf("what came after what hangs waited %v", took)
		}
		drain(t, u, "", time.Minute)
		if got := len(m.keys()); got != 6 {
			t.Errorf("%d of 6 arrived", got)
		}
	})
}

// TestUploaderSwallowed: while nothing is answered at all, uploads begin ever
// more rarely and are bounded; all arrives when it is over.
func TestUploaderSwallowed(t *testing.T) {
	m := newMemory()
	var began []time.Time
	var mu sync.Mutex
	inside, most := 0, 0
	m.fail(func(ctx context.Context, key string) error {
		mu.Lock()
		began = append(began, time.Now())
		inside++
		most = max(most, inside)
		mu.Unlock()
		<-ctx.Done()
		mu.Lock()
		inside--
		mu.Unlock()
		return ctx.Err()
	})
	bubble(t, map[string]storage.Bucket{"m": m}, storage.Options{}, func(t *testing.T, s *storage.Spool, u *storage.Uploader, dir string) {
		for i := range 500 {
			_, err := commit(s, fmt.Sprintf("k/%03d", i), "x", "m")
			must(t, err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		for i := 1; i < len(began); i++ {
			if wait := began[i].Sub(began[i-1]); wait < time.Second {
				t.Errorf("the next began after %v", wait)
			}
		}
		t.Logf("%d uploads began in an hour, %d at once", len(began), most)
		if most > 16 {
			t.Errorf("%d at once", most)
		}
		m.fail(nil)
		drain(t, u, "", 2*time.Minute)
	})
}

// TestUploaderBackup: what a bucket could not be given for ten minutes goes to
// its backup too, manifests in their newest version, over a restart, each once;
// and to its own bucket when that is back.
func TestUploaderBackup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, backup := newMemory(), newMemory()
		down := func(context.Context, string) error { return errors.New("away") }
		first.fail(down)
		var note notices
		o := storage.Options{Notice: note.tell, Backups: map[string]storage.Backup{"first": {Bucket: "backup", After: 10 * time.Minute}}}
		dir := memoryDir(t)
		var s *storage.Spool
		var u *storage.Uploader
		live := func(fn func()) {
			s = openSpool(t, dir)
			u = storage.NewUploader(s, map[string]storage.Bucket{"first": first, "backup": backup}, o)
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- u.Run(ctx) }()
			fn()
			stop()
			must(t, <-ended)
			must(t, s.Close())
		}
		minute := 0
		work := func(minutes int) {
			for range minutes {
				key := fmt.Sprintf("r/c/%03d", minute)
				_, err := commit(s, key, key, "first")
				must(t, err)
				_, err = s.Put("r/c/manifest.json", []byte(key), []string{"first"})
				must(t, err)
				minute++
				time.Sleep(time.Minute)
			}
		}
		live(func() {
			work(9)
			if n := len(backup.keys()); n != 0 {
				t.Errorf("%d objects are in the backup after 9 minutes", n)
			}
			work(11)
			synctest.Wait()
			if n := len(backup.keys()); n < 11 || n > 13 { // segments of the first ten minutes, manifest
				t.Errorf("%d objects are in the backup after 20 minutes: %v", n, backup.keys())
			}
			if got, _ := backup.get("r/c/manifest.json"); got < "r/c/018" {
				t.Errorf("the backup's manifest is of %q", got)
			}
		})
		sent := backup.attempts()
		// The file system does not know virtual time.
		must(t, filepath.WalkDir(filepath.Join(dir, "out", "first"), func(name string, e fs.DirEntry, err error) error {
			var index int
			if n, _ := fmt.Sscanf(e.Name(), "%d", &index); n == 1 {
				at := time.Now().Add(time.Duration(index-minute) * time.Minute)
				err = errors.Join(err, os.Chtimes(name, at, at))
			}
			return err
		}))
		live(func() {
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			if again := backup.attempts() - sent; again > 3 {
				t.Errorf("after a restart %d objects were sent to the backup, %d segments were due", again, 2)
			}
			if n, _ := s.Pending("first", ""); n != minute+1 {
				t.Errorf("%d files wait for the first bucket, want %d", n, minute+1)
			}
			first.fail(nil)
			work(15)
			drain(t, u, "", time.Minute)
		})
		for i := range minute {
			key := fmt.Sprintf("r/c/%03d", i)
			if got, _ := first.get(key); got != key {
				t.Errorf("%s did not come back to the first bucket", key)
			}
		}
		if n := len(backup.keys()); n > 30 {
			t.Errorf("the backup has %d objects: it got some when the first bucket was back", n)
		}
		told := note.told()
		if !slices.Contains(told, "storage.backup first") || !slices.Contains(told, "storage.up first") || len(told) > 6 {
			t.Errorf("told: %q", told)
		}
	})
}

// TestSpoolTenThousand: a spool with 10,000 segments on a real disk is ready
// in five seconds, and the oldest go first.
func TestSpoolTenThousand(t *testing.T) {
	dir := t.TempDir()
	old := time.Now().Add(-time.Hour)
	for i := range 10_000 {
		name := filepath.Join(dir, fmt.Sprintf("out/m/room/call/streams/u%d/%06d.ogg", (i*7)%100, i/100))
		if i < 100 {
			must(t, os.MkdirAll(filepath.Dir(name), 0o700))
		}
		must(t, os.WriteFile(name, []byte(name), 0o600))
		must(t, os.Chtimes(name, old, old.Add(time.Duration(i)*time.Millisecond)))
	}
	start := time.Now()
	s, err := storage.OpenSpool(dir, discard())
	must(t, err)
	defer s.Close()
	m := newMemory()
	u := storage.NewUploader(s, map[string]storage.Bucket{"m": m}, storage.Options{})
	if !u.Step(t.Context(), "m") {
		t.Fatal("nothing is there to upload")
	}
	took := time.Since(start)
	t.Logf("ready, and the first uploaded, after %v", took)
	if took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	if n, _ := s.Pending("m", ""); n != 9_999 {
		t.Errorf("%d wait", n)
	}
	for range 300 {
		u.Step(t.Context(), "m")
	}
	for i, key := range m.keys() {
		if want := fmt.Sprintf("room/call/streams/u%d/%06d.ogg", (i*7)%100, i/100); key != want {
			t.Fatalf("upload %d is %s, %s is older", i, key, want)
		}
	}
}
