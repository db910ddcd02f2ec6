package encoder

import (
	"errors"
	"fmt"

	"mixdown/encoder/ogg"
	"mixdown/encoder/opus"
	"mixdown/mixer/pcm"
)

// Config says how a [Segmenter] writes.
type Config struct {
	Format   string   // "ogg", "wav" or "flac"
	Channels int      // 1: the mean of left and right; 2; 0 means 2
	Bitrate  int      // of ogg, bit/s; 0: 32000 a channel
	Every    int64    // samples in a segment, a multiple of pcm.FrameSize; 0: one segment without end
	Start    int64    // sample at which the first frame begins, a multiple of pcm.FrameSize
	Index    int      // of the first segment; 0 means 1
	Comments []string // Vorbis comments of ogg, "TITLE=…"
}

// ErrClosed tells that an output was ended before.
var ErrClosed = errors.New("encoder: output is closed")

// Segmenter encodes a clock's frames into segments. It is cut at Start plus
// each multiple of Every. Lossless segments put together are the uncut PCM bit
// for bit. Ogg segments each decode on their own to exactly their samples, and
// put together they have no seam: one encoder runs through all of them, each
// begins with 320 ms that are repeated from the segment before and not heard,
// and ends in the middle of the packet that carries the encoder's last
// lookahead samples. So an ogg segment is committed one frame after its end.
//
// Errors never move time: each WriteFrame stands for one frame, whatever it
// returns, and must not be repeated. Where a file cannot be created, the frame
// is lost and the next one tries again; where it cannot be written, the whole
// segment since its Start is lost for the Segmenter (it is never committed, the
// store may save what it holds) and the next frame opens a segment of the next
// index. Either way the new segment's Start is right and it ends where it would
// have ended anyway. A segment whose Commit fails stays as the store left it.
type Segmenter struct {
	store  Store
	c      Config
	pos    int64 // sample at which the next frame begins
	end    int64 // sample at which the open segment ends; 0: never
	index  int   // of the open segment, or of the next one
	file   File  // of the open segment; nil: none is open
	start  int64 // of the open segment
	body   body  // lossless formats
	closed bool

	// Ogg only.
	enc    *opus.Encoder
	ogg    *ogg.Writer
	recent recent
	packet [opus.MaxFrameBytes + 1]byte
}

// NewSegmenter checks c. It creates no file before the first frame.
func NewSegmenter(store Store, c Config) (*Segmenter, error) {
	if c.Channels == 0 {
		c.Channels = 2
	}
	if c.Index == 0 {
		c.Index = 1
	}
	if _, ok := Ext(c.Format); !ok {
		return nil, fmt.Errorf("encoder: unknown format %q", c.Format)
	}
	if c.Channels != 1 && c.Channels != 2 {
		return nil, fmt.Errorf("encoder: %d channels instead of 1 or 2", c.Channels)
	}
	if c.Every < 0 || c.Every%pcm.FrameSize != 0 || c.Start < 0 || c.Start%pcm.FrameSize != 0 {
		return nil, fmt.Errorf("encoder: start %d or segment length %d is no multiple of a frame", c.Start, c.Every)
	}
	s := &Segmenter{store: store, c: c, pos: c.Start, index: c.Index}
	if c.Format == "ogg" {
		enc, err := opus.NewEncoder(opus.EncoderConfig{Channels: c.Channels, Bitrate: c.Bitrate})
		if err != nil {
			return nil, err
		}
		s.enc = enc
	}
	return s, nil
}

// Warm lets the ogg encoder hear a frame that belongs before Start, so that
// the first segment goes on without a seam where an earlier run stopped; the
// frames right before Start, before the first WriteFrame. Other formats need
// none and ignore it.
func (s *Segmenter) Warm(f *pcm.Frame) error {
	if s.enc == nil {
		return nil
	}
	return s.encode(f)
}

// WriteFrame implements pcm.Writer. It may block on the disk.
func (s *Segmenter) WriteFrame(f *pcm.Frame) error {
	if s.closed {
		return ErrClosed
	}
	start := s.pos
	s.pos += pcm.FrameSize
	var err error
	if s.enc != nil {
		err = s.writeOpus(f, start)
	} else {
		err = s.writeLossless(f, start)
	}
	if err != nil {
		return fmt.Errorf("write frame at sample %d: %w", start, err)
	}
	return nil
}

