package storage

import (
	"os"

	"golang.org/x/sys/unix"
)

// startWriteback lets the disk begin with what was written to f. On ext4 the
// file system then knows where the data goes before any fsync commits what it
// has to note, so that one commit does for many files. It is a hint: what it
// could not do, or what fails afterwards, the fsync tells.
func startWriteback(f *os.File) {
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { _ = unix.SyncFileRange(int(fd), 0, 0, unix.SYNC_FILE_RANGE_WRITE) })
}
