package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"sync"
	"time"
)

// Record is one entry of a [Journal].
type Record struct {
	Kind   uint8 // the writer's own
	Stream uint32
	At     int64 // ns of capture time
	Data   []byte
}

// ErrTorn is returned by [Journal.Replay], after everything readable was
// replayed, if records are damaged elsewhere than at the very end, where a
// crash leaves them so.
var ErrTorn = errors.New("journal is damaged")

// errJournalFull is wrapped by what Append returns while records are dropped.
var errJournalFull = errors.New("journal holds too much that the disk does not take")

const (
	// MaxRecord is the largest Data that Append takes.
	MaxRecord = 1 << 24

	// maxHeld bounds what waits in memory for a disk that fails: over two
	// minutes of 100 streams.
	maxHeld = 64 << 20

	// keepBuffer is the largest buffer that is kept for reuse.
	keepBuffer = 4 << 20

	recordHead = 4 + 1 + 4 + 8 // length, kind, stream, time
	recordTail = 4             // CRC-32C of all before it
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Journal is the append-only packet journal of one capture: a folder of
// files, each the continuation of another at a known offset.
//
// A stretch begins with a checkpoint ([Journal.Rotate]) and is what replay
// starts at. Append only touches memory; one caller, say once a second, makes
// everything appended so far durable with Sync, and may pass it to the
// operating system earlier with Write. What Sync has not confirmed
// stays in memory, so that it can be written again: after a failed write at
// the same place, after a failed fsync into a new file, because nobody knows
// what such a file holds. All methods are safe for concurrent use.
type Journal struct {
	dir    string
	disk   *disk
	cipher Cipher // nil: in the clear

	mu      sync.Mutex // guards what Append touches; never held across I/O
	parts   []part     // not yet taken by Sync; the last one is being appended to
	spare   []byte     // a buffer for the next part
	held    int64      // bytes in memory, parts and flight
	dropped int64
	failure error // of the last Sync
	durable int64
	synced  time.Time
	fsyncs  int64 // of files and folders
	closed  bool

	io     ioLock  // guards what follows; held by whoever works on files
	flight []part  // taken by Sync, not yet durable
	file   *handle // the file that grows; nil before the next one is made
	at     place   // the end of what is durable
	next   uint64  // number of the next file
}

// part is a run of records for one file. One that begins a stretch starts a
// new file.
type part struct {
	begins     bool
	checkpoint []byte
	data       []byte
	written    int // bytes of data that are in the file, not yet durable
}

// place is an offset in a file of the journal.
type place struct {
	number uint64
	offset int64
}

// CreateJournal starts a journal in the folder dir, which must not hold one
// already. Its first stretch has an empty checkpoint.
func CreateJournal(dir string) (*Journal, error) { return CreateJournalWith(dir, nil) }

// CreateJournalWith is CreateJournal on a disk that fails on demand.
func CreateJournalWith(dir string, f Fault) (*Journal, error) {
	d, err := openDisk(dir, f)
	if err != nil {
		return nil, fmt.Errorf("create journal: %w", err)
	}
	numbers, err := journalFiles(d)
	if err == nil && len(numbers) > 0 {
		err = fs.ErrExist
	}
	j := &Journal{dir: dir, disk: d, io: make(ioLock, 1), next: 1, parts: []part{{begins: true}}}
	if err == nil {
		err = j.Sync()
	}
	if err != nil {
		d.close()
		return nil, fmt.Errorf("create journal %s: %w", dir, err)
	}
	return j, nil
}

// OpenJournal opens the journal that an earlier process left in dir. What
// that process was writing when it died is cut at the last whole record; new
// records follow it. A folder without a journal wraps fs.ErrNotExist.
func OpenJournal(dir string) (*Journal, error) { return OpenJournalWith(dir, nil) }

// OpenJournalWith is OpenJournal on a disk that fails on demand.
func OpenJournalWith(dir string, f Fault) (*Journal, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	d, err := openDisk(dir, f)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	j := &Journal{dir: dir, disk: d, io: make(ioLock, 1), parts: make([]part, 1)}
	if err := j.goOn(); err != nil {
		d.close()
		return nil, fmt.Errorf("open journal %s: %w", dir, err)
	}
	return j, nil
}

// Append adds a record. It copies r.Data and does not touch the disk. As long
// as the disk fails, records wait in memory; when 64 MiB wait, Append drops
// and counts them and returns the error of the disk, until a Sync succeeds.
func (j *Journal) Append(r Record) error {
	if len(r.Data) > MaxRecord {
		return fmt.Errorf("append record of %d bytes: more than %d", len(r.Data), MaxRecord)
	}
	size := recordHead + len(r.Data) + recordTail
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return fs.ErrClosed
	}
	if j.held+int64(size) > maxHeld {
		j.dropped++
		return j.fullLocked()
	}
	p := &j.parts[len(j.parts)-1]
	p.data = appendRecord(p.data, r)
	j.held += int64(size)
	return nil
}

