package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"mixdown/storage"
)

// lockDir holds the locks: one small file under the object's own key. A lock
// here is a rule that this daemon keeps, not write-once storage: whoever may
// write to the folder can break it. So the only mode is governance.
const lockDir = ".locks"

// CanLock implements [storage.Locker].
func (b *Bucket) CanLock(_ context.Context, mode storage.LockMode) error {
	if mode == storage.Compliance {
		return fmt.Errorf("a folder cannot keep objects from whoever owns the machine: %w", storage.ErrNoLock)
	}
	return nil
}

// Lock implements [storage.Locker].
func (b *Bucket) Lock(ctx context.Context, key string) (storage.Lock, error) {
	f, _, err := b.Open(ctx, key)
	if err != nil {
		return storage.Lock{}, err
	}
	f.Close()
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lockOf(key)
}

func (b *Bucket) lockOf(key string) (storage.Lock, error) {
	text, err := b.root.ReadFile(path.Join(lockDir, key))
	if errors.Is(notExist(key, err), fs.ErrNotExist) {
		return storage.Lock{}, nil
	}
	if err != nil {
		return storage.Lock{}, fmt.Errorf("read the lock of %s: %w", key, err)
	}
	mode, date, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	until, err := time.Parse(time.RFC3339, date)
	if err != nil || mode != string(storage.Governance) {
		return storage.Lock{}, fmt.Errorf("the lock of %s is damaged: %q", key, text)
	}
	return storage.Lock{Mode: storage.LockMode(mode), Until: until}, nil
}

// ExtendLock implements [storage.Locker].
func (b *Bucket) ExtendLock(ctx context.Context, key string, l storage.Lock) error {
	f, _, err := b.Open(ctx, key)
	if err != nil {
		return err
	}
	f.Close()
	return b.extend(ctx, key, l)
}

// extend writes a lock, durable when it returns. The object need not be there
// yet.
func (b *Bucket) extend(ctx context.Context, key string, l storage.Lock) error {
	if l.Mode == storage.Unlocked {
		return nil
	}
	if err := b.CanLock(ctx, l.Mode); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	have, err := b.lockOf(key)
	if err != nil || have.Covers(l) {
		return err
	}
	name := path.Join(lockDir, key)
	if err := b.makeDirs(path.Dir(name)); err != nil {
		return fmt.Errorf("lock %s: %w", key, err)
	}
	err = b.replace(name, fmt.Sprintf("%s %s\n", l.Mode, l.Until.UTC().Truncate(time.Second).Format(time.RFC3339)))
	if err != nil {
		return fmt.Errorf("lock %s: %w", key, err)
	}
	return nil
}

// replace writes a small file so that a crash leaves the old content or the
// new.
func (b *Bucket) replace(name, text string) error {
	tmp := name + ".new~" // no key that the spool makes ends so
	f, err := b.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = b.root.Rename(tmp, name)
	}
	if err == nil {
		err = b.syncDir(path.Dir(name))
	}
	return err
}

// unlocked refuses what would change an object under a lock.
func (b *Bucket) unlocked(key string) error {
	l, err := b.lockOf(key)
	if err == nil && time.Now().Before(l.Until) {
		err = fmt.Errorf("%s, %s: %w", key, l, storage.ErrLocked)
	}
	return err
}

// Delete implements [storage.Deleter]. Folders that get empty go too.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	if err := errors.Join(ctx.Err(), checkKey(key)); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.unlocked(key); err != nil {
		return err
	}
	// The lock goes last: an object without it would be free.
	for _, name := range []string{key, path.Join(lockDir, key)} {
		if err := b.remove(name); err != nil {
			return fmt.Errorf("delete %s: %w", key, err)
		}
	}
	return nil
}

// remove takes a file and the folders that it leaves empty away, durably.
func (b *Bucket) remove(name string) error {
	info, err := b.root.Lstat(name)
	switch {
	case errors.Is(notExist(name, err), fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return nil // a folder is no object
	}
	if err := b.root.Remove(name); err != nil {
		return err
	}
	dir := path.Dir(name)
	for dir != "." && b.root.Remove(dir) == nil { // fails where something is left
		dir = path.Dir(dir)
	}
	return b.syncDir(dir)
}
