package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

const (
	dirMode  = 0o750
	fileMode = 0o640
)

// A Fault stands before every operation on a disk that changes something.
// Tests use it to stop after each operation, to refuse or slow one, or to
// learn what would survive a power cut. For a write, n bytes of p are written
// before the error takes effect. nil in production.
type Fault func(op, name string, p []byte) (n int, err error)

// disk is one folder; no name leads out of it. It knows which of its folders
// are themselves durable, so that a file is never safe in a folder that is not.
type disk struct {
	root  *os.Root
	fault Fault

	mu    ioLock // held while names move, so that no folder vanishes under a new file
	known map[string]bool
}

// ioLock is a mutex that is held while the disk works. It is a channel so that
// whoever waits for it counts as asleep where time is virtual: a test can make
// the disk slow.
type ioLock chan struct{}

func (l ioLock) Lock()   { l <- struct{}{} }
func (l ioLock) Unlock() { <-l }

// openDisk opens the folder dir and makes it if it is not there.
func openDisk(dir string, fault Fault) (*disk, error) {
	if err := MakeFolder(filepath.Clean(dir)); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &disk{root: root, fault: fault, mu: make(ioLock, 1), known: make(map[string]bool)}, nil
}

// MakeFolder makes dir and what is missing above it, durably.
func MakeFolder(dir string) error {
	parents := []string{filepath.Dir(dir)}
	for {
		top := parents[len(parents)-1]
		if _, err := os.Stat(top); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		parents = append(parents, filepath.Dir(top))
	}
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return err
	}
	for _, p := range parents {
		f, err := os.Open(p)
		if errors.Is(err, fs.ErrPermission) {
			continue // nor could we have made anything in it
		}
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return fmt.Errorf("sync folder %s: %w", p, err)
		}
	}
	return nil
}

func (d *disk) close() error { return d.root.Close() }

func (d *disk) check(op, name string) error {
	if d.fault == nil {
		return nil
	}
	if _, err := d.fault(op, name, nil); err != nil {
		return &fs.PathError{Op: op, Path: name, Err: err}
	}
	return nil
}

func (d *disk) create(name string) (*handle, error) {
	if err := d.check("create", name); err != nil {
		return nil, err
	}
	f, err := d.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return nil, err
	}
	return &handle{d: d, f: f, name: name}, nil
}

func (d *disk) open(name string, flag int) (*handle, error) {
	f, err := d.root.OpenFile(name, flag, 0)
	if err != nil {
		return nil, err
	}
	return &handle{d: d, f: f, name: name}, nil
}

func (d *disk) rename(from, to string) error {
	if err := d.check("rename", to); err != nil {
		return err
	}
	return d.root.Rename(from, to)
}

func (d *disk) link(from, to string) error {
	if err := d.check("link", to); err != nil {
		return err
	}
	return d.root.Link(from, to)
}

func (d *disk) remove(name string) error {
	if err := d.check("remove", name); err != nil {
		return err
	}
	return d.root.Remove(name)
}

// syncDir makes the names in a folder durable.
func (d *disk) syncDir(name string) error {
	if err := d.check("syncdir", name); err != nil {
		return err
	}
	f, err := d.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (d *disk) readDir(name string) ([]fs.DirEntry, error) {
	f, err := d.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.ReadDir(-1)
}

// walk calls fn with everything below dir that is not a folder. A folder that
// does not exist holds nothing.
func (d *disk) walk(dir string, fn func(name string, e fs.DirEntry) error) error {
	entries, err := d.readDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if e.IsDir() {
			err = d.walk(name, fn)
		} else {
			err = fn(name, e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// syncTree makes the names in dir and in all folders below it durable.
func (d *disk) syncTree(dir string) error {
	if err := d.syncDir(dir); err != nil {
		return err
	}
	entries, err := d.readDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		if err := d.syncTree(path.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// within makes dir durable and runs fn while no folder can be pruned.
func (d *disk) within(dir string, fn func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.mkdirsLocked(dir); err != nil {
		return err
	}
	return fn()
}

func (d *disk) mkdirsLocked(dir string) error {
	if dir == "." || d.known[dir] {
		return nil
	}
	parent := path.Dir(dir)
	if err := d.mkdirsLocked(parent); err != nil {
		return err
	}
	if err := d.check("mkdir", dir); err != nil {
		return err
	}
	if err := d.root.Mkdir(dir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	// Also when it was there already: an earlier process may have died
	// between making the folder and making its name durable.
	if err := d.syncDir(parent); err != nil {
		return err
	}
	d.known[dir] = true
	return nil
}

// pruneLocked removes dir and the folders above it while they are empty, up
// to keep, which stays.
func (d *disk) pruneLocked(dir, keep string) {
	for dir != keep && dir != "." {
		delete(d.known, dir)
		if d.remove(dir) != nil {
			return
		}
		dir = path.Dir(dir)
	}
}

// handle is one open file of a disk.
type handle struct {
	d    *disk
	f    *os.File
	name string
}

func (h *handle) allowed(op string, p []byte) (int, error) {
	if h.d.fault == nil {
		return len(p), nil
	}
	n, err := h.d.fault(op, h.name, p)
	if err == nil {
		return len(p), nil
	}
	return min(n, len(p)), &fs.PathError{Op: op, Path: h.name, Err: err}
}

func (h *handle) WriteAt(p []byte, off int64) (int, error) {
	n, refused := h.allowed("write", p)
	n, err := h.f.WriteAt(p[:n], off)
	return n, errors.Join(refused, err)
}

func (h *handle) ReadAt(p []byte, off int64) (int, error) { return h.f.ReadAt(p, off) }

func (h *handle) Sync() error {
	if _, err := h.allowed("sync", nil); err != nil {
		return err
	}
	return h.f.Sync()
}

func (h *handle) Truncate(size int64) error {
	if _, err := h.allowed("truncate", nil); err != nil {
		return err
	}
	return h.f.Truncate(size)
}

func (h *handle) Stat() (fs.FileInfo, error) { return h.f.Stat() }
func (h *handle) Close() error               { return h.f.Close() }
