package wav

import (
	"errors"
	"fmt"
	"io"
)

// Cut is a file that [Repair] works on; *os.File is one.
type Cut interface {
	io.ReaderAt
	io.WriterAt
	io.Seeker
	Truncate(size int64) error
}

// Repair makes a file of [Writer] whole that a crash cut off anywhere: it cuts
// half a sample off the end and takes the sizes from the length. It returns
// the length kept and the number of samples. Repeating it changes nothing. A
// file without the whole header, or with another layout, is left as it is and
// the error wraps [ErrFormat].
func Repair(f Cut) (validBytes, samples int64, err error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, 0, fmt.Errorf("measure wav file: %w", err)
	}
	reserved := false
	h, err := readHeader(io.NewSectionReader(f, 0, size), func(id string, offset int64) {
		reserved = reserved || offset == 12 && (id == "JUNK" || id == "ds64")
	})
	if err != nil {
		return 0, 0, fmt.Errorf("repair wav file: %w", err)
	}
	if !reserved || h.start != HeaderSize(h.encoding) {
		return 0, 0, fmt.Errorf("repair wav file: %w: another writer's layout", ErrFormat)
	}
	// Chunks have even lengths: an odd one is of 24 bits in mono.
	block := h.frame() * (1 + h.frame()&1)
	data := (size - h.start) / block * block
	validBytes, samples = h.start+data, data/h.frame()
	if validBytes != size {
		if err := f.Truncate(validBytes); err != nil {
			return 0, 0, fmt.Errorf("cut wav file: %w", err)
		}
	}
	head := appendHeader(nil, h.channels, h.encoding, h.rate, data)
	old := make([]byte, h.start)
	if _, err := f.ReadAt(old, 0); err != nil && !errors.Is(err, io.EOF) {
		return 0, 0, fmt.Errorf("read wav header: %w", err)
	}
	if string(old) == string(head) {
		return validBytes, samples, nil
	}
	if _, err := f.WriteAt(head, 0); err != nil {
		return 0, 0, fmt.Errorf("write wav header: %w", err)
	}
	return validBytes, samples, nil
}
