package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// Cipher hides what a [Journal] holds. Package crypt has one.
type Cipher interface {
	// Seal appends to dst what is written in the place of plain.
	Seal(dst, plain []byte) []byte
	// Open appends to dst what was sealed, or says that it was not sealed by
	// this cipher or was changed.
	Open(dst, sealed []byte) ([]byte, error)
}

const (
	sealedKind  = 255     // of a record that holds others, sealed
	sealAtOnce  = 1 << 20 // bytes of records in one of them, unless one alone is longer
	sealedSlack = 1 << 10 // by which sealing may lengthen a record
)

var errSealed = errors.New("the journal is encrypted, and its key is not at hand")

// Encrypt hides everything that this journal writes from now on and opens
// what was hidden before. Records are sealed by the batch that one Sync
// writes, so that the disk does not even show their lengths: those of voice
// tell what is said. Call it before the first Append or Replay.
func (j *Journal) Encrypt(c Cipher) { j.cipher = c }

// hideLocked seals a part on its way to the disk. The caller holds j.mu.
func (j *Journal) hideLocked(p part) part {
	if j.cipher == nil {
		return p
	}
	before := len(p.data) + len(p.checkpoint)
	if len(p.checkpoint) > 0 {
		p.checkpoint = j.cipher.Seal(nil, p.checkpoint)
	}
	if len(p.data) > 0 {
		j.spare = p.data[:0]
		var sealed []byte
		for rest := p.data; len(rest) > 0; {
			n := wholeRecords(rest)
			sealed = appendRecord(sealed, Record{Kind: sealedKind, Data: j.cipher.Seal(nil, rest[:n])})
			rest = rest[n:]
		}
		p.data = sealed
	}
	j.held += int64(len(p.data) + len(p.checkpoint) - before)
	return p
}

// wholeRecords is the length of as many records as are sealed at once.
func wholeRecords(b []byte) int {
	n := 0
	for n < len(b) {
		size := recordHead + int(binary.LittleEndian.Uint32(b[n:])) + recordTail
		if n > 0 && n+size > sealAtOnce {
			break
		}
		n += size
	}
	return n
}

// open calls fn with a record, or with those that it holds sealed.
func (j *Journal) open(r Record, fn func(Record) error) error {
	if r.Kind != sealedKind {
		return fn(r)
	}
	if j.cipher == nil {
		return errSealed
	}
	plain, err := j.cipher.Open(nil, r.Data)
	if err != nil {
		return errDamaged
	}
	for len(plain) > 0 {
		r, n, err := splitRecord(plain)
		if err != nil {
			return err
		}
		if err := fn(r); err != nil {
			return err
		}
		plain = plain[n:]
	}
	return nil
}

// splitRecord decodes the first record of b and tells its length.
func splitRecord(b []byte) (r Record, size int, err error) {
	if len(b) < recordHead+recordTail {
		return Record{}, 0, errDamaged
	}
	n := int64(binary.LittleEndian.Uint32(b))
	if n > int64(len(b)-recordHead-recordTail) {
		return Record{}, 0, errDamaged
	}
	size = recordHead + int(n) + recordTail
	body := b[:size-recordTail]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(b[len(body):]) {
		return Record{}, 0, errDamaged
	}
	return decodeRecord(body), size, nil
}

// openCheckpoint is the checkpoint of a stretch in the clear. One that is
// whole and does not open was sealed with another key: that is an error, for
// going on without it would lose what it stands for.
func (j *Journal) openCheckpoint(s *stretch) ([]byte, error) {
	if j.cipher == nil || len(s.checkpoint) == 0 {
		return s.checkpoint, nil
	}
	plain, err := j.cipher.Open(nil, s.checkpoint)
	if err != nil {
		return nil, fmt.Errorf("checkpoint of %s: %w", journalName(s.number), err)
	}
	return plain, nil
}
