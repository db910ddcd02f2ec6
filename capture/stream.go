package capture

import (
	"errors"
	"fmt"
	"io"
	"math"
	"runtime/debug"
	"time"

	"mixdown/joiner"
	"mixdown/mixer/pcm"
	"mixdown/mixer/playout"
	"mixdown/storage"
)

// stream is one stay of a stream in the room, on the deep path: from
// roomStreamUpdate ADD to DELETE. A stream that comes back is a new stay that
// continues the same files. It is the pcm.Reader that the mix reads.
type stream struct {
	t      *timeline
	num    uint32
	id     string // among the inputs of the mix
	rec    streamRecord
	joined time.Duration
	left   time.Duration // -1 while in the room
	deep   *playout.Deep
	stems  *stems
	ended  bool // played to its end
	done   bool // and closed: deep is gone
	ledger playout.Ledger
	first  int64 // sample of its first packet, -1 if none came
	last   int64 // sample at which it ended

	loudUntil int64 // sample up to which packets say that they are loud
	deaf      int   // frames in a row that should sound and do not
	sounds    bool  // the last that should did

	row     row             // of packets that follow one another without a hole
	talking bool            // by the last spurt; not in snapshots, it comes again
	quality playout.Quality // as of the last figures
	drift   float64
}

// setup is how long a stream's media may take to come; what lasts longer is
// the stream's silence.
const setup = 2 * time.Second

func newStream(t *timeline, num uint32, rec streamRecord, at time.Duration) *stream {
	s := &stream{t: t, num: num, id: inputName(rec, num), rec: rec, joined: at, left: -1, first: -1}
	s.deep = playout.NewDeep(playout.DeepConfig{Start: t.frame, Red: joiner.Red, Placed: s.placed})
	class := t.class(s)
	if class == playout.Paused || class == playout.Excluded {
		s.deep.Announce(at) // no packet will tell
	} else {
		s.deep.Announce(at + setup)
	}
	if class != playout.Received {
		s.deep.Cause(at, class)
	}
	s.stems = t.stemsOf(rec.Stream)
	s.stems.stays++
	return s
}

// inputName names a stay among the inputs of the mix.
func inputName(rec streamRecord, num uint32) string {
	return fmt.Sprintf("%s#%06d", rec.Stream.ID, num)
}

// joinFrame is the first frame after the stream came.
func (s *stream) joinFrame() int64 { return firstFrame(samplesAt(s.joined)) }

// firstFrame is the first frame that begins at a sample or after it.
func firstFrame(sample int64) int64 { return (sample + pcm.FrameSize - 1) / pcm.FrameSize }

// key names the stream in manifests and ledgers.
func (s *stream) key() string { return streamKey(s.rec.Stream.User.ID, s.rec.Stream.ID) }

func streamKey(userID, streamID string) string { return userID + "/" + streamID }

// placed passes a packet on to the stream's own files.
func (s *stream) placed(p playout.Placed) {
	if p.Level != playout.NoLevel && p.Level&127 <= loud {
		s.loudUntil = max(s.loudUntil, p.Pos+int64(p.Samples))
	}
	kept, err := s.stems.write(p)
	s.t.fail(err)
	if !kept {
		return
	}
	if !s.row.goesOn(p) {
		s.endRow()
		s.row = row{Pos: p.Pos, Seq: p.Seq, Quiet: quiet(p), Fresh: p.Fresh}
	}
	s.row.add(p)
}

// endRow notes a row of packets in the event log: where its packets are in the
// stream's file, and what of them got lost before, cannot be told from the
// file alone.
func (s *stream) endRow() {
	if s.row.Packets > 0 {
		s.t.events.row(s.rec.Stream, s.num, s.row)
	}
	s.row = row{}
}

// Prepare implements mixer.Preparer: decoding is most of the work, and touches
// nothing but this stream.
func (s *stream) Prepare() { s.deep.Prepare() }

// readRow reads what ReadFrame is asked for next. A panic spoils the timeline
// like one in ReadFrame.
func (s *stream) readRow() {
	defer func() {
		if p := recover(); p != nil {
			s.t.fail(fmt.Errorf("render %s: panic: %v\n%s", s.id, p, debug.Stack()))
		}
	}()
	s.deep.ReadRow(rowFrames)
}

// ReadFrame implements pcm.Reader.
func (s *stream) ReadFrame(f *pcm.Frame) error {
	err := s.deep.ReadFrame(f)
	if errors.Is(err, io.EOF) {
		s.ended = true
		return err
	}
	if s.t.frozen != nil && s.t.frozen(s.rec.Stream.ID) {
		*f = pcm.Frame{}
	}
	s.listen(f)
	s.t.fail(s.stems.writeFrame(s.t.frame, f))
	return err
}

// render renders one frame of a stream that no mix reads, decoding it only if
// somebody wants the samples.
func (s *stream) render(f *pcm.Frame) {
	if s.done || s.ended {
		return
	}
	if s.stems.decoded() {
		_ = s.ReadFrame(f) // io.EOF is noted in ended, and nothing else is returned
		return
	}
	s.ended = errors.Is(s.deep.Skip(), io.EOF)
}

