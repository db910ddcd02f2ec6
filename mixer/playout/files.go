package playout

import "mixdown/mixer/pcm"

// files gives the packets whole positions for the file of originals, where
// they cannot be resampled: they follow each other without a seam while the
// error is small, and where it is not a hole is left or a packet left out, in
// silence if there is any in time.
type files struct {
	end   int64 // of the packet before
	media int64 // its media time at its end
	line  *timeline
	begun bool
	cut   int64
}

// loud is the error from which on sound is cut or torn apart, not only
// silence.
const loud = pcm.FrameSize

// put decides where a packet of n samples goes whose audio is rendered at pos,
// and whether it goes anywhere.
func (f *files) put(line *timeline, p *entry, pos int64, n int) (int64, bool) {
	off := pos - f.end // a hole if positive, an overlap if negative
	seam := f.begun && f.line == line && f.media == p.media
	faint := len(p.payload) <= 10 || p.level >= 60 && p.level != NoLevel
	f.media = p.media + int64(n)
	// A packet is left out when it is half over, so the error swings by half a
	// packet to either side; a hole must not undo that.
	cut, hole := max(n/2, loud), max(n/2+n/16, loud)
	if faint {
		cut, hole = n/2, n/2+n/16
	}
	switch {
	case !f.begun || off == 0:
	case off > 0:
		if seam && off < int64(hole) {
			pos = f.end
		}
	case -off >= int64(cut):
		f.cut++
		return 0, false
	default:
		pos = f.end
	}
	f.begun, f.line, f.end = true, line, pos+int64(n)
	return pos, true
}
