package capture

import (
	"math"
	"sync/atomic"

	"mixdown/mixer"
	"mixdown/mixer/pcm"
)

// ToneSpec is the tone of a pause: one beep at the beginning of each period.
type ToneSpec struct {
	Hz       float64 `json:"hz,omitempty" default:"440" minimum:"0"`
	LevelDB  float64 `json:"levelDb,omitempty" default:"-30" maximum:"0" doc:"Of its peaks, in dBFS."`
	EveryMS  int     `json:"everyMs,omitempty" default:"2000" minimum:"0" doc:"Length of the period."`
	LengthMS int     `json:"lengthMs,omitempty" default:"200" minimum:"0" doc:"How long it sounds in each period: half of it at most."`
}

const toneEdge = pcm.Rate / 100 // in which a beep comes and goes

// at is the tone at sample n.
func (t ToneSpec) at(n int64) float32 {
	const ms = pcm.Rate / 1000
	at, length := n%(int64(t.EveryMS)*ms), int64(t.LengthMS)*ms
	if at >= length {
		return 0
	}
	edge := min(float64(min(at, length-at))/toneEdge, 1)
	return float32(math.Pow(10, t.LevelDB/20) * (1 - math.Cos(math.Pi*edge)) / 2 * math.Sin(2*math.Pi*t.Hz/pcm.Rate*float64(at)))
}

// toneInput names the tone among the inputs of a mix; no stream is called so.
const toneInput = "\x00tone"

// toneReader is the tone as an input of a mixer.
type toneReader struct {
	spec ToneSpec
	pos  int64
}

// ReadFrame implements pcm.Reader.
//
//go:norace
func (t *toneReader) ReadFrame(f *pcm.Frame) error {
	for i := range f {
		s := t.spec.at(t.pos + int64(i))
		f[i] = [2]float32{s, s}
	}
	t.pos += pcm.FrameSize
	return nil
}

// AudioLevel implements mixer.AudioLeveler: nobody speaks.
func (t *toneReader) AudioLevel() uint8 { return 127 }

// beep brings the tone into a mix, or takes it out. Frame is the next one.
func (s *settings) beep(m *mixer.Mixer, before *settings, frame int64) {
	was, is := before != nil && before.toned(), s.toned()
	switch {
	case is && !was:
		m.AddInput(toneInput, &toneReader{spec: s.Tone, pos: frame * pcm.FrameSize})
	case was && !is:
		m.RemoveInput(toneInput)
	}
}

// cover replaces what an output hears while it is paused. Around a pause the
// sound fades, over the frame before it and the frame after it.
//
//go:norace
func cover(f *pcm.Frame, out *pcm.Frame, before, now, after PauseMode, tone ToneSpec, pos int64) *pcm.Frame {
	if before == "" && now == "" && after == "" {
		return f
	}
	gain := func(m PauseMode) float32 {
		if m == "" {
			return 1
		}
		return 0
	}
	from, to := min(gain(before), gain(now)), min(gain(now), gain(after))
	for i := range f {
		g := from + (to-from)*float32(i)/pcm.FrameSize
		out[i] = [2]float32{f[i][0] * g, f[i][1] * g}
		if now == PauseTone {
			s := tone.at(pos + int64(i))
			if before != PauseTone {
				s *= float32(i) / pcm.FrameSize
			}
			if after != PauseTone {
				s *= 1 - float32(i)/pcm.FrameSize
			}
			out[i][0] += s
			out[i][1] += s
		}
	}
	return out
}

// veil stands before a live output that can be paused. A live stream cannot
// leave time out: skip is silence.
type veil struct {
	to       pcm.Writer
	output   string
	settings *atomic.Pointer[settings]
	before   PauseMode // of the last frame but one
	now      PauseMode // of the last frame: one frame is what a fade takes
	pos      int64
	frame    pcm.Frame
}

// WriteFrame implements pcm.Writer.
func (v *veil) WriteFrame(f *pcm.Frame) error {
	s := v.settings.Load()
	after := PauseMode("")
	if p := s.pause(Scope{Output: v.output}); p != nil {
		after = p.Mode
	}
	f = cover(f, &v.frame, v.before, v.now, after, s.Tone, v.pos)
	v.before, v.now = v.now, after
	v.pos += pcm.FrameSize
	return v.to.WriteFrame(f)
}
