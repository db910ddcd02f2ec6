package storage_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"

	"mixdown/storage"
)

func record(n int) storage.Record {
	return storage.Record{Kind: uint8(n), Stream: uint32(n * 7), At: int64(n) * 1e6, Data: bytes.Repeat([]byte{byte(n)}, n*37%211)}
}

func same(a, b storage.Record) bool {
	return a.Kind == b.Kind && a.Stream == b.Stream && a.At == b.At && bytes.Equal(a.Data, b.Data)
}

func anyCheckpoint([]byte) bool { return true }

func oldest(wanted string) func([]byte) bool {
	return func(c []byte) bool { return string(c) == wanted }
}

// replayed reads back the numbers of the records from a checkpoint on.
func replayed(t interface{ Fatalf(string, ...any) }, j *storage.Journal, from func([]byte) bool) (numbers []int, checkpoint string, err error) {
	c, err := j.Replay(from, func(r storage.Record) error {
		n := int(r.At / 1e6)
		if !same(r, record(n)) {
			t.Fatalf("record %d was changed: %+v", n, r)
		}
		numbers = append(numbers, n)
		return nil
	})
	return numbers, string(c), err
}

func span(from, to int) []int {
	var s []int
	for n := from; n < to; n++ {
		s = append(s, n)
	}
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestJournalStretches(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	j, err := storage.CreateJournal(dir)
	must(t, err)
	n := 0
	for stretch := range 5 {
		for range 20 {
			must(t, j.Append(record(n)))
			n++
		}
		must(t, j.Rotate(fmt.Appendf(nil, "after %d", stretch)))
	}
	must(t, j.Append(record(n)))
	must(t, j.Close())
	if err := j.Append(record(0)); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("append after close: %v", err)
	}
	if _, err := storage.CreateJournal(dir); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second create: %v", err)
	}

	j, err = storage.OpenJournal(dir)
	must(t, err)
	got, checkpoint, err := replayed(t, j, oldest("after 2"))
	if err != nil || checkpoint != "after 2" || !slices.Equal(got, span(60, 101)) {
		t.Fatalf("replay from 2: %v %q %v", got, checkpoint, err)
	}
	if got, checkpoint, err = replayed(t, j, anyCheckpoint); err != nil || checkpoint != "after 4" || !slices.Equal(got, []int{100}) {
		t.Fatalf("replay from the newest: %v %q %v", got, checkpoint, err)
	}
	if got, checkpoint, err = replayed(t, j, oldest("")); err != nil || checkpoint != "" || !slices.Equal(got, span(0, 101)) {
		t.Fatalf("replay from the beginning: %v %q %v", got, checkpoint, err)
	}
	must(t, j.Append(record(101)))
	must(t, j.Cut(oldest("none")))
	must(t, j.Cut(oldest("after 3")))
	must(t, j.Sync())
	if _, _, err = replayed(t, j, oldest("after 2")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("replay from a cut stretch: %v", err)
	}
	if got, _, err = replayed(t, j, oldest("after 3")); err != nil || !slices.Equal(got, span(80, 102)) {
		t.Errorf("replay after cut and reopening: %v %v", got, err)
	}
	stop := errors.New("enough")
	if _, err := j.Replay(anyCheckpoint, func(storage.Record) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("replay with a failing fn: %v", err)
	}
	must(t, j.Remove())
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("removed journal: %v", err)
	}
	if _, err := storage.OpenJournal(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open of none: %v", err)
	}
}

// TestJournalTail cuts the last file at every byte: all records before the
// cut are there, and what is appended afterwards follows them.
func TestJournalTail(t *testing.T) {
	dir := t.TempDir()
	j, err := storage.CreateJournal(dir)
	must(t, err)
	ends := []int64{}
	name := filepath.Join(dir, "00000001.journal")
	size := func() int64 {
		info, err := os.Stat(name)
		must(t, err)
		return info.Size()
	}
	start := size()
	for n := range 12 {
		must(t, j.Append(record(n)))
		must(t, j.Sync())
		ends = append(ends, size())
	}
	must(t, j.Close())
	whole, err := os.ReadFile(name)
	must(t, err)
	base := memoryDir(t)
	for cut := start; cut <= int64(len(whole)); cut++ {
		dir := filepath.Join(base, fmt.Sprint(cut))
		must(t, os.Mkdir(dir, 0o700))
		must(t, os.WriteFile(filepath.Join(dir, "00000001.journal"), whole[:cut], 0o600))
		want := 0
		for want < len(ends) && ends[want] <= cut {
			want++
		}
		j, err := storage.OpenJournal(dir)
		must(t, err)
		if got, _, err := replayed(t, j, anyCheckpoint); err != nil || !slices.Equal(got, span(0, want)) {
			t.Fatalf("cut at %d: %v %v, want %d records", cut, got, err, want)
		}
		if cut%11 == 0 { // not always, for the sake of time
			must(t, j.Append(record(want)))
			must(t, j.Sync())
			if got, _, err := replayed(t, j, anyCheckpoint); err != nil || !slices.Equal(got, span(0, want+1)) {
				t.Fatalf("cut at %d, then appended: %v %v", cut, got, err)
			}
		}
		must(t, j.Close())
	}
}

