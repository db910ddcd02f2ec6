package mixer

import (
	"math"

	"mixdown/mixer/loudness"
	"mixdown/mixer/pcm"
)

const (
	levelRange = 15.0       // dB, up and down
	levelStep  = 3.0 / 50   // dB a frame at most
	levelPull  = 0.04       // of what is missing, each frame
	levelRest  = 0.3        // dB; less is left alone
	levelFloor = -50.0      // LUFS; what is quieter is not the speaker
	levelGate  = 0.1        // 10 LU below the mean, as in EBU R128
	window     = 20         // frames that a block is measured over
	hop        = window / 2 // frames from one block to the next
	blocks     = 50         // 10 s of speech
	enough     = 2          // blocks before anything moves
)

// leveller brings one speaker slowly to the target loudness. It measures like
// EBU R128, but only while there is speech, over the last 10 s of it, and
// moves only in frames that have a voice in them: pauses and what is heard in
// them keep their level, and a pause of an hour changes nothing.
//
// Its fields are those of a checkpoint.
type leveller struct {
	Filter loudness.Weighting
	Recent [window]float64 // energies of the last frames
	Run    int             // frames of this talk spurt
	Speech [blocks]float64 // energies of the last blocks
	Count  int             // blocks so far
	Gain   float64         // dB

	from, to float32 // Gain at the start and at the end of the frame
}

// newLeveller goes on from a checkpoint, or starts.
func newLeveller(saved *leveller) *leveller {
	l := &leveller{}
	if saved != nil {
		*l = *saved
		l.Run, l.Count = min(max(l.Run, 0), 1<<30), min(max(l.Count, 0), 2*blocks-1)
		l.Gain = min(max(l.Gain, -levelRange), levelRange)
	}
	l.to = factor(l.Gain)
	l.from = l.to
	return l
}

func factor(db float64) float32 {
	if db == 0 {
		return 1
	}
	return float32(math.Pow(10, db/20))
}

// hear takes the next frame. talking says that it belongs to a talk spurt,
// voiced that it has a voice in it.
func (l *leveller) hear(f *pcm.Frame, talking, voiced bool, target float64) {
	l.from = l.to
	if !talking {
		// The filter starts anew with the next talk spurt: it rings for less
		// than a window, and those who listen cost nothing.
		l.Run, l.Filter = 0, loudness.Weighting{}
		return
	}
	l.Recent[l.Run%window] = l.Filter.Energy(f)
	l.Run++
	if l.Run >= window && l.Run%hop == 0 {
		l.block()
	}
	if voiced && l.Count >= enough {
		l.move(target)
	}
}

// block enters the mean of the last window frames.
func (l *leveller) block() {
	var energy float64
	for _, e := range l.Recent {
		energy += e
	}
	energy /= window
	if loudness.LUFS(energy) < levelFloor {
		return
	}
	l.Speech[l.Count%blocks] = energy
	l.Count++
	if l.Count == 2*blocks {
		l.Count = blocks // the same place in the ring
	}
}

// loudness is that of the last 10 s of speech, in LUFS, gated.
func (l *leveller) loudness() float64 {
	all := l.Speech[:min(l.Count, blocks)]
	var mean, gated, n float64
	for _, e := range all {
		mean += e
	}
	mean /= float64(len(all))
	for _, e := range all {
		if e >= mean*levelGate {
			gated += e
			n++
		}
	}
	return loudness.LUFS(gated / n)
}

// move brings the gain nearer to what the target asks for.
func (l *leveller) move(target float64) {
	missing := min(max(target-l.loudness(), -levelRange), levelRange) - l.Gain
	if math.Abs(missing) < levelRest {
		return
	}
	l.Gain += min(max(missing*levelPull, -levelStep), levelStep)
	l.to = factor(l.Gain)
}
