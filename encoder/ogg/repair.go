package ogg

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// File is what [Repair] works on; *os.File is one.
type File interface {
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
}

// Repair makes a file whole that a crash cut off anywhere: everything behind
// the last page whose checksum is right goes away, and that page is marked as
// the last one. It returns the length kept and the samples a player hears.
// Damage in the middle stays; readers step over it and the time stays true.
// Repeating Repair changes nothing. Without the two headers the file is left as
// it is and the error wraps [ErrNoStream].
func Repair(f File) (validBytes, samples int64, err error) {
	r := Reader{pages: pages{r: io.NewSectionReader(f, 0, 1<<62)}, link: -1}
	var last page
	tagged := false
	for {
		g, err := r.pages.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, 0, err
		}
		r.take(g)
		tagged = tagged || r.open && !r.early
		if r.open && g.serial == r.serial {
			last = g
			last.lacing, last.body = nil, nil
		}
	}
	if !tagged {
		return 0, 0, fmt.Errorf("repair ogg file: %w", ErrNoStream)
	}
	validBytes = last.offset + int64(last.size)
	if err := f.Truncate(validBytes); err != nil {
		return 0, 0, fmt.Errorf("cut ogg file: %w", err)
	}
	if last.granule > 0 {
		samples = max(0, last.granule-int64(r.head.PreSkip))
	}
	if last.seq < 2 || last.flags&flagEnd != 0 {
		return validBytes, samples, nil
	}
	return validBytes, samples, markEnd(f, last)
}

// markEnd sets the EOS flag of the page in place.
func markEnd(f File, g page) error {
	b := make([]byte, g.size)
	if _, err := f.ReadAt(b, g.offset); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read last ogg page: %w", err)
	}
	b[5] |= flagEnd
	binary.LittleEndian.PutUint32(b[22:], pageCRC(b))
	if _, err := f.WriteAt(b[:pageHeader], g.offset); err != nil {
		return fmt.Errorf("mark last ogg page: %w", err)
	}
	return nil
}
