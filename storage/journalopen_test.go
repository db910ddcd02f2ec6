package storage_test

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"mixdown/storage"
)

// killed leaves a journal whose process has written nine records and was killed
// before the last four were synced, and follows what a power cut would leave.
func killed(t *testing.T) (dir string, p *power) {
	t.Helper()
	dir = filepath.Join(memoryDir(t), "journal")
	must(t, os.Mkdir(dir, 0o755))
	p = newPower(t, dir)
	j, err := storage.CreateJournalWith(dir, func(op, name string, b []byte) (int, error) {
		p.tap(op, name)
		return len(b), nil
	})
	must(t, err)
	for n := range 9 {
		must(t, j.Append(record(n)))
		if n == 4 {
			must(t, j.Sync())
		}
	}
	must(t, j.Write())
	return dir, p
}

// TestFailedFsyncIsNotBelieved: what a process wrote whose fsync failed, then or
// while it is opened, survives a power cut as soon as the journal is open: a
// second fsync of the same file may report success and has done nothing.
func TestFailedFsyncIsNotBelieved(t *testing.T) {
	dir, p := killed(t)
	defer os.RemoveAll(filepath.Dir(dir))
	written, err := os.ReadDir(dir)
	must(t, err)
	p.lies = func(op, name string) bool {
		return op == "sync" && slices.ContainsFunc(written, func(e os.DirEntry) bool { return e.Name() == name })
	}
	failures := 2
	fault := func(op, name string, b []byte) (int, error) {
		if op == "sync" && failures > 0 {
			failures--
			return 0, syscall.EIO
		}
		p.tap(op, name)
		return len(b), nil
	}
	for range 2 {
		if j, err := storage.OpenJournalWith(dir, fault); err == nil {
			j.Close()
			t.Fatal("it opens on a disk that does not sync")
		}
	}
	j, err := storage.OpenJournalWith(dir, fault)
	must(t, err)
	defer j.Close()
	cut := p.cut()
	defer os.RemoveAll(cut)
	after, err := storage.OpenJournal(cut)
	must(t, err)
	defer after.Close()
	if got, _, err := replayed(t, after, oldest("")); err != nil || !slices.Equal(got, span(0, 9)) {
		t.Errorf("%v, %v", got, err)
	}
	// And what it replaces is gone: restarts do not fill the disk.
	now, err := os.ReadDir(dir)
	must(t, err)
	if len(now) != 1 || now[0].Name() == written[0].Name() {
		t.Errorf("before %v, now %v", written, now)
	}
}

// TestJournalOpensOnAFullDisk: there the file's own fsync has to do, and records
// go on behind what it holds when there is room.
func TestJournalOpensOnAFullDisk(t *testing.T) {
	dir, _ := killed(t)
	defer os.RemoveAll(filepath.Dir(dir))
	full := true
	j, err := storage.OpenJournalWith(dir, func(op, _ string, b []byte) (int, error) {
		if full && op == "write" {
			return len(b) / 2, syscall.ENOSPC
		}
		return len(b), nil
	})
	must(t, err)
	for n := 9; n < 12; n++ {
		must(t, j.Append(record(n)))
	}
	if err := j.Sync(); err == nil {
		t.Fatal("it syncs on a full disk")
	}
	full = false
	must(t, j.Sync())
	must(t, j.Close())
	again, err := storage.OpenJournal(dir)
	must(t, err)
	defer again.Close()
	if got, _, err := replayed(t, again, oldest("")); err != nil || !slices.Equal(got, span(0, 12)) {
		t.Errorf("%v, %v", got, err)
	}
}
