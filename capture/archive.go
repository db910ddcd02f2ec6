package capture

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"strings"

	"mixdown/encoder"
	"mixdown/mixer/pcm"
	"mixdown/storage"
	"mixdown/storage/lines"
)

// archive knows every segment of one recording: which are open and which are
// sealed. Its log is a file of JSON lines; a segment is logged, with its hash
// and its place in the chain, before the uploader can see it, so no crash can
// leave a segment in a bucket that the archive does not know.
type archive struct {
	spool   *storage.Spool
	base    string // <roomID>/<captureID>
	clock   *clock
	tell    func(n int, s storage.Segment) // that segment n is sealed
	log     *os.File
	end     int64            // of the log; what lies behind was not written whole
	torn    bool             // something lies behind
	sealed  storage.Manifest // its Segments and their chain
	waiting []waiting        // sealed, but the uploader could not be given them yet
	open    map[openSegment]*segmentFile
	outputs map[string]*progress
	placed  func(storage.Output) storage.Output // adds where else files go

	encryption encryption
	storages   []string // all of the recording's: key files go to each

	rewound []int64 // how much of the event log was kept, each time it was written again
}

type openSegment struct {
	Output string `json:"output"`
	Index  int    `json:"index"`
}

type waiting struct {
	file    *storage.File
	buckets []string
}

// progress is how far one output is sealed.
type progress struct {
	output  storage.Output
	index   int   // of the last sealed segment
	end     int64 // sample at which it ends, or at which the output began
	started bool  // a segment is sealed
	gap     int64 // sample at which an open gap begins, -1 if there is none
	reason  string
	behind  int64 // sample at which the last closed gap ends
	retired bool  // it was removed

	segments int   // that are sealed
	samples  int64 // of all of them
}

// reached is the sample up to which nothing is missing.
func (p *progress) reached() int64 {
	if p.gap >= 0 || p.retired {
		return math.MaxInt64
	}
	return max(p.end, p.behind)
}

// archiveLine is one line of the log.
type archiveLine struct {
	Output  *storage.Output  `json:"output,omitempty"` // an output begins
	From    int64            `json:"from,omitempty"`   // at this sample
	Sealed  *storage.Segment `json:"sealed,omitempty"`
	Key     *storage.KeyFile `json:"key,omitempty"`
	Buckets []string         `json:"buckets,omitempty"` // where the sealed segment or the key goes
	Gap     *storage.Gap     `json:"gap,omitempty"`     // declared; without samples it begins
	Retired string           `json:"retired,omitempty"` // an output that was removed
	Rewound *int64           `json:"rewound,omitempty"` // bytes of the event log that were kept when the rest was written again
}

// openArchive reads the log of a recording, or starts it, and finishes what a
// crash interrupted between sealing and publishing a segment.
func openArchive(spool *storage.Spool, file, base string, c *clock, tell func(int, storage.Segment)) (*archive, error) {
	log, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the list of segments: %w", err)
	}
	a := &archive{spool: spool, base: base, clock: c, tell: tell, log: log, open: map[openSegment]*segmentFile{}, outputs: map[string]*progress{}}
	if err := a.load(); err != nil {
		log.Close()
		return nil, fmt.Errorf("read the list of segments %s: %w", file, err)
	}
	return a, nil
}

// load reads the log up to its last whole line and cuts the rest.
func (a *archive) load() error {
	whole, _, err := lines.New(a.log, 0).Each(a.line)
	if err != nil {
		return err
	}
	a.end = whole
	return a.log.Truncate(a.end)
}

// line takes one line of the log.
func (a *archive) line(raw []byte) error {
	var l archiveLine
	if err := json.Unmarshal(raw, &l); err != nil {
		return err
	}
	if l.Output != nil {
		a.outputs[l.Output.ID] = &progress{output: *l.Output, end: l.From, gap: -1}
	}
	if l.Gap != nil && a.outputs[l.Gap.Output] != nil {
		a.noteGap(a.outputs[l.Gap.Output], *l.Gap)
	}
	if p := a.outputs[l.Retired]; p != nil {
		p.retired = true
	}
	if l.Rewound != nil {
		a.rewound = append(a.rewound, *l.Rewound)
	}
	if l.Sealed != nil {
		a.note(*l.Sealed)
		if err := a.republish(l.Sealed.Path, l.Sealed.SHA256, l.Buckets); err != nil {
			return err
		}
	}
	if l.Key != nil {
		a.encryption.keys = append(a.encryption.keys, *l.Key)
		if err := a.republish(l.Key.Path, l.Key.SHA256, l.Buckets); err != nil {
			return err
		}
	}
	return nil
}

// republish hands a sealed file to the uploader if a crash came before it
// could be.
func (a *archive) republish(p, sum string, buckets []string) error {
	f, err := a.spool.OpenPart(path.Join(a.base, p))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // published: the rule
	}
	if err != nil {
		return err
	}
	defer f.Close() // if it is not published now it can be opened again
	sealed, err := f.Seal()
	if err != nil {
		return err
	}
	if hex.EncodeToString(sealed.SHA256[:]) != sum {
		return fmt.Errorf("%s on disk is not what was sealed", p)
	}
	return f.Publish(buckets)
}

func (a *archive) note(s storage.Segment) {
	a.sealed.Segments = append(a.sealed.Segments, s)
	p := a.outputs[s.Output]
	if p == nil {
		p = &progress{gap: -1}
		a.outputs[s.Output] = p
	}
	p.started = true
	p.index, p.end = s.Index, s.StartSample+s.Samples
	p.segments++
	p.samples += s.Samples
}

