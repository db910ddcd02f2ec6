package storage

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
)

// A file of a journal: magic, number and offset in the file that it
// continues, whether it begins a stretch, length of the checkpoint,
// checkpoint, CRC-32C of all that; then records. What the continued file
// holds beyond the offset counts for nothing: it was written again here.
const (
	journalMagic  = "MXJRNL\x00\x01"
	journalExt    = ".journal"
	stretchHead   = len(journalMagic) + 8 + 8 + 1 + 4
	maxCheckpoint = 1 << 28
)

// errDamaged says that a file or record of a journal is not whole.
var errDamaged = errors.New("not whole")

func journalName(number uint64) string { return fmt.Sprintf("%08d%s", number, journalExt) }

// journalFiles lists the numbers of a journal's files in order.
func journalFiles(d *disk) ([]uint64, error) {
	entries, err := d.readDir(".")
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, e := range entries {
		n, err := strconv.ParseUint(strings.TrimSuffix(e.Name(), journalExt), 10, 63)
		if err == nil && n > 0 && e.Name() == journalName(n) && e.Type().IsRegular() {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// encodeStretchHead makes what comes before the checkpoint of p, and the sum of
// both that comes after it.
func encodeStretchHead(follows place, p part) (head, sum []byte) {
	head = make([]byte, 0, stretchHead)
	head = append(head, journalMagic...)
	head = binary.LittleEndian.AppendUint64(head, follows.number)
	head = binary.LittleEndian.AppendUint64(head, uint64(follows.offset))
	begins := byte(0)
	if p.begins {
		begins = 1
	}
	head = append(head, begins)
	head = binary.LittleEndian.AppendUint32(head, uint32(len(p.checkpoint)))
	crc := crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, p.checkpoint)
	return head, binary.LittleEndian.AppendUint32(nil, crc)
}

// stretch reads one file of a journal.
type stretch struct {
	number     uint64
	follows    place
	begins     bool
	checkpoint []byte

	h    *handle
	size int64
	r    *bufio.Reader
	at   int64 // offset of the next record
	data []byte
}

// openStretch reads the header of a file; errDamaged if it has no whole one.
func openStretch(d *disk, number uint64) (_ *stretch, err error) {
	h, err := d.open(journalName(number), os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			h.Close()
		}
	}()
	info, err := h.Stat()
	if err != nil {
		return nil, err
	}
	s := &stretch{number: number, h: h, size: info.Size()}
	s.r = bufio.NewReaderSize(io.NewSectionReader(h, 0, s.size), 1<<16)
	head, err := s.read(nil, stretchHead)
	if err != nil {
		return nil, err
	}
	n := int64(binary.LittleEndian.Uint32(head[stretchHead-4:]))
	if string(head[:len(journalMagic)]) != journalMagic || n > maxCheckpoint || n > s.size {
		return nil, fmt.Errorf("header of %s: %w", journalName(number), errDamaged)
	}
	if head, err = s.read(head, int(n)+4); err != nil {
		return nil, err
	}
	body := head[:len(head)-4]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(head[len(body):]) {
		return nil, fmt.Errorf("header of %s: %w", journalName(number), errDamaged)
	}
	fields := body[len(journalMagic):]
	s.follows = place{binary.LittleEndian.Uint64(fields), int64(binary.LittleEndian.Uint64(fields[8:]))}
	s.begins = fields[16] == 1
	s.checkpoint = body[stretchHead:]
	s.at = int64(len(head))
	return s, nil
}

// read appends n bytes of the file to b.
func (s *stretch) read(b []byte, n int) ([]byte, error) {
	start := len(b)
	b = slices.Grow(b, n)[:start+n]
	_, err := io.ReadFull(s.r, b[start:])
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("%s: %w", journalName(s.number), errDamaged)
	}
	return b, err
}

