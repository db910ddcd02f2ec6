package storage_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"mixdown/storage"
)

// TestMain fixes the seed of the property tests and lets them run longer than
// by default; flags on the command line still win.
func TestMain(m *testing.M) {
	for name, value := range map[string]string{"rapid.seed": "1", "rapid.checks": "400", "rapid.nofailfile": "true"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

var errCrash = errors.New("crashed")

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// crash lets left operations pass and refuses every later one, as if the
// process had died. The write at which it dies gets half through.
type crash struct {
	mu   sync.Mutex
	left int
	ops  int
	dead bool
	tap  func(op, name string) // sees what passes
}

func (c *crash) fault(op, name string, p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return 0, errCrash
	}
	c.ops++
	if c.left--; c.left < 0 {
		c.dead = true
		return len(p) / 2, errCrash
	}
	if c.tap != nil {
		c.tap(op, name)
	}
	return len(p), nil
}

// power follows what a disk would still hold after a power cut: the content
// of a file as of its last fsync, the names in a folder as of its last fsync.
// A file that never was synced survives with no content.
type power struct {
	t     testing.TB
	dir   string
	held  []*os.File // keeps inode numbers from being used again
	files map[uint64][]byte
	dirs  map[string]map[string]uint64 // 0 is a folder
	lies  func(op, name string) bool   // an fsync that does nothing
}

func newPower(t testing.TB, dir string) *power {
	p := &power{t: t, dir: dir, files: make(map[uint64][]byte), dirs: make(map[string]map[string]uint64)}
	p.tap("syncdir", ".")
	t.Cleanup(p.release)
	return p
}

func (p *power) release() {
	for _, f := range p.held {
		f.Close()
	}
	p.held = nil
}

func inode(info fs.FileInfo) uint64 { return info.Sys().(*syscall.Stat_t).Ino }

func (p *power) tap(op, name string) {
	if p.lies != nil && p.lies(op, name) {
		return
	}
	full := filepath.Join(p.dir, name)
	switch op {
	case "sync":
		f, err := os.Open(full)
		if err != nil {
			p.t.Fatalf("follow fsync: %v", err)
		}
		p.held = append(p.held, f)
		info, err := f.Stat()
		if err != nil {
			p.t.Fatal(err)
		}
		b, err := io.ReadAll(f)
		if err != nil {
			p.t.Fatal(err)
		}
		p.files[inode(info)] = b
	case "syncdir":
		entries, err := os.ReadDir(full)
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		if err != nil {
			p.t.Fatalf("follow fsync: %v", err)
		}
		names := make(map[string]uint64)
		for _, e := range entries {
			info, err := e.Info()
			if err != nil {
				p.t.Fatal(err)
			}
			if !e.IsDir() {
				names[e.Name()] = inode(info)
				// Hold it, so that its number stays its own.
				if f, err := os.Open(filepath.Join(full, e.Name())); err == nil {
					p.held = append(p.held, f)
				}
			} else {
				names[e.Name()] = 0
			}
		}
		p.dirs[name] = names
	}
}

// cut makes the folder that the next process finds.
func (p *power) cut() string {
	target, err := os.MkdirTemp(filepath.Dir(p.dir), "after")
	if err != nil {
		p.t.Fatal(err)
	}
	p.restore(target, ".", make(map[uint64]string))
	p.release()
	return target
}

func (p *power) restore(target, dir string, seen map[uint64]string) {
	for name, ino := range p.dirs[dir] {
		full := filepath.Join(target, dir, name)
		var err error
		switch first, linked := seen[ino]; {
		case ino == 0:
			if err = os.Mkdir(full, 0o700); err == nil {
				p.restore(target, path.Join(dir, name), seen)
			}
		case linked:
			err = os.Link(first, full)
		default:
			seen[ino] = full
			err = os.WriteFile(full, p.files[ino], 0o600)
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
}

// memory is a bucket that can be told to fail.
type memory struct {
	mu      sync.Mutex
	objects map[string][]byte
	order   []string // of first storing
	puts    int
	before  func(ctx context.Context, key string) error // may fail a Put before it stores
	after   func(key string) error                      // or after
}

func newMemory() *memory { return &memory{objects: make(map[string][]byte)} }

func (m *memory) Put(ctx context.Context, key string, r io.ReadSeeker, o storage.PutOptions) error {
	m.mu.Lock()
	before, after := m.before, m.after
	m.puts++
	m.mu.Unlock()
	if before != nil {
		if err := before(ctx, key); err != nil {
			return err
		}
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if int64(len(b)) != o.Size || sha256.Sum256(b) != o.SHA256 {
		return fmt.Errorf("%s: announced %d bytes, got %d", key, o.Size, len(b))
	}
	m.mu.Lock()
	old, ok := m.objects[key]
	switch {
	case ok && !o.Replace && !bytes.Equal(old, b):
		m.mu.Unlock()
		return storage.ErrConflict
	case !ok:
		m.order = append(m.order, key)
	}
	m.objects[key] = b
	m.mu.Unlock()
	if after != nil {
		return after(key)
	}
	return nil
}

func (m *memory) Stat(_ context.Context, key string) (storage.Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.objects[key]
	if !ok {
		return storage.Object{}, fs.ErrNotExist
	}
	return storage.Object{Key: key, Size: int64(len(b)), SHA256: sha256.Sum256(b)}, nil
}

func (m *memory) get(key string) (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.objects[key]
	return string(b), ok
}

func (m *memory) keys() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.order...)
}

func (m *memory) attempts() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.puts
}

func (m *memory) fail(before func(ctx context.Context, key string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.before = before
}

// memoryDir is a folder in memory where the machine has one: tests that stop
// at every operation would otherwise spend their time in fsync.
func memoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "storage")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
