package ogg

import (
	"encoding/binary"
	"fmt"
	"io"

	"mixdown/mixer/pcm"
)

// Config describes a stream to write.
type Config struct {
	Head
	Serial   uint32   // number of the logical stream; unlike its neighbours' if files are joined
	Comments []string // Vorbis comments, "NAME=value"
	// Live sends the first packet at once and then a page each 100 ms, without
	// holding anything back for an end trim: for listeners over HTTP.
	Live bool
}

const (
	filePage = pcm.Rate      // samples in a page of a file: RFC 7845 section 6 asks for at most a second
	livePage = pcm.Rate / 10 // samples in a page of a live stream
)

// Writer makes one Opus stream. Pages carry whole packets only, and each is
// written by one Write, so the output is readable up to the last page written.
// After an error of the underlying writer the stream is broken for good and
// every call returns that error.
type Writer struct {
	w       io.Writer
	serial  uint32
	seq     uint32
	limit   int
	live    bool
	started bool  // an audio page is out
	granule int64 // samples of all packets taken
	pending int   // samples of the packets in the open page
	lacing  int   // lacing values of the open page
	err     error

	values [maxSegments]byte
	// page holds the open page's payload behind room for the longest header,
	// so that header and payload go out in one piece.
	page []byte
}

const room = pageHeader + maxSegments

// NewWriter writes the two header pages and returns the open stream.
func NewWriter(w io.Writer, c Config) (*Writer, error) {
	if c.Channels != 1 && c.Channels != 2 {
		return nil, fmt.Errorf("ogg: %d channels instead of 1 or 2", c.Channels)
	}
	if c.PreSkip < 0 || c.PreSkip > 0xffff {
		return nil, fmt.Errorf("ogg: pre-skip of %d samples is out of range", c.PreSkip)
	}
	o := &Writer{w: w, serial: c.Serial, limit: filePage, live: c.Live, page: make([]byte, room, room+4096)}
	if c.Live {
		o.limit = livePage
	}
	tags := appendTags(nil, c.Comments)
	if len(tags) > maxBody-1 {
		return nil, fmt.Errorf("opus comments of %d bytes: %w", len(tags), ErrPacketSize)
	}
	o.add(appendHead(nil, c.Head))
	head := append([]byte(nil), o.build(flagBegin, 0)...)
	o.add(tags)
	o.write(append(head, o.build(0, 0)...))
	if o.err != nil {
		return nil, fmt.Errorf("write opus headers: %w", o.err)
	}
	return o, nil
}

// WritePacket appends a packet that decodes to this many samples. It copies
// the bytes.
func (o *Writer) WritePacket(packet []byte, samples int) error {
	if o.err != nil {
		return o.err
	}
	need := len(packet)/255 + 1
	if need > maxSegments {
		return ErrPacketSize
	}
	if o.lacing > 0 && (o.lacing+need > maxSegments || o.pending+samples > o.limit) {
		o.emit(0)
	}
	o.add(packet)
	o.pending += samples
	o.granule += int64(samples)
	if o.live && (!o.started || o.pending >= o.limit) {
		o.emit(0)
	}
	return o.err
}

// Flush writes the packets held back as a page. It does nothing if there are
// none.
func (o *Writer) Flush() error {
	if o.err == nil && o.lacing > 0 {
		o.emit(0)
	}
	return o.err
}

// Close ends the stream and makes the player drop the last trim samples (RFC
// 7845 section 4.4), which must belong to packets written since the last page
// went out; else it returns [ErrTrim] and the stream stays open. The underlying
// writer stays open.
func (o *Writer) Close(trim int) error {
	if o.err != nil {
		return o.err
	}
	if trim < 0 || trim > o.pending {
		return ErrTrim
	}
	o.granule -= int64(trim)
	if o.lacing == 0 {
		o.write(o.build(flagEnd, -1)) // no packet ends on this page
	} else {
		o.emit(flagEnd)
	}
	if o.err != nil {
		return o.err
	}
	o.err = ErrClosed
	return nil
}

// Samples is the number of samples of all packets taken, pre-skip included.
func (o *Writer) Samples() int64 { return o.granule }

// add puts a packet that fits into the open page.
func (o *Writer) add(packet []byte) {
	n := len(packet)
	for ; n >= 255; n -= 255 {
		o.values[o.lacing] = 255
		o.lacing++
	}
	o.values[o.lacing] = byte(n)
	o.lacing++
	o.page = append(o.page, packet...)
}

// emit writes the open page and begins a new one.
func (o *Writer) emit(flags byte) {
	o.write(o.build(flags, o.granule))
	o.started = true
	o.pending = 0
}

// build closes the open page; the bytes are valid until the next packet.
func (o *Writer) build(flags byte, granule int64) []byte {
	h := o.page[room-pageHeader-o.lacing:]
	copy(h, "OggS\x00")
	h[5] = flags
	binary.LittleEndian.PutUint64(h[6:], uint64(granule))
	binary.LittleEndian.PutUint32(h[14:], o.serial)
	binary.LittleEndian.PutUint32(h[18:], o.seq)
	h[26] = byte(o.lacing)
	copy(h[pageHeader:], o.values[:o.lacing])
	binary.LittleEndian.PutUint32(h[22:], pageCRC(h))
	o.seq++
	o.lacing = 0
	o.page = o.page[:room]
	return h
}

func (o *Writer) write(b []byte) {
	n, err := o.w.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		o.err = fmt.Errorf("write ogg page: %w", err)
	}
}

// NewLive opens a stream for a listener over HTTP, which may join what is
// encoded at any moment and never ends: see Config.Live. preSkip is the
// encoder's lookahead.
func NewLive(w io.Writer, channels, preSkip int) (*Writer, error) {
	return NewWriter(w, Config{Head: Head{Channels: channels, PreSkip: preSkip}, Serial: 1, Live: true})
}
