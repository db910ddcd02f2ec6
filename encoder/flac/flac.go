// Package flac writes lossless files of 16 bits at 48 kHz.
//
// It is one of the formats of package encoder, over github.com/mewkiz/flac. A
// block is one frame of 20 ms, so the file is whole at every frame; the number
// of samples and the MD5 sum come into the header at Close, until then it says
// "unknown", which players accept. Compression uses the fixed predictors only.
package flac

import (
	"errors"
	"fmt"
	"io"

	"github.com/mewkiz/flac"
	"github.com/mewkiz/flac/frame"
	"github.com/mewkiz/flac/meta"

	"mixdown/encoder/wav"
	"mixdown/mixer/pcm"
)

// File is what a [Writer] writes into. Write appends, WriteAt patches the
// header at Close.
type File interface {
	io.Writer
	io.WriterAt
}

// Writer writes one file. It gathers frames until Flush or until 64 KiB wait.
// After an error the file is suspect and every call returns that error.
type Writer struct {
	out   output
	enc   *flac.Encoder
	frame frame.Frame
	subs  [2]frame.Subframe
	rice  [2]frame.RiceSubframe
	count int64
	err   error
}

var errClosed = errors.New("flac: file is closed")

// NewWriter begins a file of 1 channel, the mean of left and right, or of 2.
func NewWriter(f File, channels int) (*Writer, error) {
	if channels != 1 && channels != 2 {
		return nil, fmt.Errorf("flac: %d channels instead of 1 or 2", channels)
	}
	w := &Writer{out: output{f: f}}
	enc, err := flac.NewEncoder(&w.out, &meta.StreamInfo{
		BlockSizeMin:  pcm.FrameSize,
		BlockSizeMax:  pcm.FrameSize,
		SampleRate:    pcm.Rate,
		NChannels:     uint8(channels),
		BitsPerSample: 16,
	})
	if err == nil {
		err = w.out.flush()
	}
	if err != nil {
		return nil, fmt.Errorf("write flac header: %w", err)
	}
	enc.EnablePredictionAnalysis(false)
	w.enc = enc
	w.frame.Header = frame.Header{
		HasFixedBlockSize: true,
		BlockSize:         pcm.FrameSize,
		SampleRate:        pcm.Rate,
		Channels:          frame.Channels(channels - 1), // mono, or left and right
		BitsPerSample:     16,
	}
	for i := range channels {
		w.subs[i] = frame.Subframe{Samples: make([]int32, pcm.FrameSize), NSamples: pcm.FrameSize}
		w.frame.Subframes = append(w.frame.Subframes, &w.subs[i])
	}
	return w, nil
}

// WriteFrame implements pcm.Writer. Values round to the nearest of 16 bits as
// in a WAV file.
//
//go:norace
func (w *Writer) WriteFrame(f *pcm.Frame) error {
	if w.err != nil {
		return w.err
	}
	if len(w.frame.Subframes) == 1 {
		for i := range f {
			w.subs[0].Samples[i] = int32(wav.Int16((f[i][0] + f[i][1]) / 2))
		}
	} else {
		for i := range f {
			w.subs[0].Samples[i] = int32(wav.Int16(f[i][0]))
			w.subs[1].Samples[i] = int32(wav.Int16(f[i][1]))
		}
	}
	for i := range w.frame.Subframes {
		predict(&w.subs[i], &w.rice[i])
	}
	if err := w.enc.WriteFrame(&w.frame); err != nil {
		w.err = fmt.Errorf("write flac frame: %w", err)
		return w.err
	}
	w.count += pcm.FrameSize
	return nil
}

// Flush writes what was gathered.
func (w *Writer) Flush() error {
	if w.err != nil {
		return w.err
	}
	if err := w.out.flush(); err != nil {
		w.err = fmt.Errorf("write flac frames: %w", err)
	}
	return w.err
}

// Close flushes and completes the header; the file itself stays open.
func (w *Writer) Close() error {
	if err := w.Flush(); err != nil {
		return err
	}
	if err := w.enc.Close(); err != nil {
		w.err = fmt.Errorf("complete flac header: %w", err)
		return w.err
	}
	if err := w.out.flush(); err != nil {
		w.err = fmt.Errorf("complete flac header: %w", err)
		return w.err
	}
	w.err = errClosed
	return nil
}

// Samples is the number of samples written, those not flushed yet included.
func (w *Writer) Samples() int64 { return w.count }

// output gathers the many small writes of the encoder. A Seek, which the
// encoder does once to complete its header, makes the rest go to that offset.
type output struct {
	f   File
	buf []byte
	at  int64 // where the next flush goes; 0: append
}

const spill = 1 << 16

func (o *output) Write(p []byte) (int, error) {
	o.buf = append(o.buf, p...)
	if len(o.buf) >= spill {
		if err := o.flush(); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// Seek implements io.Seeker for absolute offsets.
func (o *output) Seek(offset int64, whence int) (int64, error) {
	if whence != io.SeekStart {
		return 0, errors.ErrUnsupported
	}
	if err := o.flush(); err != nil {
		return 0, err
	}
	o.at = offset
	return offset, nil
}

func (o *output) flush() (err error) {
	if len(o.buf) == 0 {
		return nil
	}
	n := 0
	if o.at == 0 {
		n, err = o.f.Write(o.buf)
	} else {
		n, err = o.f.WriteAt(o.buf, o.at)
		o.at += int64(n)
	}
	if err == nil && n < len(o.buf) {
		err = io.ErrShortWrite
	}
	o.buf = o.buf[:0]
	return err
}
