package wav

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"mixdown/mixer/pcm"
)

// File is what a [Writer] writes into. Write appends, WriteAt patches the
// header.
type File interface {
	io.Writer
	io.WriterAt
}

// Config describes the samples of a file.
type Config struct {
	Channels int // 1: the mean of left and right; 2
	Encoding Encoding
}

// gather is how many bytes wait for a write: a frame at least, a third of a
// second of 16-bit stereo.
const gather = 1 << 16

// Writer writes one file. It gathers samples into large writes and patches the
// header at Flush. After an error the file is suspect and every call returns
// that error.
type Writer struct {
	f    File
	c    Config
	data int64 // bytes of samples in the file
	buf  []byte
	head []byte
	err  error
}

// NewWriter begins a new, empty file with its header.
func NewWriter(f File, c Config) (*Writer, error) {
	w, err := Resume(f, c, 0)
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(w.header()); err != nil {
		return nil, fmt.Errorf("write wav header: %w", err)
	}
	return w, nil
}

// Resume goes on writing a file that [NewWriter] began with the same Config and
// that holds this many samples; f appends behind them.
func Resume(f File, c Config, samples int64) (*Writer, error) {
	if c.Channels != 1 && c.Channels != 2 {
		return nil, fmt.Errorf("wav: %d channels instead of 1 or 2", c.Channels)
	}
	if c.Encoding < PCM16 || c.Encoding > Float32 {
		return nil, fmt.Errorf("%w: encoding %d", ErrFormat, c.Encoding)
	}
	frame := c.Channels * c.Encoding.bytes()
	return &Writer{
		f:    f,
		c:    c,
		data: samples * int64(frame),
		buf:  make([]byte, 0, gather),
		head: make([]byte, 0, HeaderSize(c.Encoding)),
	}, nil
}

// WriteFrame implements pcm.Writer. Integer encodings round to the nearest
// step, clip outside of [-1, 1) and take NaN for silence.
//
//go:norace
func (w *Writer) WriteFrame(f *pcm.Frame) error {
	if w.err != nil {
		return w.err
	}
	size := pcm.FrameSize * w.c.Channels * w.c.Encoding.bytes()
	if len(w.buf)+size > cap(w.buf) {
		if w.spill(); w.err != nil {
			return w.err
		}
	}
	b := w.buf[len(w.buf) : len(w.buf)+size]
	w.buf = w.buf[:len(w.buf)+size]
	step := w.c.Encoding.bytes()
	if w.c.Channels == 1 {
		for i := range f {
			w.c.Encoding.put(b[i*step:], (f[i][0]+f[i][1])/2)
		}
		return nil
	}
	for i := range f {
		w.c.Encoding.put(b[2*i*step:], f[i][0])
		w.c.Encoding.put(b[(2*i+1)*step:], f[i][1])
	}
	return nil
}

// put stores one value.
//
//go:norace
func (e Encoding) put(b []byte, v float32) {
	switch e {
	case PCM16:
		binary.LittleEndian.PutUint16(b, uint16(Int16(v)))
	case PCM24:
		n := int24(v)
		b[0], b[1], b[2] = byte(n), byte(n>>8), byte(n>>16)
	default:
		binary.LittleEndian.PutUint32(b, math.Float32bits(v))
	}
}

// Int16 is the 16-bit sample of v: nearest step, clipped, NaN is 0. The way
// back is division by 32768.
func Int16(v float32) int16 {
	switch v *= 1 << 15; {
	case v >= math.MaxInt16:
		return math.MaxInt16
	case v > math.MinInt16:
		return int16(int32(v+(1<<15)+0.5) - 1<<15) // no branch on the sign, which noise makes dear
	case v <= math.MinInt16:
		return math.MinInt16
	default:
		return 0
	}
}

// int24 is the 24-bit sample of v, by the rules of Int16.
func int24(v float32) int32 {
	const full = 1 << 23
	switch x := float64(v) * full; {
	case x >= full-1:
		return full - 1
	case x <= -full:
		return -full
	case x < 0:
		return int32(x - 0.5)
	case x >= 0:
		return int32(x + 0.5)
	default:
		return 0
	}
}

// Flush writes what was gathered and makes the header tell the truth about it.
func (w *Writer) Flush() error {
	if w.err != nil {
		return w.err
	}
	// Samples first: a header that promises more than there is would be worse
	// than one that promises less.
	if w.spill(); w.err != nil {
		return w.err
	}
	if _, err := w.f.WriteAt(w.header(), 0); err != nil {
		w.err = fmt.Errorf("write wav header: %w", err)
	}
	return w.err
}

// Close flushes; the file itself stays open.
func (w *Writer) Close() error { return w.Flush() }

// Samples is the number of samples written, those not flushed yet included.
func (w *Writer) Samples() int64 {
	return (w.data + int64(len(w.buf))) / int64(w.c.Channels*w.c.Encoding.bytes())
}

// spill appends the gathered samples.
func (w *Writer) spill() {
	n, err := w.f.Write(w.buf)
	if err == nil && n < len(w.buf) {
		err = io.ErrShortWrite
	}
	if err != nil {
		w.err = fmt.Errorf("write wav samples: %w", err)
		return
	}
	w.data += int64(n)
	w.buf = w.buf[:0]
}

func (w *Writer) header() []byte {
	w.head = appendHeader(w.head[:0], w.c.Channels, w.c.Encoding, pcm.Rate, w.data)
	return w.head
}
