package storage

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"
)

// chain opens the files that make up the journal, oldest first, and the
// offset at which each ends (limits). Files that a later one supersedes are
// left out; one without a readable header leaves a hole before the next.
func (j *Journal) chain() (files []*stretch, limits []int64, holed []bool, err error) {
	defer func() {
		if err != nil {
			closeAll(files)
			files = nil
		}
		slices.Reverse(files)
		slices.Reverse(limits)
		slices.Reverse(holed)
	}()
	numbers, err := journalFiles(j.disk)
	if err != nil {
		return nil, nil, nil, err
	}
	limit := int64(math.MaxInt64)
	newest := true
	for i := len(numbers) - 1; i >= 0; i-- {
		s, err := openStretch(j.disk, numbers[i])
		if errors.Is(err, errDamaged) {
			// The newest file may be one that was never finished. Any other
			// leaves its records out and its predecessor unknown.
			if !newest && len(holed) > 0 {
				holed[len(holed)-1] = true
			}
			limit = math.MaxInt64
			continue
		}
		if err != nil {
			return files, nil, nil, err
		}
		newest = false
		files = append(files, s)
		limits = append(limits, limit)
		holed = append(holed, false)
		if s.follows.number == 0 {
			break
		}
		// Skip what this file supersedes.
		for i > 0 && numbers[i-1] > s.follows.number {
			i--
		}
		limit = s.follows.offset
		if i > 0 && numbers[i-1] != s.follows.number {
			holed[len(holed)-1] = true
			limit = math.MaxInt64
		}
	}
	return files, limits, holed, nil
}

func closeAll(files []*stretch) {
	for _, s := range files {
		s.close()
	}
}

// Replay finds the newest stretch whose checkpoint satisfies from and calls
// fn with every record from there to the end, in the order of Append. It
// returns that checkpoint. Record.Data is valid during the call only. Replay
// reads what is on the disk: of what this process appends meanwhile it may or
// may not see the latest. An error of fn ends it and is returned as it is.
//
// If records are damaged in the middle, replay goes on with the next file and
// returns ErrTorn at the end. If no checkpoint satisfies from, the error
// wraps fs.ErrNotExist.
func (j *Journal) Replay(from func(checkpoint []byte) bool, fn func(Record) error) (checkpoint []byte, err error) {
	j.io.Lock()
	files, limits, holed, err := j.chain()
	j.io.Unlock()
	if err != nil {
		return nil, fmt.Errorf("replay journal %s: %w", j.dir, err)
	}
	defer closeAll(files)
	first, checkpoint, err := j.newest(files, from)
	if err != nil {
		return nil, fmt.Errorf("replay journal %s: %w", j.dir, err)
	}
	if first < 0 {
		return nil, fmt.Errorf("replay journal %s: no checkpoint to start from: %w", j.dir, fs.ErrNotExist)
	}
	var torn error
	for i := first; i < len(files); i++ {
		s, last := files[i], i == len(files)-1
		if holed[i] && i > first {
			torn = errors.Join(torn, fmt.Errorf("before %s: %w", journalName(s.number), ErrTorn))
		}
		err := s.replay(limits[i], func(r Record) error { return j.open(r, fn) })
		if errors.Is(err, errDamaged) && last {
			err = nil
		}
		if errors.Is(err, errDamaged) {
			torn = errors.Join(torn, fmt.Errorf("%s at byte %d: %w", journalName(s.number), s.at, ErrTorn))
			err = nil
		}
		if err != nil {
			return checkpoint, err
		}
	}
	return checkpoint, torn
}

// newest finds the newest stretch whose checkpoint satisfies ok; -1 if there
// is none.
func (j *Journal) newest(files []*stretch, ok func(checkpoint []byte) bool) (int, []byte, error) {
	for i := len(files) - 1; i >= 0; i-- {
		if !files[i].begins {
			continue
		}
		checkpoint, err := j.openCheckpoint(files[i])
		if err != nil {
			return -1, nil, err
		}
		if ok(checkpoint) {
			return i, checkpoint, nil
		}
	}
	return -1, nil, nil
}

func (s *stretch) replay(limit int64, fn func(Record) error) error {
	for {
		r, err := s.next(limit)
		switch {
		case errors.Is(err, io.EOF) && limit != math.MaxInt64 && s.at < limit:
			return errDamaged // the next file continues what is not here
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, errDamaged):
			return errDamaged
		case err != nil:
			return fmt.Errorf("read %s: %w", journalName(s.number), err)
		}
		if err := fn(r); err != nil {
			return err
		}
	}
}

// Cut deletes what no replay needs: the newest stretch whose checkpoint
// satisfies keep and all later ones stay, older ones go. If none does, all
// stay.
func (j *Journal) Cut(keep func(checkpoint []byte) bool) error {
	j.io.Lock()
	defer j.io.Unlock()
	files, _, _, err := j.chain()
	if err != nil {
		return fmt.Errorf("cut journal %s: %w", j.dir, err)
	}
	defer closeAll(files)
	oldest := uint64(0)
	i, _, err := j.newest(files, keep)
	if err != nil {
		return fmt.Errorf("cut journal %s: %w", j.dir, err)
	}
	if i >= 0 {
		oldest = files[i].number
	}
	numbers, err := journalFiles(j.disk)
	if err != nil {
		return fmt.Errorf("cut journal %s: %w", j.dir, err)
	}
	for _, n := range numbers {
		if n >= oldest {
			break
		}
		if err := j.disk.remove(journalName(n)); err != nil {
			return fmt.Errorf("cut journal %s: %w", j.dir, err)
		}
	}
	return nil
}