// TestJournalDamage flips every byte of a middle file: the others are
// replayed whole and the damage is reported.
func TestJournalDamage(t *testing.T) {
	dir := t.TempDir()
	j, err := storage.CreateJournal(dir)
	must(t, err)
	for n := range 9 {
		if n%3 == 0 && n > 0 {
			must(t, j.Rotate(fmt.Append(nil, n)))
		}
		must(t, j.Append(record(n+1)))
	}
	must(t, j.Close())
	middle := filepath.Join(dir, "00000002.journal")
	whole, err := os.ReadFile(middle)
	must(t, err)
	for i := range whole {
		damaged := bytes.Clone(whole)
		damaged[i] ^= 0x40
		must(t, os.WriteFile(middle, damaged, 0o600))
		j, err := storage.OpenJournal(dir)
		must(t, err)
		got, _, err := replayed(t, j, oldest(""))
		if !errors.Is(err, storage.ErrTorn) {
			t.Fatalf("byte %d: %v", i, err)
		}
		rest := slices.DeleteFunc(slices.Clone(got), func(n int) bool { return 4 <= n && n <= 6 })
		if !slices.Equal(rest, []int{1, 2, 3, 7, 8, 9}) || !slices.IsSorted(got) {
			t.Fatalf("byte %d: replayed %v", i, got)
		}
		if got, _, err := replayed(t, j, anyCheckpoint); err != nil || !slices.Equal(got, []int{7, 8, 9}) {
			t.Fatalf("byte %d: newest stretch %v %v", i, got, err)
		}
		must(t, j.Close())
	}
}

// TestJournalFailedFsync: what was not confirmed is written again elsewhere
// and replayed exactly once.
func TestJournalFailedFsync(t *testing.T) {
	var broken error
	dir := t.TempDir()
	j, err := storage.CreateJournalWith(dir, func(op, name string, p []byte) (int, error) {
		if op == "sync" {
			return 0, broken
		}
		return len(p), nil
	})
	must(t, err)
	n := 0
	add := func() {
		must(t, j.Append(record(n)))
		n++
	}
	add()
	must(t, j.Sync())
	durable, _ := j.Durable()
	broken = syscall.EIO
	for range 4 {
		add()
		if err := j.Sync(); !errors.Is(err, syscall.EIO) {
			t.Fatalf("sync: %v", err)
		}
	}
	if err := j.Rotate([]byte("pending")); !errors.Is(err, syscall.EIO) {
		t.Fatalf("rotate: %v", err)
	}
	add()
	if now, _ := j.Durable(); now != durable {
		t.Errorf("durable went from %d to %d although fsync fails", durable, now)
	}
	broken = nil
	must(t, j.Sync())
	add()
	must(t, j.Sync())
	if got, _, err := replayed(t, j, oldest("")); err != nil || !slices.Equal(got, span(0, n)) {
		t.Errorf("replay: %v %v", got, err)
	}
	if got, _, err := replayed(t, j, oldest("pending")); err != nil || !slices.Equal(got, span(5, n)) {
		t.Errorf("replay from the delayed checkpoint: %v %v", got, err)
	}
	must(t, j.Close())
}

