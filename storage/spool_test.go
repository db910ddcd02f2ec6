package storage_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"mixdown/storage"
)

func openSpool(t testing.TB, dir string) *storage.Spool {
	t.Helper()
	s, err := storage.OpenSpool(dir, discard())
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func commit(s *storage.Spool, key, content string, buckets ...string) (storage.Sealed, error) {
	f, err := s.Create(key)
	if err != nil {
		return storage.Sealed{}, err
	}
	defer f.Close()
	if _, err := f.Write([]byte(content)); err != nil {
		return storage.Sealed{}, err
	}
	return f.Commit(buckets)
}

func TestSpoolFile(t *testing.T) {
	dir := t.TempDir()
	s := openSpool(t, dir)
	f, err := s.Create("room/call/mix/1.wav")
	must(t, err)
	part := filepath.Join(dir, "open/room/call/mix/1.wav.part")
	for _, p := range []string{"head", "body", "tail"} {
		_, err := f.Write([]byte(p))
		must(t, err)
	}
	must(t, f.Sync())
	if _, err := s.Create("room/call/mix/1.wav"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second create: %v", err)
	}
	if b, err := os.ReadFile(part); err != nil || string(b) != "headbodytail" {
		t.Errorf("part: %q %v", b, err)
	}
	_, err = f.WriteAt([]byte("HE"), 0)
	must(t, err)
	_, err = f.Write([]byte("!"))
	must(t, err)
	b := make([]byte, 4)
	if _, err := f.ReadAt(b, 0); err != nil || string(b) != "HEad" || f.Size() != 13 {
		t.Errorf("read back %q, size %d, %v", b, f.Size(), err)
	}
	sealed, err := f.Commit([]string{"local", "archive", "local"})
	must(t, err)
	want := "HEadbodytail!"
	if sealed.Key != "room/call/mix/1.wav" || sealed.Size != 13 || sealed.SHA256 != sha256.Sum256([]byte(want)) {
		t.Errorf("sealed: %+v", sealed)
	}
	for _, bucket := range []string{"local", "archive"} {
		b, err := os.ReadFile(filepath.Join(dir, "out", bucket, "room/call/mix/1.wav"))
		if err != nil || string(b) != want {
			t.Errorf("%s: %q %v", bucket, b, err)
		}
		if n, size := s.Pending(bucket, "room/call/"); n != 1 || size != 13 {
			t.Errorf("%s: %d pending, %d bytes", bucket, n, size)
		}
	}
	for _, gone := range []string{part, filepath.Join(dir, "open/room"), filepath.Join(dir, "sealed/archive+local")} {
		if _, err := os.Stat(gone); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there", gone)
		}
	}
	if _, err := f.Write(nil); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("write after commit: %v", err)
	}
	must(t, f.Abort())
	if n, _ := s.Pending("", "room/other"); n != 0 {
		t.Errorf("%d pending of another prefix", n)
	}
}

func TestSpoolHashes(t *testing.T) {
	s := openSpool(t, t.TempDir())
	for name, write := range map[string]func(f *storage.File) string{
		"append": func(f *storage.File) string {
			f.Write([]byte("abc"))
			f.Write([]byte("def"))
			return "abcdef"
		},
		"cut":   func(f *storage.File) string { f.Write([]byte("abcdef")); f.Truncate(3); return "abc" },
		"ahead": func(f *storage.File) string { f.WriteAt([]byte("c"), 2); f.Write([]byte("d")); return "\x00\x00cd" },
		"empty": func(f *storage.File) string { return "" },
	} {
		f, err := s.Create(name)
		must(t, err)
		want := write(f)
		sealed, err := f.Commit([]string{"b"})
		if err != nil || sealed.SHA256 != sha256.Sum256([]byte(want)) || sealed.Size != int64(len(want)) {
			t.Errorf("%s: %+v %v", name, sealed, err)
		}
	}
}

