package capture

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"time"

	"mixdown/encoder"
	"mixdown/encoder/ogg"
	"mixdown/encoder/opus"
	"mixdown/joiner"
	"mixdown/mixer"
	"mixdown/mixer/pcm"
	"mixdown/mixer/playout"
	"mixdown/storage"
	"mixdown/storage/crypt"
)

// ErrNoStreams is returned by Remix for a recording without the streams' own
// files.
var ErrNoStreams = errors.New("the recording holds no original streams (record what: streams, format: ogg)")

// Remix mixes a recording again from its streams' own files, by another
// [MixSpec] if wanted, into one file without end. With the parameters of the
// capture the samples are those of the recorded mix, as long as no stream's
// clock drift had to be corrected.
func Remix(ctx context.Context, b storage.Browser, prefix string, mix MixSpec, c encoder.Config, store encoder.Store) error {
	setDefault(&mix.Channels, 2)
	c.Channels = mix.Channels
	r := &remix{ctx: ctx, browser: b, prefix: prefix, mix: mix}
	if err := r.open(); err != nil {
		return fmt.Errorf("remix %s: %w", prefix, err)
	}
	out, err := encoder.NewSegmenter(store, c)
	if err != nil {
		return err
	}
	m := mixer.New(mixer.Config{Aligned: true, Level: mix.Level})
	var werr error
	m.AddOutput(writerFunc(func(f *pcm.Frame) error {
		if err := out.WriteFrame(f); err != nil && werr == nil {
			werr = err
		}
		return nil
	}), mixer.Levelled())
	for frame := int64(0); frame < r.frames && werr == nil && ctx.Err() == nil; frame++ {
		for _, s := range r.stays {
			if err := s.feed(m, frame); err != nil {
				return fmt.Errorf("remix %s: %w", prefix, err)
			}
		}
		m.Mix()
	}
	m.Drain()
	return errors.Join(werr, context.Cause(ctx), out.Close())
}

type writerFunc func(f *pcm.Frame) error

// WriteFrame implements pcm.Writer.
func (w writerFunc) WriteFrame(f *pcm.Frame) error { return w(f) }

// remix is a recording that is mixed again.
type remix struct {
	ctx     context.Context // of the one call of Remix that this lives for
	browser storage.Browser
	prefix  string
	mix     MixSpec
	frames  int64
	files   map[string]*streamFile
	stays   []*stay
}

// stay is one stay of a stream in the room, as the event log tells it.
type stay struct {
	num    uint32
	stream joiner.Stream
	gain   float64
	rows   []row
	left   int64 // sample at which the stream left, -1 if it did not
	file   *streamFile
	deep   *playout.Deep // once it plays
	row    int           // the next packet's
	packet int           // within the row
	pos    int64         // where it belongs
}

func (r *remix) open() error {
	var m storage.Manifest
	raw, err := r.read(storage.ManifestName)
	if err == nil {
		err = json.Unmarshal(raw, &m)
	}
	if err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	if m.End == nil {
		return errors.New("the recording has not ended")
	}
	if _, opens := r.browser.(*crypt.Ring); m.Encryption != nil && !opens {
		return fmt.Errorf("the recording is %w: give the identity of one of its recipients", storage.ErrUnopened)
	}
	r.frames = pcm.Samples(m.End.Sub(m.Start.Time)+time.Microsecond) / pcm.FrameSize
	r.files = map[string]*streamFile{}
	for _, s := range m.Segments {
		i := slices.IndexFunc(m.Outputs, func(o storage.Output) bool { return o.ID == s.Output })
		if i < 0 || m.Outputs[i].What != "streams" || m.Outputs[i].Format != "ogg" {
			continue
		}
		key := streamKey(m.Outputs[i].UserID, m.Outputs[i].StreamID)
		f := r.files[key]
		if f == nil {
			f = &streamFile{r: r, output: s.Output}
			r.files[key] = f
		}
		if f.output == s.Output {
			f.segments, f.end = append(f.segments, s), s.StartSample+s.Samples
		}
	}
	for key, f := range r.files {
		if err := f.try(); errors.Is(err, storage.ErrUnopened) {
			delete(r.files, key) // its key was destroyed: it is erased
		} else if err != nil {
			return err
		}
	}
	if len(r.files) == 0 {
		return ErrNoStreams
	}
	return r.openEvents()
}

// openEvents finds the stays and their packets.
func (r *remix) openEvents() error {
	raw, err := r.read(storage.EventsName)
	if err != nil {
		return fmt.Errorf("events: %w", err)
	}
	stays := map[uint32]*stay{}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, 1<<20)
	left := map[string][]int64{}
	for lines.Scan() {
		var e struct {
			Sample int64           `json:"sample"`
			Type   string          `json:"type"`
			Who    json.RawMessage `json:"who"`
			Row    *placedRow      `json:"row"`
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("events: %w", err)
		}
		var who joiner.Stream
		switch e.Type {
		case "stream.packets":
			if err := json.Unmarshal(e.Who, &who); err != nil || e.Row == nil {
				return fmt.Errorf("events: row of packets: %w", err)
			}
			s := stays[e.Row.Stay]
			if s == nil {
				s = &stay{num: e.Row.Stay, stream: who, left: -1, file: r.files[streamKey(who.User.ID, who.ID)]}
				stays[e.Row.Stay] = s
			}
			s.rows = append(s.rows, e.Row.row)
		case "stream.removed":
			if err := json.Unmarshal(e.Who, &who); err == nil {
				key := streamKey(who.User.ID, who.ID)
				left[key] = append(left[key], e.Sample)
			}
		}
	}
	for _, s := range stays {
		if s.file == nil || !r.mix.wants(s.stream.ID, s.stream.User.ID, false) {
			continue
		}
		s.gain = r.mix.gain(s.stream.ID, s.stream.User.ID)
		slices.SortFunc(s.rows, func(a, b row) int { return int(a.Pos - b.Pos) })
		last := s.rows[len(s.rows)-1]
		for _, at := range left[streamKey(s.stream.User.ID, s.stream.ID)] {
			if at >= last.Pos && s.left < 0 {
				s.left = at
			}
		}
		r.stays = append(r.stays, s)
	}
	slices.SortFunc(r.stays, func(a, b *stay) int { return int(a.num) - int(b.num) })
	return nil
}

