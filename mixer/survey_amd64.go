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

//go:noescape
func surveyAVX(f *pcm.Frame, l *look)

//go:noescape
func surveySSE(f *pcm.Frame, l *look)

//go:noescape
func addMonoAVX(row *[pcm.FrameSize]float64, f *pcm.Frame, gain float64)

//go:noescape
func addMonoSSE(row *[pcm.FrameSize]float64, f *pcm.Frame, gain float64)