func TestSpoolLeftovers(t *testing.T) {
	dir := t.TempDir()
	s, err := storage.OpenSpool(dir, discard())
	must(t, err)
	for _, key := range []string{"r/c/2", "r/c/1", "r/d/1"} {
		f, err := s.Create(key)
		must(t, err)
		_, err = f.Write([]byte("torn " + key))
		must(t, err)
		must(t, f.Sync())
	}
	if left, err := s.Leftovers("r/"); err != nil || len(left) != 0 {
		t.Errorf("files being written are leftovers: %v %v", left, err)
	}
	must(t, s.Close())

	s = openSpool(t, dir)
	left, err := s.Leftovers("r/c/")
	if err != nil || !slices.Equal(left, []string{"r/c/1", "r/c/2"}) {
		t.Fatalf("leftovers: %v %v", left, err)
	}
	if _, err := s.Create("r/c/1"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("create over a leftover: %v", err)
	}
	f, err := s.OpenPart("r/c/1")
	must(t, err)
	must(t, f.Truncate(4))
	_, err = f.Write([]byte(" mended"))
	must(t, err)
	sealed, err := f.Commit([]string{"b"})
	if err != nil || sealed.SHA256 != sha256.Sum256([]byte("torn mended")) {
		t.Errorf("mended: %+v %v", sealed, err)
	}
	f, err = s.OpenPart("r/c/2")
	must(t, err)
	must(t, f.Abort())
	f, err = s.OpenPart("r/d/1")
	must(t, err)
	must(t, f.Close())
	if left, err := s.Leftovers(""); err != nil || !slices.Equal(left, []string{"r/d/1"}) {
		t.Errorf("leftovers at the end: %v %v", left, err)
	}
	if _, err := s.OpenPart("r/c/2"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open of an aborted part: %v", err)
	}
}

// A crash between Seal and Publish leaves the sealed file; the next process
// publishes it as it is. Publish does not sync again what Seal has synced.
func TestSpoolSealThenPublish(t *testing.T) {
	dir, syncs := t.TempDir(), 0
	s, err := storage.OpenSpoolWith(dir, discard(), func(op, name string, p []byte) (int, error) {
		if op == "sync" {
			syncs++
		}
		return len(p), nil
	})
	must(t, err)
	files := make(map[string]storage.Sealed)
	for _, key := range []string{"k/1", "k/2"} {
		f, err := s.Create(key)
		must(t, err)
		_, err = f.Write([]byte(key))
		must(t, err)
		files[key], err = f.Seal()
		must(t, err)
		if n, _ := s.Pending("", ""); n != len(files)-1 {
			t.Errorf("%d files queued before publishing %s", n, key)
		}
		if key == "k/1" {
			must(t, f.Publish([]string{"b"}))
		}
	}
	if syncs != 2 {
		t.Errorf("%d fsyncs of two files", syncs)
	}
	must(t, s.Close())
	s = openSpool(t, dir)
	if _, err := s.OpenPart("k/1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("published file is left over: %v", err)
	}
	f, err := s.OpenPart("k/2")
	must(t, err)
	if sealed, err := f.Seal(); err != nil || sealed != files["k/2"] {
		t.Errorf("sealed %+v, then %+v, %v", files["k/2"], sealed, err)
	}
	must(t, f.Publish([]string{"b"}))
	if n, size := s.Pending("b", "k/"); n != 2 || size != 6 {
		t.Errorf("%d files, %d bytes pending", n, size)
	}
}

func TestSpoolKeys(t *testing.T) {
	dir := t.TempDir()
	s := openSpool(t, filepath.Join(dir, "spool"))
	for _, key := range []string{"", ".", "..", "../x", "a/../b", "/a", "a/", "a//b", ".hidden", "a/.b", "a\x00b", "a\\b", "a b", "ä",
		"a.part", "a.part/b", "a?b", "a#b", "a:b", "a*", strings.Repeat("x", 201), strings.Repeat("x/", 500) + "x"} {
		if _, err := s.Create(key); err == nil {
			t.Errorf("create %q succeeded", key)
		}
		if _, err := s.OpenPart(key); err == nil {
			t.Errorf("open %q succeeded", key)
		}
		if _, err := s.Put(key, nil, []string{"b"}); err == nil {
			t.Errorf("put %q succeeded", key)
		}
	}
	for _, buckets := range [][]string{nil, {""}, {"a/b"}, {"a+b"}, {".."}, {"a", ".b"}, {strings.Repeat("x", 61)}} {
		if _, err := commit(s, "k", "x", buckets...); err == nil {
			t.Errorf("commit to %q succeeded", buckets)
		}
		f, err := s.OpenPart("k")
		must(t, err)
		must(t, f.Abort())
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("outside the spool: %v %v", entries, err)
	}
}

