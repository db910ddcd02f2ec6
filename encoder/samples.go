package encoder

import (
	"errors"
	"fmt"
	"io"

	"mixdown/encoder/flac"
	"mixdown/encoder/ogg"
	"mixdown/encoder/wav"
)

// Samples decodes a segment file of a format to its end and counts the
// samples a player hears. Whether that is all of it, only the manifest knows:
// an ogg decoder steps over damage.
func Samples(format string, r io.Reader) (int64, error) {
	switch format {
	case "ogg":
		return count(ogg.NewDecoder(r).Read)
	case "wav":
		w, err := wav.NewReader(r)
		if err != nil {
			return 0, err
		}
		return count(w.Read)
	case "flac":
		f, err := flac.NewReader(r)
		if err != nil {
			return 0, err
		}
		return count(f.Read)
	default:
		return 0, fmt.Errorf("encoder: unknown format %q", format)
	}
}

func count(read func([][2]float32) (int, error)) (total int64, err error) {
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
