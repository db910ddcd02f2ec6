package ogg

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"mixdown/encoder/opus"
)

// page is one page whose checksum is right.
type page struct {
	offset  int64 // of its first byte in the input
	size    int   // bytes, header included
	flags   byte
	granule int64 // -1: no packet ends here
	serial  uint32
	seq     uint32
	lacing  []byte
	body    []byte
	skipped bool // bytes that are no page lie before it
}

// pages finds the pages of an input and steps over what is damaged.
type pages struct {
	r      io.Reader
	buf    []byte
	from   int   // start of the unread bytes in buf
	offset int64 // of buf[0] in the input
	err    error // of r
}

var magic = []byte("OggS")

// maxPacket bounds what a packet that never ends may gather.
const maxPacket = 1 << 20

// next delivers the next whole page; its slices are valid until the next call.
// At the end it returns io.EOF.
func (p *pages) next() (page, error) {
	skipped := false
	for {
		if !p.need(pageHeader) {
			return page{}, p.end()
		}
		b := p.buf[p.from:]
		if i := bytes.Index(b, magic); i != 0 {
			skipped = true
			if i < 0 {
				i = len(b) - len(magic) + 1
			}
			p.from += i
			continue
		}
		if g, ok := p.page(); ok {
			g.skipped = skipped
			return g, nil
		}
		skipped = true
		p.from++
	}
}

// page reads the page that seems to begin here.
func (p *pages) page() (page, bool) {
	segments := int(p.buf[p.from+26])
	if p.buf[p.from+4] != 0 || !p.need(pageHeader+segments) {
		return page{}, false
	}
	size := pageHeader + segments
	for _, v := range p.buf[p.from+pageHeader : p.from+size] {
		size += int(v)
	}
	if !p.need(size) {
		return page{}, false
	}
	b := p.buf[p.from : p.from+size]
	if binary.LittleEndian.Uint32(b[22:]) != pageCRC(b) {
		return page{}, false
	}
	g := page{
		offset:  p.offset + int64(p.from),
		size:    size,
		flags:   b[5],
		granule: int64(binary.LittleEndian.Uint64(b[6:])),
		serial:  binary.LittleEndian.Uint32(b[14:]),
		seq:     binary.LittleEndian.Uint32(b[18:]),
		lacing:  b[pageHeader : pageHeader+segments],
		body:    b[pageHeader+segments:],
	}
	p.from += size
	return g, true
}

// need makes at least n unread bytes available, if the input has them.
func (p *pages) need(n int) bool {
	if len(p.buf)-p.from >= n {
		return true
	}
	if p.from > 0 {
		p.offset += int64(p.from)
		p.buf = p.buf[:copy(p.buf, p.buf[p.from:])]
		p.from = 0
	}
	if p.buf == nil {
		p.buf = make([]byte, 0, 1<<17)
	}
	empty := 0
	for len(p.buf) < n && p.err == nil {
		var k int
		k, p.err = p.r.Read(p.buf[len(p.buf):cap(p.buf)])
		p.buf = p.buf[:len(p.buf)+k]
		if k > 0 {
			empty = 0
		} else if empty++; empty > 100 && p.err == nil {
			p.err = io.ErrNoProgress
		}
	}
	return len(p.buf) >= n
}

func (p *pages) end() error {
	if errors.Is(p.err, io.EOF) {
		return io.EOF
	}
	return fmt.Errorf("read ogg: %w", p.err)
}

// Packet is one Opus packet of a stream. Start and End are granule positions:
// samples at 48 kHz, pre-skip included, of the first sample and behind the last
// one that counts. Where an end trim cuts the packet, End-Start is less than
// its Samples.
type Packet struct {
	Data       []byte // valid until the next call of Next
	Samples    int    // what the packet decodes to; 0 if it is malformed
	Start, End int64
	Link       int // 0 for the first stream of the input, 1 for the next one behind it …
}

// Reader delivers the Opus packets of an Ogg input. It steps over damaged
// bytes: what is lost shows as a Start behind the End before it. Files joined
// end to end are read one after another.
type Reader struct {
	pages  pages
	open   bool // a stream has begun
	link   int
	serial uint32
	seq    uint32
	head   Head
	tags   []string
	early  bool  // tags may still come
	pos    int64 // granule position reached; -1: unknown
	part   []byte
	whole  []byte // the packet last joined; its room is used again
	inside bool   // part holds the beginning of a packet

	queue []Packet
	taken int
}