func (r *remix) read(name string) ([]byte, error) {
	f, _, err := r.browser.Open(r.ctx, path.Join(r.prefix, name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// feed gives the stay's Deep what has arrived by the time the frame is
// rendered: everything is in time, and nothing more than the usual depth ahead.
func (s *stay) feed(m *mixer.Mixer, frame int64) error {
	horizon := frame*pcm.FrameSize + pcm.Samples(depth)
	for s.row < len(s.rows) {
		row := s.rows[s.row]
		switch {
		case s.packet == row.Packets:
			s.row, s.packet = s.row+1, 0
			continue
		case s.packet == 0:
			s.pos = row.Pos
		}
		if s.pos >= s.file.end { // what was in hand when the recording ended
			s.row = len(s.rows)
			break
		}
		if s.pos > horizon {
			break
		}
		payload, samples, err := s.file.packet(row, s.packet == 0)
		if err != nil {
			return fmt.Errorf("stream %s: %w", s.stream.ID, err)
		}
		if s.deep == nil {
			s.play(m, frame)
		}
		at := pcm.Duration(s.pos)
		if pcm.Samples(at) < s.pos {
			at++ // rounding must not let it come before its time
		}
		s.deep.Push(&playout.Packet{
			At: at, SSRC: s.num + 1, PT: 111, Seq: row.Seq + uint16(s.packet), Timestamp: uint32(s.pos), Level: playout.NoLevel, Payload: payload,
		})
		s.packet++
		s.pos += samples
	}
	return nil
}

// play brings the stay into the mix.
func (s *stay) play(m *mixer.Mixer, frame int64) {
	s.deep = playout.NewDeep(playout.DeepConfig{Start: frame})
	id := inputName(streamRecord{Stream: s.stream}, s.num)
	m.SetGain(id, s.gain)
	m.AddInput(id, s.deep)
	if s.left >= 0 {
		s.deep.End(pcm.Duration(s.left))
	}
}

// quietPacket is a packet without audio that stands for so many samples: a TOC
// byte of CELT, or for long ones of SILK (RFC 6716, section 3.1).
func quietPacket(samples int64) []byte {
	switch samples {
	case 1920:
		return []byte{2 << 3}
	case 2880:
		return []byte{3 << 3}
	}
	if p := opus.Silence(int(samples), 1); p != nil {
		return p[:1]
	}
	return opus.Silence(pcm.FrameSize, 1)[:1] // of an odd length: the next row sets the time right
}

// streamFile reads the packets of one stream's files in order.
type streamFile struct {
	r        *remix
	output   string
	segments []storage.Segment
	end      int64 // sample at which the last one ends
	reader   *ogg.Reader
	current  io.Closer
	start    int64 // sample of the capture at which the open file begins
	at       int64 // sample of the capture at which the packet in hand begins
	data     []byte
	samples  int
}

// packet is the next packet of a row; first says that the row begins. It is
// valid until the next call.
func (f *streamFile) packet(r row, first bool) (payload []byte, samples int64, err error) {
	if r.Quiet { // the file has silence there, by 20 ms
		samples = (r.End - r.Pos) / int64(r.Packets)
		return quietPacket(samples), samples, nil
	}
	if err := f.next(); err != nil {
		return nil, 0, err
	}
	// A file holds a packet within 1.25 ms of its place, or up to 5 ms late
	// behind an overlap; what lies before it fills a hole.
	for first && f.at < r.Pos-pcm.Rate/400 {
		if err := f.next(); err != nil {
			return nil, 0, err
		}
	}
	return f.data, int64(f.samples), nil
}

// next takes the next packet that counts.
func (f *streamFile) next() error {
	for {
		if f.reader == nil {
			if err := f.open(); err != nil {
				return err
			}
		}
		p, err := f.reader.Next()
		if errors.Is(err, io.EOF) {
			f.reader = nil
			if err := f.current.Close(); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		heard := p.Start - int64(f.reader.Head().PreSkip)
		if heard < 0 {
			continue // pre-roll
		}
		f.at, f.data, f.samples = f.start+heard, append(f.data[:0], p.Data...), p.Samples
		return nil
	}
}

// try opens the first segment to see whether it can be.
func (f *streamFile) try() error {
	file, _, err := f.r.browser.Open(f.r.ctx, path.Join(f.r.prefix, f.segments[0].Path))
	if err != nil {
		return err
	}
	return file.Close()
}

// open opens the next segment.
func (f *streamFile) open() error {
	if len(f.segments) == 0 {
		return fmt.Errorf("its files end before its packets: %w", io.ErrUnexpectedEOF)
	}
	s := f.segments[0]
	f.segments = f.segments[1:]
	file, _, err := f.r.browser.Open(f.r.ctx, path.Join(f.r.prefix, s.Path))
	if err != nil {
		return err
	}
	f.current, f.reader, f.start = file, ogg.NewReader(file), s.StartSample
	return nil
}