// finish closes a stay that has played out.
func (s *stream) finish() {
	s.close()
	s.stems.stays--
	if s.stems.stays == 0 {
		s.t.fail(s.stems.close(s.last))
		delete(s.t.stems, s.key())
	}
}

// close takes what is worth keeping from deep and lets it go.
func (s *stream) close() {
	s.endRow()
	s.figures()
	s.ledger = s.deep.Ledger()
	if pos, ok := s.deep.First(); ok {
		s.first = pos
	}
	s.last = s.deep.Frame() * pcm.FrameSize
	s.done = true
	s.deep = nil
}

// account is the ledger so far and the samples it spans.
func (s *stream) account() (l playout.Ledger, first, last int64) {
	l, first, last = s.ledger, s.first, s.last
	if !s.done {
		l, first, last = s.deep.Ledger(), -1, s.deep.Frame()*pcm.FrameSize
		if pos, ok := s.deep.First(); ok {
			first = pos
		}
	}
	if first < 0 { // nothing ever came
		first = samplesAt(s.joined)
		if s.left >= 0 {
			last = samplesAt(s.left)
		}
		last = max(first, last)
		l[playout.Stalled] = last - first
	}
	return l, first, last
}

// figures are the receiver's figures of the stay.
func (s *stream) figures() map[string]float64 {
	if !s.done {
		s.quality = s.deep.Quality()
		s.drift, _ = s.deep.Drift()
	}
	q := s.quality
	return map[string]float64{
		"packets": float64(q.Packets), "lost": float64(q.Lost), "late": float64(q.Late),
		"duplicates": float64(q.Duplicates), "broken": float64(q.Broken),
		"jitterMs": math.Round(q.Jitter*100) / 100, "driftPpm": math.Round(s.drift*10) / 10,
	}
}

// level is the newest audio level in dBFS.
func (s *stream) level() float64 {
	if l := s.deep.Quality().Level; l != playout.NoLevel {
		return -float64(l & 127)
	}
	return -127
}

// streamSnapshot is a stream in a checkpoint.
type streamSnapshot struct {
	Num    uint32         `json:"num"`
	Record streamRecord   `json:"record"`
	Joined time.Duration  `json:"joined"`
	Left   time.Duration  `json:"left"`
	Done   bool           `json:"done,omitempty"`
	Ended  bool           `json:"ended,omitempty"`
	Ledger playout.Ledger `json:"ledger"`
	First  int64          `json:"first"`
	Last   int64          `json:"last"`
	Deep   []byte         `json:"deep,omitempty"`
	Row    row            `json:"row,omitzero"`
}

func (s *stream) snapshot() streamSnapshot {
	ss := streamSnapshot{
		Num: s.num, Record: s.rec, Joined: s.joined, Left: s.left, Done: s.done, Ended: s.ended,
		Ledger: s.ledger, First: s.first, Last: s.last,
	}
	if !s.done {
		ss.Deep, ss.Row = s.deep.Snapshot(), s.row
	}
	return ss
}

func restoreStream(t *timeline, ss streamSnapshot) (*stream, error) {
	s := &stream{
		t: t, num: ss.Num, id: inputName(ss.Record, ss.Num), rec: ss.Record, joined: ss.Joined, left: ss.Left, done: ss.Done, ended: ss.Ended,
		ledger: ss.Ledger, first: ss.First, last: ss.Last, row: ss.Row,
	}
	if s.done {
		return s, nil
	}
	var err error
	s.deep, err = playout.RestoreDeep(playout.DeepConfig{Start: t.frame, Red: joiner.Red, Placed: s.placed}, ss.Deep)
	if err != nil {
		return nil, err
	}
	s.stems = t.stemsOf(ss.Record.Stream)
	s.stems.stays++
	return s, nil
}

// book is the ledger of a stream over all its stays.
type book struct {
	ledger playout.Ledger
	last   int64 // sample up to which it goes
	begun  bool
}

// books adds up the stays of each stream; what lies between two stays is
// Away.
func (t *timeline) books() map[string]*book {
	all := make(map[string]*book, len(t.streams))
	for _, s := range t.streams {
		l, first, last := s.account()
		b := all[s.key()]
		if b == nil {
			b = &book{}
			all[s.key()] = b
		}
		if b.begun && first > b.last {
			b.ledger[playout.Away] += first - b.last
		}
		for c, n := range l {
			b.ledger[c] += n
		}
		b.begun, b.last = true, max(b.last, last)
	}
	return all
}

// ledgers are the ledgers of all streams as they are told.
func (t *timeline) ledgers() map[string]storage.Ledger {
	all := map[string]storage.Ledger{}
	for key, b := range t.books() {
		all[key] = ledgerOf(&b.ledger)
	}
	return all
}

// ledgerOf is a ledger as it is told.
func ledgerOf(l *playout.Ledger) storage.Ledger {
	samples := map[string]int64{}
	for _, c := range playout.Classes() {
		samples[c.String()] = l[c]
	}
	return storage.NewLedger(samples)
}
