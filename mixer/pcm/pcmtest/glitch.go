package pcmtest

import (
	"fmt"
	"math"

	"mixdown/mixer/pcm"
)

// The steps from which on a change of a steady tone within 5 ms is a glitch.
// After Opus at 64 kbit/s an intact tone stays below a third of them, and one
// missing sample at 997 Hz exceeds them.
const (
	MaxPhaseStep = 2.5 // degrees
	MaxLevelStep = 0.7 // dB
)

// Glitch is a break in a tone.
type Glitch struct {
	At    int64   // sample in the middle of the two windows that differ
	Phase float64 // step in degrees, -180 to 180
	Level float64 // step in dB
}

// String is for messages of failed tests.
func (g Glitch) String() string {
	return fmt.Sprintf("at %.1f ms: %+.2f°, %+.2f dB", float64(g.At)*1000/pcm.Rate, g.Phase, g.Level)
}

// Glitches is where a tone that should be steady in all of frames is not: a
// phase step over [MaxPhaseStep] or a level step over [MaxLevelStep].
func Glitches(frames []pcm.Frame, hz float64) []Glitch {
	var found []Glitch
	for _, g := range Steps(frames, hz) {
		if math.Abs(g.Phase) > MaxPhaseStep || math.Abs(g.Level) > MaxLevelStep {
			found = append(found, g)
		}
	}
	return found
}

// Steps is how the phase and the level of a tone change from one window of
// 10 ms (Hann) to the next, 5 ms later, all through frames. The phase is less
// what the frequency explains.
//
//go:norace
func Steps(frames []pcm.Frame, hz float64) []Glitch {
	const length, hop = pcm.Rate / 100, pcm.Rate / 200
	row := mono(frames)
	var steps []Glitch
	var phase, level float64
	for at := 0; at+length <= len(row); at += hop {
		var re, im float64
		for i, x := range row[at : at+length] {
			_, turns := math.Modf(hz * float64(at+i) / pcm.Rate)
			s, c := math.Sincos(2 * math.Pi * turns)
			x *= 0.5 - 0.5*math.Cos(2*math.Pi*(float64(i)+0.5)/length)
			re, im = re+x*c, im-x*s
		}
		p, l := math.Atan2(im, re)*180/math.Pi, db(math.Hypot(re, im)*4/length)
		if at > 0 {
			steps = append(steps, Glitch{At: int64(at + hop/2), Phase: math.Remainder(p-phase, 360), Level: l - level})
		}
		phase, level = p, l
	}
	return steps
}
