package storage

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteFile replaces a small file so that a crash leaves the old content or
// the new: temporary file, fsync, rename, fsync of the folder.
func WriteFile(name string, data []byte, mode os.FileMode) error {
	dir := filepath.Dir(name)
	f, err := os.CreateTemp(dir, "."+filepath.Base(name)+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// TurnFile begins a new file where full is, a file of lines that becomes
// NAME.old; the one before that goes. Without a new file full goes on, and may be
// turned again; an error beside one is that full did not close well.
func TurnFile(full *os.File, name string) (*os.File, error) {
	err := os.Rename(name, name+".old")
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // that one was renamed before, and no new one could be made
		return nil, err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return f, full.Close()
}
