package mixer

import "mixdown/mixer/pcm"

// survey is surveyPlain.
//
//go:noescape
func survey(f *pcm.Frame, l *look)

// addMono is addPlain.
//
//go:noescape
func addMono(row *[pcm.FrameSize]float64, f *pcm.Frame, gain float64)