func TestKeyName(t *testing.T) {
	ids := []string{"alice", "a.b", ".", "..", "../../x", "%2e%2e", "a/b", "a\x00b", "CON", "ä", "а", "a b", "=41", "A", "", "x.part", "x.part~",
		strings.Repeat("x", 10_000), strings.Repeat("x", 10_001), strings.Repeat("/", 60), strings.Repeat("/", 61), "~", "=", "a=2Fb", "a%2Fb", "-", "_@-."}
	seen := make(map[string]string)
	s := openSpool(t, t.TempDir())
	for _, id := range ids {
		name := storage.KeyName(id)
		if other, ok := seen[name]; ok {
			t.Errorf("%q and %q both become %q", id, other, name)
		}
		seen[name] = id
		f, err := s.Create("room/" + name)
		if err != nil {
			t.Errorf("%.30q: %v", id, err)
			continue
		}
		must(t, f.Abort())
	}
	if storage.KeyName("user_1-x@y.z") != "user_1-x@y.z" {
		t.Error("an ordinary id was changed")
	}
}

func TestSpoolLock(t *testing.T) {
	dir := t.TempDir()
	first, err := storage.OpenSpool(dir, discard())
	must(t, err)
	if s, err := storage.OpenSpool(dir, discard()); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("second open: %v %v", s, err)
	}
	must(t, first.Close())
	openSpool(t, dir)
}

func TestSpoolQuarantine(t *testing.T) {
	dir := t.TempDir()
	openSpool(t, dir).Close()
	strange := []string{"notes.txt", "open/room/x.ogg", "out/stray", "out/b/.hidden/x", "tmp/7x", "sealed/a+b", "replace/b/a b", "out/link"}
	for _, name := range strange {
		full := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(full), 0o700))
		if name == "out/link" {
			must(t, os.Symlink("/etc/passwd", full))
			continue
		}
		must(t, os.WriteFile(full, []byte(name), 0o600))
	}
	must(t, os.WriteFile(filepath.Join(dir, "tmp/7"), []byte("half"), 0o600))
	for range 2 {
		s, err := storage.OpenSpool(dir, discard())
		must(t, err)
		if n, _ := s.Pending("", ""); n != 0 {
			t.Errorf("%d strange files are queued", n)
		}
		must(t, s.Close())
	}
	for _, name := range strange {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s is still in its place", name)
		}
		b, err := os.ReadFile(filepath.Join(dir, "quarantine", name))
		if name == "out/link" {
			_, err = os.Lstat(filepath.Join(dir, "quarantine", name))
			b = []byte(name)
		}
		if err != nil || string(b) != name {
			t.Errorf("%s in quarantine: %q %v", name, b, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "tmp/7")); err == nil {
		t.Error("an unfinished temporary file was kept")
	}
}

func TestSpoolConflict(t *testing.T) {
	s := openSpool(t, t.TempDir())
	_, err := commit(s, "k", "one", "b")
	must(t, err)
	if _, err := commit(s, "k", "one", "b", "c"); err != nil {
		t.Errorf("the same content again: %v", err)
	}
	if n, _ := s.Pending("b", ""); n != 1 {
		t.Errorf("%d pending", n)
	}
	if _, err := commit(s, "k", "two", "b"); !errors.Is(err, storage.ErrConflict) {
		t.Errorf("other content: %v", err)
	}
	if left, _ := s.Leftovers(""); !slices.Equal(left, []string{"k"}) {
		t.Errorf("the refused file must stay: %v", left)
	}
}