// NewReader reads from r, which it buffers.
func NewReader(r io.Reader) *Reader { return &Reader{pages: pages{r: r}, link: -1} }

// Head is the identification header of the stream that the last packet belongs
// to. It is known after the first call of Next.
func (r *Reader) Head() Head { return r.head }

// Comments are the Vorbis comments of that stream.
func (r *Reader) Comments() []string { return r.tags }

// Next delivers the next audio packet; at the end io.EOF, or [ErrNoStream] if
// the input held none.
func (r *Reader) Next() (Packet, error) {
	for r.taken == len(r.queue) {
		g, err := r.pages.next()
		if errors.Is(err, io.EOF) && !r.open {
			return Packet{}, ErrNoStream
		}
		if err != nil {
			return Packet{}, err
		}
		r.take(g)
	}
	p := r.queue[r.taken]
	r.taken++
	return p, nil
}

// take queues the packets that end in page g.
func (r *Reader) take(g page) {
	r.queue, r.taken = r.queue[:0], 0
	if g.flags&flagBegin != 0 {
		r.begin(g)
		return
	}
	if !r.open || g.serial != r.serial {
		return
	}
	hole := g.seq != r.seq
	r.seq = g.seq + 1
	if hole || g.flags&flagContinued == 0 {
		r.inside = false
	}
	if !r.split(g) {
		return
	}
	if r.early && len(r.queue) > 0 {
		r.early = false
		if tags, ok := parseTags(r.queue[0].Data); ok {
			r.tags = tags
			r.queue = r.queue[1:]
		}
	}
	if len(r.queue) > 0 {
		r.place(g, hole)
	}
}

// begin opens the stream of a first page.
func (r *Reader) begin(g page) {
	h, ok := parseHead(g.body)
	if !ok {
		return
	}
	r.open, r.early, r.inside = true, true, false
	r.link++
	r.serial, r.seq = g.serial, g.seq+1
	r.head, r.tags, r.pos = h, nil, -1
}

// split cuts the page's payload into packets and joins those that go over
// pages. It reports whether a packet ended.
func (r *Reader) split(g page) bool {
	body, size := g.body, 0
	drop := g.flags&flagContinued != 0 && !r.inside // its beginning is lost
	for _, v := range g.lacing {
		size += int(v)
		if v == 255 {
			continue
		}
		data := body[:size]
		body, size = body[size:], 0
		if drop {
			drop = false
			continue
		}
		if r.inside {
			r.part = append(r.part, data...)
			r.part, r.whole = r.whole, r.part
			data, r.inside = r.whole, false
		}
		n, err := opus.Duration(data)
		if err != nil {
			n = 0
		}
		r.queue = append(r.queue, Packet{Data: data, Samples: n, Link: r.link})
	}
	if size > 0 && !drop {
		if !r.inside {
			r.part = r.part[:0]
		}
		r.part = append(r.part, body[:size]...)
		r.inside = len(r.part) < maxPacket
	}
	return len(r.queue) > 0
}

// place gives the queued packets their positions (RFC 7845 section 4).
func (r *Reader) place(g page, hole bool) {
	total := int64(0)
	for _, p := range r.queue {
		total += int64(p.Samples)
	}
	start := g.granule - total
	end := int64(-1)
	if g.flags&flagEnd != 0 {
		// The last page may end early; its packets follow what was before. A
		// stream of one page begins at 0.
		end = g.granule
		switch {
		case r.pos < 0 && !hole:
			start = 0
		case r.pos >= 0 && (!hole || start < r.pos):
			start = r.pos
		}
	}
	if g.granule < 0 || g.granule > 1<<56 {
		start, end = max(r.pos, 0), -1 // a broken writer: count on
	}
	for i := range r.queue {
		p := &r.queue[i]
		p.Start = start
		start += int64(p.Samples)
		p.End = start
		if end >= 0 {
			p.End = max(p.Start, min(p.End, end))
		}
	}
	r.pos = start
}
