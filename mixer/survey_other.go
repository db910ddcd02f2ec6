//go:build !amd64

package mixer

import "mixdown/mixer/pcm"

func survey(f *pcm.Frame, l *look) { surveyPlain(f, l) }

func addMono(row *[pcm.FrameSize]float64, f *pcm.Frame, gain float64) { addPlain(row, f, gain) }

func bend(samples [][2]float32) bent { return bendPlain(samples) }

func round(f *pcm.Frame, mono *[pcm.FrameSize]float64) { roundPlain(f, mono) }
