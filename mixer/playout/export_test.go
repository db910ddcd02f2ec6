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
