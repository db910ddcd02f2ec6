package storage

import (
	"fmt"
	"syscall"
)

// statSpace asks the file system of a folder.
func statSpace(dir string) (FreeSpace, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return FreeSpace{}, fmt.Errorf("ask for the space of %s: %w", dir, err)
	}
	size := uint64(s.Bsize)
	return FreeSpace{
		Free: s.Bavail * size, Total: (s.Blocks - s.Bfree + s.Bavail) * size, // as df counts
		Inodes: s.Ffree, Files: s.Files,
	}, nil
}
