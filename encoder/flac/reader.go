package flac

import (
	"fmt"
	"io"

	"github.com/mewkiz/flac"
)

// ReadAll decodes a whole file of 16 bits with one or two channels; mono comes
// on both sides. It is for verification and tests.
func ReadAll(r io.Reader) ([][2]float32, error) {
	s, err := flac.New(r)
	if err != nil {
		return nil, fmt.Errorf("read flac header: %w", err)
	}
	if s.Info.BitsPerSample != 16 || s.Info.NChannels > 2 {
		return nil, fmt.Errorf("flac: %d channels of %d bits instead of 1 or 2 of 16", s.Info.NChannels, s.Info.BitsPerSample)
	}
	var out [][2]float32
	for {
		f, err := s.ParseNext()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return out, fmt.Errorf("read flac frame at sample %d: %w", len(out), err)
		}
		left, right := f.Subframes[0].Samples, f.Subframes[len(f.Subframes)-1].Samples
		for i := range left {
			out = append(out, [2]float32{float32(left[i]) / 32768, float32(right[i]) / 32768})
		}
	}
}
