package playout

// Mapping is a point of the map from media time to positions.
type Mapping struct{ Media, Pos int64 }

// Mapped is where the audio ends that has been rendered so far.
func (d *Deep) Mapped() (Mapping, bool) {
	if !d.spurt {
		return Mapping{}, false
	}
	return Mapping{d.media, d.position(d.media)}, true
}

// Played is the media time up to which packets have been played.
func (d *Deep) Played() int64 { return d.media - 4e9 }

// Copy is a block of redundancy.
type Copy struct {
	Offset  uint32
	Payload []byte
}

// SplitRed takes a payload of RFC 2198 apart.
func SplitRed(payload []byte) (primary []byte, copies []Copy, ok bool) {
	var r redundancy
	if !r.split(payload) {
		return nil, nil, false
	}
	for _, b := range r.copies[:r.n] {
		copies = append(copies, Copy{b.offset, b.payload})
	}
	return r.primary, copies, true
}
