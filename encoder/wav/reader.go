package wav

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// Reader reads a PCM file of one or two channels from its beginning.
type Reader struct {
	r    io.Reader
	f    format
	left int64 // bytes of samples not read yet
	buf  []byte
}

// NewReader reads the header.
func NewReader(r io.Reader) (*Reader, error) {
	h, err := readHeader(r, nil)
	if err != nil {
		return nil, err
	}
	if h.channels > 2 {
		return nil, fmt.Errorf("%w: %d channels", ErrFormat, h.channels)
	}
	return &Reader{r: r, f: h.format, left: h.size - h.size%h.frame()}, nil
}

// Rate is the number of samples in a second.
func (r *Reader) Rate() int { return int(r.f.rate) }

// Channels is 1 or 2.
func (r *Reader) Channels() int { return r.f.channels }

// Samples is the number of samples not read yet, as the header tells it.
func (r *Reader) Samples() int64 { return r.left / r.f.frame() }

// Read fills out; mono comes on both sides. It returns fewer than len(out) only
// at the end or at an error, io.EOF with 0 behind the last sample, and
// io.ErrUnexpectedEOF where the file is shorter than its header says.
//
//go:norace
func (r *Reader) Read(out [][2]float32) (n int, err error) {
	frame := int(r.f.frame())
	want := min(int64(len(out)), r.Samples())
	if want == 0 && len(out) > 0 {
		return 0, io.EOF
	}
	if cap(r.buf) < int(want)*frame {
		r.buf = make([]byte, int(want)*frame)
	}
	got, err := io.ReadFull(r.r, r.buf[:int(want)*frame])
	n = got / frame
	for i := range n {
		b := r.buf[i*frame : (i+1)*frame]
		out[i][0] = r.f.encoding.value(b)
		out[i][1] = r.f.encoding.value(b[frame-r.f.encoding.bytes():])
	}
	r.left -= int64(got)
	if err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return n, fmt.Errorf("read wav samples: %w", err)
	}
	return n, nil
}

// value reads one value.
//
//go:norace
func (e Encoding) value(b []byte) float32 {
	switch e {
	case PCM16:
		return float32(int16(binary.LittleEndian.Uint16(b))) / (1 << 15)
	case PCM24:
		return float32(int32(uint32(b[0])<<8|uint32(b[1])<<16|uint32(b[2])<<24)>>8) / (1 << 23)
	default:
		return math.Float32frombits(binary.LittleEndian.Uint32(b))
	}
}

// header is the front of a file up to its samples.
type header struct {
	format
	start int64 // offset of the samples
	size  int64 // bytes of samples, as told
}

// maxChunk bounds the chunks before the samples that are kept in memory.
const maxChunk = 1 << 16

// readHeader reads chunk by chunk up to the head of data. If seen is not nil it
// gets the id and offset of each chunk.
func readHeader(r io.Reader, seen func(id string, offset int64)) (header, error) {
	var h header
	var head [12]byte
	if err := readPart(r, head[:]); err != nil {
		return h, err
	}
	large := string(head[:4]) == "RF64" || string(head[:4]) == "BW64"
	if !large && string(head[:4]) != "RIFF" || string(head[8:]) != "WAVE" {
		return h, fmt.Errorf("%w: no RIFF or RF64 head", ErrFormat)
	}
	offset, long := int64(12), int64(-1)
	for {
		if err := readPart(r, head[:8]); err != nil {
			return h, err
		}
		id, size := string(head[:4]), int64(binary.LittleEndian.Uint32(head[4:]))
		if seen != nil {
			seen(id, offset)
		}
		offset += 8
		if id == "data" {
			if h.channels == 0 {
				return h, fmt.Errorf("%w: no fmt chunk before data", ErrFormat)
			}
			if large && size == math.MaxUint32 && long >= 0 {
				size = long
			}
			h.start, h.size = offset, size
			return h, nil
		}
		if size > maxChunk {
			return h, fmt.Errorf("%w: chunk %q of %d bytes before data", ErrFormat, id, size)
		}
		b := make([]byte, size+size&1)
		if err := readPart(r, b); err != nil {
			return h, err
		}
		offset += int64(len(b))
		switch {
		case id == "fmt ":
			f, err := parseFormat(b[:size])
			if err != nil {
				return h, err
			}
			h.format = f
		case id == "ds64" && size >= 16:
			long = int64(min(binary.LittleEndian.Uint64(b[8:]), math.MaxInt64))
		}
	}
}

func readPart(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: header ends early", ErrFormat)
	}
	if err != nil {
		return fmt.Errorf("read wav header: %w", err)
	}
	return nil
}