// next reads one record that ends at or before limit. io.EOF at the limit or
// the end of the file, errDamaged if the next record is not whole. Data is
// valid until the next call.
func (s *stretch) next(limit int64) (Record, error) {
	limit = min(limit, s.size)
	if s.at >= limit {
		return Record{}, io.EOF
	}
	if limit-s.at < recordHead+recordTail {
		return Record{}, errDamaged
	}
	b, err := s.read(s.data[:0], recordHead)
	if err != nil {
		return Record{}, err
	}
	n := int64(binary.LittleEndian.Uint32(b))
	if n > MaxRecord+sealedSlack || n > limit-s.at-recordHead-recordTail {
		return Record{}, errDamaged
	}
	if b, err = s.read(b, int(n)+recordTail); err != nil {
		return Record{}, err
	}
	s.data = b
	body := b[:len(b)-recordTail]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(b[len(body):]) {
		return Record{}, errDamaged
	}
	s.at += int64(len(b))
	return decodeRecord(body), nil
}

// decodeRecord decodes a record that is whole, without its checksum.
func decodeRecord(body []byte) Record {
	return Record{
		Kind:   body[4],
		Stream: binary.LittleEndian.Uint32(body[5:]),
		At:     int64(binary.LittleEndian.Uint64(body[9:])),
		Data:   body[recordHead:],
	}
}

// end is the offset behind the last whole record.
func (s *stretch) end() (int64, error) {
	for {
		_, err := s.next(s.size)
		if errors.Is(err, io.EOF) || errors.Is(err, errDamaged) {
			return s.at, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

func (s *stretch) close() error { return s.h.Close() }

// writeFlight makes flight durable, in order; unless sync, what only extends
// the last file is written and stays in flight. The caller holds j.io.
func (j *Journal) writeFlight(sync bool) error {
	for len(j.flight) > 0 {
		p := j.flight[0]
		var err error
		if p.begins || j.file == nil {
			err = j.startFile(p)
		} else {
			err = j.extendFile(&j.flight[0])
			if err == nil && !sync && len(j.flight) == 1 {
				return nil
			}
			if err == nil {
				err = j.syncFile(p.data)
			}
		}
		if err != nil {
			return fmt.Errorf("sync journal %s: %w", j.dir, err)
		}
		j.flight[0] = part{}
		j.flight = j.flight[1:]
		j.mu.Lock()
		j.durable += int64(len(p.data))
		j.held -= int64(len(p.data) + len(p.checkpoint))
		if j.spare == nil && cap(p.data) <= keepBuffer {
			j.spare = p.data[:0]
		}
		j.mu.Unlock()
	}
	j.flight = nil
	return nil
}

// startFile makes a new file of a whole part; it counts from the moment that
// the folder is synced.
func (j *Journal) startFile(p part) error {
	h, err := j.disk.create(journalName(j.next))
	for errors.Is(err, fs.ErrExist) {
		j.next++ // left by an attempt that could not even be removed
		h, err = j.disk.create(journalName(j.next))
	}
	number, name := j.next, journalName(j.next)
	if err != nil {
		return err
	}
	head, sum := encodeStretchHead(j.at, p)
	size := int64(0)
	for _, b := range [][]byte{head, p.checkpoint, append(sum, p.data...)} { // a checkpoint may have megabytes
		if err == nil && len(b) > 0 {
			_, err = h.WriteAt(b, size)
			size += int64(len(b))
		}
	}
	if err == nil {
		err = h.Sync()
	}
	if err == nil {
		err = j.disk.syncDir(".")
	}
	j.fsynced(2)
	if err != nil {
		// Should it survive, the next file will say that it does not count.
		return errors.Join(err, h.Close(), j.disk.remove(name))
	}
	if j.file != nil {
		j.file.Close() // all that it holds is durable
	}
	j.file, j.at, j.next = h, place{number, size}, number+1
	return nil
}

// extendFile writes behind what is durable. A failed write is tried again at
// the same place.
func (j *Journal) extendFile(p *part) error {
	if p.written == len(p.data) {
		return nil
	}
	if _, err := j.file.WriteAt(p.data[p.written:], j.at.offset+int64(p.written)); err != nil {
		return err
	}
	p.written = len(p.data)
	return nil
}

// syncFile makes what was written behind the durable part durable too. A
// failed fsync is final for the file.
func (j *Journal) syncFile(data []byte) error {
	j.fsynced(1)
	if err := j.file.Sync(); err != nil {
		err = errors.Join(err, j.file.Close())
		j.file = nil
		return err
	}
	j.at.offset += int64(len(data))
	return nil
}
