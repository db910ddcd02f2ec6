// Package wav writes and reads PCM files whose header is true while they grow.
//
// It is one of the formats of package encoder. A [Writer] reserves room for the
// 64-bit sizes of RF64 (EBU Tech 3306) and patches the header at every flush,
// so that a file cut off by a crash is whole up to its last flush, and a file
// may cross 4 GiB. [Repair] takes the sizes of a cut-off file from its length.
// [Reader] reads what Writer writes, and other plain PCM files. Samples are at
// 48 kHz; nothing is resampled.
package wav

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Encoding is how a sample is stored.
type Encoding int

// The sample encodings, little-endian.
const (
	PCM16 Encoding = iota
	PCM24
	Float32
)

// bytes is the size of one value.
func (e Encoding) bytes() int { return 2 + int(e) }

// ErrFormat tells that a file is no WAV file of a kind this package knows.
var ErrFormat = errors.New("wav: unknown format")

// HeaderSize is where the samples begin in a file of this encoding: behind the
// RIFF head, the room for ds64, fmt, for Float32 the chunk fact, and the head of
// data.
func HeaderSize(e Encoding) int64 {
	if e == Float32 {
		return 12 + 8 + ds64Size + 8 + fmtSize + 2 + 8 + 4 + 8
	}
	return 12 + 8 + ds64Size + 8 + fmtSize + 8
}

const (
	ds64Size = 28
	fmtSize  = 16

	tagPCM        = 1
	tagFloat      = 3
	tagExtensible = 0xfffe

	// maxRIFF is the largest size a 32-bit field tells; all ones means "see
	// ds64".
	maxRIFF = 0xfffffffe
)

// appendHeader makes the header of a file with this many bytes of samples.
func appendHeader(b []byte, channels int, e Encoding, rate uint32, data int64) []byte {
	le := binary.LittleEndian
	frame := channels * e.bytes()
	riff := uint64(HeaderSize(e) - 8 + data)
	large := riff > maxRIFF
	if large {
		b = append(b, "RF64\xff\xff\xff\xffWAVEds64"...)
	} else {
		b = append(b, "RIFF"...)
		b = le.AppendUint32(b, uint32(riff))
		b = append(b, "WAVEJUNK"...)
	}
	b = le.AppendUint32(b, ds64Size)
	var sizes [ds64Size]byte
	if large {
		le.PutUint64(sizes[0:], riff)
		le.PutUint64(sizes[8:], uint64(data))
		le.PutUint64(sizes[16:], uint64(data)/uint64(frame))
	}
	b = append(b, sizes[:]...)
	b = append(b, "fmt "...)
	tag, size := uint16(tagPCM), uint32(fmtSize)
	if e == Float32 {
		tag, size = tagFloat, fmtSize+2 // what is not PCM tells the length of its extension
	}
	b = le.AppendUint32(b, size)
	b = le.AppendUint16(b, tag)
	b = le.AppendUint16(b, uint16(channels))
	b = le.AppendUint32(b, rate)
	b = le.AppendUint32(b, rate*uint32(frame))
	b = le.AppendUint16(b, uint16(frame))
	b = le.AppendUint16(b, uint16(8*e.bytes()))
	if e == Float32 {
		b = append(b, "\x00\x00fact\x04\x00\x00\x00"...)
		b = le.AppendUint32(b, uint32(min(data/int64(frame), math.MaxUint32)))
	}
	b = append(b, "data"...)
	if large {
		return append(b, 0xff, 0xff, 0xff, 0xff)
	}
	return le.AppendUint32(b, uint32(data))
}

// format is what a header says about the samples.
type format struct {
	channels int
	encoding Encoding
	rate     uint32
}

func (f format) frame() int64 { return int64(f.channels * f.encoding.bytes()) }

// parseFormat reads the payload of a fmt chunk.
func parseFormat(b []byte) (format, error) {
	le := binary.LittleEndian
	if len(b) < fmtSize {
		return format{}, fmt.Errorf("%w: fmt chunk of %d bytes", ErrFormat, len(b))
	}
	tag, bits := le.Uint16(b), le.Uint16(b[14:])
	if tag == tagExtensible && len(b) >= 26 {
		tag = le.Uint16(b[24:]) // first two bytes of the subformat
	}
	f := format{channels: int(le.Uint16(b[2:])), rate: le.Uint32(b[4:])}
	switch {
	case tag == tagPCM && bits == 16:
		f.encoding = PCM16
	case tag == tagPCM && bits == 24:
		f.encoding = PCM24
	case tag == tagFloat && bits == 32:
		f.encoding = Float32
	default:
		return format{}, fmt.Errorf("%w: tag %d with %d bits", ErrFormat, tag, bits)
	}
	if f.channels < 1 || int64(le.Uint16(b[12:])) != f.frame() {
		return format{}, fmt.Errorf("%w: %d channels in blocks of %d bytes", ErrFormat, f.channels, le.Uint16(b[12:]))
	}
	return f, nil
}
