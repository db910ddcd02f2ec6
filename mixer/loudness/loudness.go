// Package loudness measures how loud a programme is to an ear, as EBU R128 and
// ITU-R BS.1770-4 define it: momentary, short-term and integrated loudness in
// LUFS, and the true peak in dBTP.
//
// A [Meter] is a pcm.Writer, so it is one more output of a mixer. Package
// mixer uses the parts: [Weighting] to bring speakers to one loudness, and
// [Between] in its limiter. It imports mixer/pcm only.
//
// It promises: figures within 0.1 LU of the standard's test signals and within
// 0.2 LU of ffmpeg's ebur128; a fixed amount of memory, however long the
// programme; no allocation while measuring.
//
// It knows two channels, both of weight 1, or their mix down to one. It does
// not change sound.
package loudness

import (
	"math"

	"mixdown/mixer/pcm"
)

const (
	hop       = 5   // frames from one block to the next: 100 ms
	momentary = 20  // frames in a block: 400 ms
	shortTerm = 150 // frames in 3 s
	silence   = -70 // LUFS; what is below counts nowhere
	relative  = -10 // LU; blocks so much below the mean do not count
	loudest   = 10  // LUFS; louder blocks share the last bin
	binsPerLU = 20
	bins      = (loudest - silence) * binsPerLU
)

// Meter measures one programme. It is used by one goroutine at a time.
type Meter struct {
	channels  int
	weighting Weighting
	frames    [shortTerm]float64 // energy of the last frames
	count     int64              // frames so far
	blocks    [bins]bin          // by loudness, from silence up
	peak      TruePeak
}

// bin collects blocks of nearly the same loudness. Their energy is kept as it
// is: only whether they pass the relative gate is decided by the bin.
type bin struct {
	blocks int64
	energy float64
}

// NewMeter makes a meter of one or two channels. With one, it measures the
// mean of left and right, as a mono file of it would be measured: a voice that
// is the same on both sides is 3 LU quieter there.
func NewMeter(channels int) *Meter { return &Meter{channels: channels} }

// WriteFrame implements pcm.Writer; it never fails.
func (m *Meter) WriteFrame(f *pcm.Frame) error {
	energy := 0.0
	if m.channels == 1 {
		energy = m.weighting.energyOfOne(f)
		m.peak.addOne(f)
	} else {
		energy = m.weighting.Energy(f)
		m.peak.Add(f)
	}
	m.frames[m.count%shortTerm] = energy
	m.count++
	if m.count%hop == 0 && m.count >= momentary {
		m.block(m.mean(momentary))
	}
	return nil
}

// block enters one block of 400 ms.
func (m *Meter) block(energy float64) {
	lufs := LUFS(energy)
	if lufs < silence {
		return
	}
	b := &m.blocks[min(int((lufs-silence)*binsPerLU), bins-1)]
	b.blocks++
	b.energy += energy
}

// mean is the energy of the last n frames; what was before the first counts
// as silence.
func (m *Meter) mean(n int64) float64 {
	var sum float64
	for i := max(0, m.count-n); i < m.count; i++ {
		sum += m.frames[i%shortTerm]
	}
	return sum / float64(n)
}

// Momentary is the loudness of the last 400 ms, in LUFS, at least pcm.MinDB.
func (m *Meter) Momentary() float64 { return LUFS(m.mean(momentary)) }

// ShortTerm is the loudness of the last 3 s, in LUFS, at least pcm.MinDB.
func (m *Meter) ShortTerm() float64 { return LUFS(m.mean(shortTerm)) }

// Integrated is the loudness of everything so far, in LUFS: of those blocks of
// 400 ms, one every 100 ms, that are above -70 LUFS, and then of those that
// are not more than 10 LU below the mean of the former. It is pcm.MinDB while
// there is none.
func (m *Meter) Integrated() float64 {
	gate := m.over(0)
	return LUFS(m.over(gate * math.Pow(10, relative/10)))
}

// over is the mean energy of the blocks at or above an energy.
func (m *Meter) over(gate float64) float64 {
	var blocks int64
	var energy float64
	for i := range m.blocks {
		if b := &m.blocks[i]; b.blocks > 0 && b.energy >= gate*float64(b.blocks) {
			blocks += b.blocks
			energy += b.energy
		}
	}
	if blocks == 0 {
		return 0
	}
	return energy / float64(blocks)
}

// TruePeak is the largest true peak so far, in dBTP, at least pcm.MinDB.
func (m *Meter) TruePeak() float64 { return m.peak.DB() }
