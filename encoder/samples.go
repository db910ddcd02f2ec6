package encoder

import (
	"errors"
	"fmt"
	"io"

	"mixdown/encoder/flac"
	"mixdown/encoder/ogg"
	"mixdown/encoder/wav"
)

// Reader decodes a segment file of a format. What it returns fills a slice with
// stereo samples at 48 kHz and answers how many, and io.EOF behind the last one.
func Reader(format string, r io.Reader) (read func([][2]float32) (int, error), err error) {
	switch format {
	case "ogg":
		return ogg.NewDecoder(r).Read, nil
	case "wav":
		w, err := wav.NewReader(r)
		if err != nil {
			return nil, err
		}
		return w.Read, nil
	case "flac":
		f, err := flac.NewReader(r)
		if err != nil {
			return nil, err
		}
		return f.Read, nil
	default:
		return nil, fmt.Errorf("encoder: unknown format %q", format)
	}
}

// Samples decodes a segment file of a format to its end and counts the
// samples a player hears. Whether that is all of it, only the manifest knows:
// an ogg decoder steps over damage.
func Samples(format string, r io.Reader) (total int64, err error) {
	read, err := Reader(format, r)
	if err != nil {
		return 0, err
	}
	var buf [4096][2]float32
	for {
		n, err := read(buf[:])
		total += int64(n)
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}
