// Package encoder turns frames into files: a row of segments that play
// without a seam.
//
// It stands behind the mixer: [Segmenter] is a pcm.Writer that encodes what a
// clock pushes (Ogg Opus, WAV, FLAC), [Originals] writes the received Opus
// packets of one stream through, placed by their time. Both ask a [Store] for
// files; package capture binds it to the spool. Nothing here knows rooms,
// clocks or buckets.
package encoder

import "io"

// File is what a segment is written into. Ogg and FLAC only append; WAV also
// writes its sizes into the header, so that the file is whole at every flush.
type File interface {
	io.Writer
	io.WriterAt
}

// Segment is one file of an output.
type Segment struct {
	Index   int   // 1, 2, 3 … within the output
	Start   int64 // first sample, counted from the start of the capture
	Samples int64 // length; 0 until it is known
}

// Store makes and keeps the files of one output. Calls come from the
// goroutine that writes the output; they may block on the disk.
type Store interface {
	// Create opens the file of a segment whose Samples are not known yet.
	Create(s Segment) (File, error)
	// Commit keeps a finished file for ever; s is complete.
	Commit(f File, s Segment) error
}