func (s *Segmenter) writeLossless(f *pcm.Frame, start int64) error {
	if s.file == nil {
		if err := s.create(start); err != nil {
			return err
		}
		b, err := newBody(s.file, s.c.Format, s.c.Channels)
		if err != nil {
			return s.abandon(err)
		}
		s.body = b
	}
	if err := s.body.WriteFrame(f); err != nil {
		return s.abandon(err)
	}
	if s.pos == s.end {
		return s.commit(s.pos)
	}
	return nil
}

// writeOpus encodes f, which begins at sample start. Its packet ends the
// segment that is complete and begins the next one.
func (s *Segmenter) writeOpus(f *pcm.Frame, start int64) error {
	if err := s.encode(f); err != nil {
		return s.abandon(err)
	}
	var ended error
	if s.file != nil && start == s.end {
		ended = s.endOpus(start)
	}
	if s.file == nil {
		if err := s.create(start); err != nil {
			return errors.Join(ended, err)
		}
		w, err := s.recent.begin(s.file, Segment{Index: s.index, Start: start}, s.c.Channels, s.enc.Lookahead(), s.c.Comments)
		if err != nil {
			return errors.Join(ended, s.abandon(err))
		}
		s.ogg = w
	}
	if err := s.ogg.WritePacket(s.recent.back(0).data, pcm.FrameSize); err != nil {
		return errors.Join(ended, s.abandon(err))
	}
	return ended
}

// encode makes the packet of f the newest one.
func (s *Segmenter) encode(f *pcm.Frame) error {
	n, err := s.enc.Encode(f, s.packet[:])
	if err != nil {
		return err
	}
	s.recent.push(s.packet[:n], pcm.FrameSize)
	return nil
}

// endOpus writes the newest packet as the last one of the open segment, which
// ends at sample end, and commits it.
func (s *Segmenter) endOpus(end int64) error {
	if err := s.ogg.WritePacket(s.recent.back(0).data, pcm.FrameSize); err != nil {
		return s.abandon(err)
	}
	return s.commit(end)
}

// create opens the file of the segment that begins at sample start.
func (s *Segmenter) create(start int64) error {
	f, err := s.store.Create(Segment{Index: s.index, Start: start})
	if err != nil {
		return fmt.Errorf("create segment %d: %w", s.index, err)
	}
	s.file, s.start, s.end = f, start, 0
	if s.c.Every > 0 {
		s.end = start - (start-s.c.Start)%s.c.Every + s.c.Every
	}
	return nil
}

// abandon gives the open segment up.
func (s *Segmenter) abandon(err error) error {
	if s.file == nil {
		return err
	}
	err = fmt.Errorf("segment %d: %w", s.index, err)
	s.leave()
	return err
}

func (s *Segmenter) leave() {
	s.file, s.body, s.ogg = nil, nil, nil
	s.index++
}

// commit ends the open segment at sample end and hands it to the store.
func (s *Segmenter) commit(end int64) error {
	var err error
	if s.ogg != nil {
		// The newest packet reaches a frame beyond the end, of which the
		// decoder needs the lookahead.
		err = s.ogg.Close(pcm.FrameSize - s.enc.Lookahead())
	} else {
		err = s.body.Close()
	}
	if err != nil {
		return s.abandon(err)
	}
	f, seg := s.file, Segment{Index: s.index, Start: s.start, Samples: end - s.start}
	s.leave()
	if err := s.store.Commit(f, seg); err != nil {
		return fmt.Errorf("commit segment %d: %w", seg.Index, err)
	}
	return nil
}

// Flush hands what was written so far to the file, which then is readable up
// to there; of ogg all but the last lookahead samples (6.5 ms). It does not sync
// the disk.
func (s *Segmenter) Flush() error {
	var err error
	switch {
	case s.closed:
		return ErrClosed
	case s.ogg != nil:
		err = s.ogg.Flush()
	case s.body != nil:
		err = s.body.Flush()
	}
	if err != nil {
		return fmt.Errorf("flush: %w", s.abandon(err))
	}
	return nil
}

// Close commits the last segment. Without a frame since the last one there is
// none.
func (s *Segmenter) Close() error {
	if s.closed {
		return ErrClosed
	}
	s.closed = true
	if s.file == nil {
		return nil
	}
	var err error
	if s.enc != nil {
		var silence pcm.Frame
		if err = s.encode(&silence); err == nil {
			err = s.endOpus(s.pos)
		} else {
			err = s.abandon(err)
		}
	} else {
		err = s.commit(s.pos)
	}
	if err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}