// store gives an output its place in the archive, from a sample on if it is
// new.
func (a *archive) store(o storage.Output, dir string, from int64) (*outputStore, error) {
	ext, _ := encoder.Ext(o.Format)
	if a.encryption.on() {
		o.Key = storage.KeyFileOf(o).Path
	}
	if a.outputs[o.ID] == nil {
		o = a.placed(o)
		if err := a.write(archiveLine{Output: &o, From: from}); err != nil {
			return nil, err
		}
		a.outputs[o.ID] = &progress{output: o, end: from, gap: -1}
	}
	return &outputStore{a: a, progress: a.outputs[o.ID], dir: dir, ext: strings.TrimPrefix(ext, ".")}, nil
}

// write appends a line. One that fails leaves no trace: the next is written in
// its place.
func (a *archive) write(l archiveLine) error {
	line, err := json.Marshal(l)
	if err != nil {
		return err
	}
	line = append(line, '\n')
	if a.torn { // a shorter line would leave the end of the one that failed
		if err := a.log.Truncate(a.end); err != nil {
			return fmt.Errorf("write the list of segments: %w", err)
		}
		a.torn = false
	}
	if _, err = a.log.WriteAt(line, a.end); err == nil {
		err = a.log.Sync()
	}
	if err != nil {
		cut := a.log.Truncate(a.end)
		a.torn = cut != nil
		return fmt.Errorf("write the list of segments: %w", errors.Join(err, cut))
	}
	a.end += int64(len(line))
	return nil
}

// publish hands a sealed segment to the uploader, now or when catchUp is
// called: it is in the log, so nobody else will.
func (a *archive) publish(f *storage.File, buckets []string) error {
	err := f.Publish(buckets)
	if err != nil {
		a.waiting = append(a.waiting, waiting{f, buckets})
	}
	return err
}

// catchUp hands over the sealed segments that the uploader could not be given
// before.
func (a *archive) catchUp() error {
	for len(a.waiting) > 0 {
		if err := a.waiting[0].file.Publish(a.waiting[0].buckets); err != nil {
			return err
		}
		a.waiting = a.waiting[1:]
	}
	return nil
}

// settle is how long decoders, encoder and limiter need to find back to the
// state that they had: 1.5 s by measurement.
const settle = 2 * pcm.Rate

// rewind notes that the event log is written again from a size on. What decoders
// that begin cold make of the same packets may have other figures and so other
// lengths: checkpoints of before then do not know their place in it any more.
func (a *archive) rewind(size int64) error {
	if err := a.write(archiveLine{Rewound: &size}); err != nil {
		return err
	}
	a.rewound = append(a.rewound, size)
	return nil
}

// abandon lets go of the files of a timeline that is made anew.
func (a *archive) abandon() {
	for _, f := range a.open {
		_ = f.Close() // it is rendered again
	}
	clear(a.open)
}

// close lets go of all files. Those that wait to be published are in the log:
// whoever opens it next publishes them.
func (a *archive) close() error {
	for _, w := range a.waiting {
		_ = w.file.Close()
	}
	a.waiting = nil
	return a.log.Close()
}

// outputStore is the encoder.Store of one output.
type outputStore struct {
	a        *archive
	progress *progress
	dir, ext string
}

// segmentFile is a segment's file as it is written and its path in the
// recording.
type segmentFile struct {
	draft
	path  string
	start int64 // sample
}

// Create implements encoder.Store.
func (o *outputStore) Create(s encoder.Segment) (encoder.File, error) {
	name := fmt.Sprintf("%06d-%s.%s", s.Index, o.a.clock.sample(s.Start).Format("20060102T150405.000Z"), o.ext)
	if o.a.encryption.on() {
		name += storage.EncryptedExt
	}
	p := path.Join(o.dir, name)
	f, err := o.a.draft(p)
	if err != nil {
		return nil, err
	}
	file := &segmentFile{f, p, s.Start}
	o.a.open[openSegment{o.progress.output.ID, s.Index}] = file
	return file, nil
}

// Commit implements encoder.Store: seal, log, publish, in this order. Behind a
// segment that could not be committed none is: the timeline is made anew, and
// goes on behind the last one.
func (o *outputStore) Commit(file encoder.File, s encoder.Segment) error {
	if s.Index != o.progress.index+1 {
		return fmt.Errorf("segment %d of %s: segment %d is not sealed", s.Index, o.progress.output.ID, o.progress.index+1)
	}
	f := file.(*segmentFile)
	final, err := o.a.final(f, o.progress.output)
	if err != nil {
		return err
	}
	sealed, err := final.Seal()
	if err != nil {
		return err
	}
	entry := storage.Segment{
		Path:        f.path,
		Output:      o.progress.output.ID,
		Index:       s.Index,
		Start:       o.a.clock.sample(s.Start),
		StartSample: s.Start,
		Samples:     s.Samples,
	}
	next := storage.Manifest{Segments: o.a.sealed.Segments}
	if err := next.Append(entry, sealed); err != nil {
		return err
	}
	entry = next.Segments[len(next.Segments)-1]
	buckets := o.progress.output.Storage
	if err := o.a.write(archiveLine{Sealed: &entry, Buckets: buckets}); err != nil {
		return err
	}
	o.a.note(entry)
	delete(o.a.open, openSegment{o.progress.output.ID, s.Index})
	o.a.tell(len(o.a.sealed.Segments), entry)
	return o.a.publish(final, buckets)
}
