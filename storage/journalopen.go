package storage

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"
)

// goOn makes what an earlier process left durable and finds the place at which
// the next file continues. A newest file without a whole header never held
// anything that was confirmed.
//
// Whoever was killed may have written the newest file and not got to its fsync,
// or its fsync has failed, after which the next one is no proof (a kernel may
// report a failed write once). So what it holds is written again, like anything
// after a failed fsync.
func (j *Journal) goOn() error {
	numbers, err := journalFiles(j.disk)
	if err != nil {
		return err
	}
	if len(numbers) == 0 {
		return fs.ErrNotExist
	}
	j.next = numbers[len(numbers)-1] + 1
	for i := len(numbers) - 1; i >= 0; i-- {
		s, err := openStretch(j.disk, numbers[i])
		if errors.Is(err, errDamaged) {
			continue
		}
		if err != nil {
			return err
		}
		err = j.writeAgain(s)
		_ = s.close() // it was only read
		return err
	}
	return fmt.Errorf("no file has a readable header: %w", ErrTorn)
}

// againName is what a file is called before it counts: not the name of a file of
// the journal.
const againName = "again.tmp"

// writeAgain replaces the newest file by a copy of all that is whole in it. Where
// there is no room for that, the file's own fsync has to do: the capture must go
// on.
func (j *Journal) writeAgain(s *stretch) error {
	end, err := s.end()
	if err != nil {
		return err
	}
	j.at = place{s.number, end}
	err = j.writeAside(io.NewSectionReader(s.h, 0, end))
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return s.h.Sync()
	case err != nil:
		return err
	}
	j.at.number = j.next
	j.next++
	// Nothing asks for it any more; should it stay, it does no harm.
	_ = j.disk.remove(journalName(s.number))
	return nil
}

// writeAside writes the file that is next. It gets its name when it is whole and
// durable: a file counts as soon as its header is whole, and this one would count
// in place of all that the one before it holds.
func (j *Journal) writeAside(r io.Reader) error {
	if err := j.disk.remove(againName); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	h, err := j.disk.create(againName)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.NewOffsetWriter(h, 0), r)
	if err == nil {
		err = h.Sync()
	}
	if err = errors.Join(err, h.Close()); err == nil {
		err = j.disk.rename(againName, journalName(j.next))
	}
	if err != nil {
		return errors.Join(err, j.disk.remove(againName))
	}
	return j.disk.syncDir(".")
}
