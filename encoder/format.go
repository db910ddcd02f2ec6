package encoder

import (
	"fmt"

	"mixdown/encoder/flac"
	"mixdown/encoder/wav"
	"mixdown/mixer/pcm"
)

// Ext is the file name extension of a format, with its dot; ok tells whether
// the format is known. Known are "ogg" (Opus), "wav" (16 bits) and "flac" (16
// bits).
func Ext(format string) (ext string, ok bool) {
	switch format {
	case "ogg", "wav", "flac":
		return "." + format, true
	default:
		return "", false
	}
}

// body is the inside of one segment file while it is written.
type body interface {
	WriteFrame(f *pcm.Frame) error
	Flush() error
	Close() error
}

// newBody begins a file of lossless samples.
func newBody(f File, format string, channels int) (body, error) {
	switch format {
	case "wav":
		return wav.NewWriter(f, wav.Config{Channels: channels})
	case "flac":
		return flac.NewWriter(f, channels)
	default:
		return nil, fmt.Errorf("encoder: unknown format %q", format)
	}
}

// serial numbers the Ogg stream of a segment: neighbours differ, so that
// segments joined end to end are a valid chain, and writing a segment again
// gives the same bytes.
func serial(s Segment) uint32 {
	return uint32(s.Index)*2654435761 ^ uint32(s.Start)*2246822519
}
