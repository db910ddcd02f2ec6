package flac

import (
	"errors"
	"fmt"
	"io"

	"github.com/mewkiz/flac"
	"github.com/mewkiz/flac/frame"
)

// Reader decodes a file of 16 bits with one or two channels, block by block.
type Reader struct {
	stream *flac.Stream
	frame  *frame.Frame // that is being read
	next   int          // its next sample
	read   int64
}

// NewReader reads the header of a file.
func NewReader(r io.Reader) (*Reader, error) {
	s, err := flac.New(r)
	if err != nil {
		return nil, fmt.Errorf("read flac header: %w", err)
	}
	if s.Info.BitsPerSample != 16 || s.Info.NChannels > 2 {
		return nil, fmt.Errorf("flac: %d channels of %d bits instead of 1 or 2 of 16", s.Info.NChannels, s.Info.BitsPerSample)
	}
	return &Reader{stream: s}, nil
}

// Read fills out with stereo samples; mono comes on both sides. It returns
// fewer than len(out) at the end of a block, and io.EOF with 0 behind the last
// sample.
//
//go:norace
func (r *Reader) Read(out [][2]float32) (int, error) {
	for r.frame == nil || r.next == len(r.frame.Subframes[0].Samples) {
		f, err := r.stream.ParseNext()
		if errors.Is(err, io.EOF) {
			return 0, io.EOF
		}
		if err != nil {
			return 0, fmt.Errorf("read flac frame at sample %d: %w", r.read, err)
		}
		r.frame, r.next = f, 0
	}
	left, right := r.frame.Subframes[0].Samples, r.frame.Subframes[len(r.frame.Subframes)-1].Samples
	n := min(len(out), len(left)-r.next)
	for i := range out[:n] {
		out[i] = [2]float32{float32(left[r.next+i]) / 32768, float32(right[r.next+i]) / 32768}
	}
	r.next += n
	r.read += int64(n)
	return n, nil
}