// TestSpoolFailedFsync: the file is written anew and committed whole.
func TestSpoolFailedFsync(t *testing.T) {
	failures := 0
	dir := t.TempDir()
	s, err := storage.OpenSpoolWith(dir, discard(), func(op, name string, p []byte) (int, error) {
		if op == "sync" && failures > 0 {
			failures--
			return 0, syscall.EIO
		}
		return len(p), nil
	})
	must(t, err)
	defer s.Close()
	for i, fail := range []int{1, 2, 1} {
		key := fmt.Sprint("k", i)
		f, err := s.Create(key)
		must(t, err)
		_, err = f.Write([]byte("before "))
		must(t, err)
		failures = fail
		err = f.Sync()
		if fail == 1 && err != nil || fail == 2 && !errors.Is(err, syscall.EIO) {
			t.Fatalf("sync with %d failures: %v", fail, err)
		}
		_, err = f.Write([]byte("after"))
		must(t, err)
		if i == 2 {
			failures = 1
		}
		sealed, err := f.Commit([]string{"b"})
		if err != nil || sealed.SHA256 != sha256.Sum256([]byte("before after")) {
			t.Fatalf("commit: %+v %v", sealed, err)
		}
		b, err := os.ReadFile(filepath.Join(dir, "out/b", key))
		if err != nil || string(b) != "before after" {
			t.Errorf("committed %q %v", b, err)
		}
	}
}

// TestSpoolCommitRepeats fails each operation of a commit once; the second
// try must succeed.
func TestSpoolCommitRepeats(t *testing.T) {
	for failing := 0; ; failing++ {
		left, armed := failing, false
		hit := false
		dir := t.TempDir()
		s, err := storage.OpenSpoolWith(dir, discard(), func(op, name string, p []byte) (int, error) {
			if armed && op != "sync" { // a failed fsync has its own test
				if left--; left == -1 {
					hit = true
					return len(p) / 2, syscall.EIO
				}
			}
			return len(p), nil
		})
		must(t, err)
		f, err := s.Create("r/c/k")
		must(t, err)
		_, err = f.Write([]byte("content"))
		must(t, err)
		armed = true
		sealed, err := f.Commit([]string{"a", "b"})
		if err != nil {
			sealed, err = f.Commit([]string{"a", "b"})
		}
		if err != nil || sealed.Size != 7 {
			t.Fatalf("operation %d: second commit: %v", failing, err)
		}
		must(t, s.Close())
		s = openSpool(t, dir)
		if n, size := s.Pending("", ""); n != 2 || size != 14 {
			t.Fatalf("operation %d: %d files, %d bytes pending", failing, n, size)
		}
		if left, _ := s.Leftovers(""); len(left) != 0 {
			t.Fatalf("operation %d: left over: %v", failing, left)
		}
		s.Close()
		if !hit {
			if failing < 8 {
				t.Fatalf("a commit has only %d operations?", failing)
			}
			return
		}
	}
}

func TestSpoolOpensQuickly(t *testing.T) {
	dir := memoryDir(t)
	content := bytes.Repeat([]byte{1}, 100)
	for i := range 10_000 {
		name := filepath.Join(dir, fmt.Sprintf("out/b%d/room%d/call/streams/user%d/s/%06d.ogg", i%2, i%5, i%100, i))
		if i < 200 {
			must(t, os.MkdirAll(filepath.Dir(name), 0o700))
		}
		must(t, os.WriteFile(name, content, 0o600))
	}
	start := time.Now()
	s := openSpool(t, dir)
	took := time.Since(start)
	if n, size := s.Pending("", ""); n != 10_000 || size != 1_000_000 {
		t.Errorf("%d files, %d bytes", n, size)
	}
	t.Logf("opened 10,000 segments in %v", took)
	if took > 5*time.Second && !raced {
		t.Errorf("opening took %v", took)
	}
}
