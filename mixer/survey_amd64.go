package mixer

import (
	"golang.org/x/sys/cpu"

	"mixdown/mixer/pcm"
)

var avx = cpu.X86.HasAVX

// survey is surveyPlain.
func survey(f *pcm.Frame, l *look) {
	if avx {
		surveyAVX(f, l)
	} else {
		surveySSE(f, l)
	}
}

// addMono is addPlain.
func addMono(row *[pcm.FrameSize]float64, f *pcm.Frame, gain float64) {
	if avx {
		addMonoAVX(row, f, gain)
	} else {
		addMonoSSE(row, f, gain)
	}
}

// bend is bendPlain.
func bend(samples [][2]float32) (s bent) {
	if !avx {
		return bendPlain(samples)
	}
	bendAVX(&samples[0], len(samples), &s)
	return s
}

// round is roundPlain.
func round(f *pcm.Frame, mono *[pcm.FrameSize]float64) {
	if avx {
		roundAVX(f, mono)
	} else {
		roundPlain(f, mono)
	}
}

//go:noescape
func bendAVX(samples *[2]float32, n int, b *bent)

//go:noescape
func roundAVX(f *pcm.Frame, mono *[pcm.FrameSize]float64)

//go:noescape
func surveyAVX(f *pcm.Frame, l *look)

//go:noescape
func surveySSE(f *pcm.Frame, l *look)

//go:noescape
func addMonoAVX(row *[pcm.FrameSize]float64, f *pcm.Frame, gain float64)

//go:noescape
func addMonoSSE(row *[pcm.FrameSize]float64, f *pcm.Frame, gain float64)