// fullLocked is apart from Append so that the audio path formats nothing.
func (j *Journal) fullLocked() error {
	if j.failure == nil {
		return errJournalFull
	}
	return errors.Join(errJournalFull, j.failure)
}

func appendRecord(b []byte, r Record) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(r.Data)))
	b = append(b, r.Kind)
	b = binary.LittleEndian.AppendUint32(b, r.Stream)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.At))
	b = append(b, r.Data...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// Rotate starts a new stretch with Begin and ends with a Sync. If that fails
// the new stretch stands nevertheless and the next Sync writes it.
func (j *Journal) Rotate(checkpoint []byte) error {
	if err := j.Begin(checkpoint); err != nil {
		return err
	}
	return j.Sync()
}

// Begin starts a new stretch: what was appended before belongs to the old one,
// what is appended from the moment of the call to the new one, which begins
// with checkpoint, which is the journal's from then on. It does not touch the
// disk.
func (j *Journal) Begin(checkpoint []byte) error {
	if len(checkpoint) > maxCheckpoint {
		return fmt.Errorf("rotate journal: checkpoint of %d bytes, more than %d", len(checkpoint), maxCheckpoint)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return fs.ErrClosed
	}
	j.parts = append(j.parts, part{begins: true, checkpoint: checkpoint})
	j.held += int64(len(checkpoint))
	return nil
}

// Write passes what was appended to the operating system: the end of this
// process does not lose it any more, a power cut still does. Where Write
// itself has to make files it makes them durable. What fails is tried again by
// the next Sync.
func (j *Journal) Write() error {
	j.io.Lock()
	defer j.io.Unlock()
	if !j.take() {
		return fs.ErrClosed
	}
	return j.writeFlight(false)
}

// Start lets the disk begin with what was written and not yet made durable, and
// does not wait for it. Before the Syncs of many journals it saves most of them
// from waiting for the file system alone.
func (j *Journal) Start() {
	j.io.Lock()
	defer j.io.Unlock()
	if j.file != nil && len(j.flight) > 0 {
		startWriteback(j.file.f)
	}
}

// Sync makes durable what was appended before the call. After an error
// nothing is lost yet: the same bytes are tried again by the next Sync.
func (j *Journal) Sync() error {
	j.io.Lock()
	defer j.io.Unlock()
	return j.syncLocked()
}

func (j *Journal) syncLocked() error {
	if !j.take() {
		return fs.ErrClosed
	}
	err := j.writeFlight(true)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.failure = err
	if err == nil {
		j.synced = time.Now()
	}
	return err
}

// take moves what was appended into flight.
func (j *Journal) take() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return false
	}
	for _, p := range j.parts {
		p = j.hideLocked(p)
		n := len(j.flight)
		switch {
		case !p.begins && len(p.data) == 0:
			if cap(p.data) > 0 {
				j.spare = p.data
			}
		case !p.begins && n > 0:
			j.flight[n-1].data = append(j.flight[n-1].data, p.data...)
			if cap(p.data) <= keepBuffer {
				j.spare = p.data[:0]
			}
		default:
			j.flight = append(j.flight, p)
		}
	}
	clear(j.parts)
	j.parts = append(j.parts[:0], part{data: j.spare})
	j.spare = nil
	return true
}

// Durable tells how many bytes of records this process has made durable and
// when it last did.
func (j *Journal) Durable() (bytes int64, at time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.durable, j.synced
}

// Fsyncs is how often this process has waited for the disk for the journal's
// sake.
func (j *Journal) Fsyncs() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.fsyncs
}

func (j *Journal) fsynced(n int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.fsyncs += n
}

// Dropped is the number of records that found no room while the disk failed.
func (j *Journal) Dropped() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.dropped
}

// Close makes durable what was appended and closes the journal.
func (j *Journal) Close() error {
	j.io.Lock()
	defer j.io.Unlock()
	err := j.syncLocked()
	if errors.Is(err, fs.ErrClosed) {
		return nil
	}
	j.shutLocked(&err)
	if err != nil {
		return fmt.Errorf("close journal %s: %w", j.dir, err)
	}
	return nil
}

func (j *Journal) shutLocked(err *error) {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	if j.file != nil {
		*err = errors.Join(*err, j.file.Close())
		j.file = nil
	}
	*err = errors.Join(*err, j.disk.close())
}

// Remove closes the journal and deletes its folder and all that is in it.
func (j *Journal) Remove() error {
	j.io.Lock()
	defer j.io.Unlock()
	j.mu.Lock()
	closed := j.closed
	j.mu.Unlock()
	var err error
	if !closed {
		j.shutLocked(&err)
	}
	if err = errors.Join(err, os.RemoveAll(j.dir)); err != nil {
		return fmt.Errorf("remove journal %s: %w", j.dir, err)
	}
	return nil
}