// TestJournalFull: the disk is full for long. Append keeps what memory
// allows, then drops and says so; with space it recovers.
func TestJournalFull(t *testing.T) {
	full := true
	j, err := storage.CreateJournalWith(memoryDir(t), func(op, name string, p []byte) (int, error) {
		if full && op == "write" && len(p) > 1000 {
			return len(p) / 3, syscall.ENOSPC
		}
		return len(p), nil
	})
	must(t, err)
	big := storage.Record{Data: make([]byte, 1<<20)}
	kept := 0
	for j.Append(big) == nil {
		kept++
		if kept == 10 {
			if err := j.Sync(); !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("sync: %v", err)
			}
		}
		if kept > 1000 {
			t.Fatal("memory is not bounded")
		}
	}
	if err := j.Append(big); !errors.Is(err, syscall.ENOSPC) || j.Dropped() != 2 || kept < 50 {
		t.Fatalf("append to a full journal: %v, %d dropped, %d kept", err, j.Dropped(), kept)
	}
	full = false
	must(t, j.Sync())
	must(t, j.Append(big))
	must(t, j.Sync())
	got := 0
	_, err = j.Replay(anyCheckpoint, func(storage.Record) error { got++; return nil })
	if err != nil || got != kept+1 {
		t.Errorf("replayed %d of %d: %v", got, kept+1, err)
	}
	must(t, j.Close())
}

func TestJournalAppendAllocates(t *testing.T) {
	j, err := storage.CreateJournal(t.TempDir())
	must(t, err)
	defer j.Close()
	r := storage.Record{Kind: 1, Data: make([]byte, 100)}
	for range 2 { // both buffers reach their size
		for range 6000 {
			must(t, j.Append(r))
		}
		must(t, j.Sync())
	}
	if n := testing.AllocsPerRun(5000, func() { j.Append(r) }); n != 0 {
		t.Errorf("Append allocates %v times", n)
	}
}

func TestJournalConcurrent(t *testing.T) {
	j, err := storage.CreateJournal(t.TempDir())
	must(t, err)
	const writers, each = 8, 500
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := range each {
				if err := j.Append(storage.Record{Stream: uint32(w), At: int64(n)}); err != nil {
					t.Error(err)
				}
				switch n % 100 {
				case 50:
					if err := j.Sync(); err != nil {
						t.Error(err)
					}
				case 99:
					if err := j.Rotate([]byte{byte(w)}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	must(t, j.Sync())
	next := make([]int64, writers)
	_, err = j.Replay(oldest(""), func(r storage.Record) error {
		if r.At != next[r.Stream] {
			t.Errorf("writer %d: record %d where %d is due", r.Stream, r.At, next[r.Stream])
		}
		next[r.Stream] = r.At + 1
		return nil
	})
	must(t, err)
	for w, n := range next {
		if n != each {
			t.Errorf("writer %d: %d records", w, n)
		}
	}
	must(t, j.Close())
}

func FuzzJournalReplay(f *testing.F) {
	dir := f.TempDir()
	j, err := storage.CreateJournal(dir)
	must(f, err)
	for n := range 4 {
		must(f, j.Append(record(n)))
	}
	must(f, j.Rotate([]byte("checkpoint")))
	must(f, j.Append(record(4)))
	must(f, j.Close())
	first, err := os.ReadFile(filepath.Join(dir, "00000001.journal"))
	must(f, err)
	second, err := os.ReadFile(filepath.Join(dir, "00000002.journal"))
	must(f, err)
	f.Add(first, second)
	f.Add(second, first)
	f.Add([]byte{}, make([]byte, 100))
	f.Add(first[:40], append(bytes.Clone(second), 0xff, 0xff, 0xff, 0xff))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		dir := memoryDir(t)
		must(t, os.WriteFile(filepath.Join(dir, "00000001.journal"), first, 0o600))
		must(t, os.WriteFile(filepath.Join(dir, "00000002.journal"), second, 0o600))
		j, err := storage.OpenJournal(dir)
		if err != nil {
			return
		}
		defer j.Close()
		total := 0
		_, err = j.Replay(anyCheckpoint, func(r storage.Record) error {
			total += len(r.Data) + 21
			return nil
		})
		if total > len(first)+len(second) {
			t.Errorf("replayed %d bytes of %d", total, len(first)+len(second))
		}
		if err != nil && !errors.Is(err, storage.ErrTorn) && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("replay: %v", err)
		}
		must(t, j.Append(record(1)))
		must(t, j.Sync())
		must(t, j.Cut(anyCheckpoint))
	})
}

func BenchmarkJournal(b *testing.B) {
	j, err := storage.CreateJournal(b.TempDir())
	must(b, err)
	defer j.Close()
	r := storage.Record{Kind: 1, Data: make([]byte, 100)}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		j.Append(r)
		if i%5000 == 4999 { // a second of 100 streams
			must(b, j.Sync())
		}
	}
}
