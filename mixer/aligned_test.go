package mixer_test

import (
	"testing"

	"mixdown/mixer"
	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
)

// Sample n of an aligned output is sample n of the input, to the very last.
func TestAligned(t *testing.T) {
	for _, frames := range []int{1, 2, 30} {
		m := mixer.New(mixer.Config{Aligned: true})
		var out pcmtest.Sink
		m.AddOutput(&out)
		m.AddInput("alice", pcmtest.Noise(1, 0.4))
		mix(m, frames)
		if len(out.Frames) != frames-1 {
			t.Errorf("%d frames out before Drain, %d in", len(out.Frames), frames)
		}
		m.Drain()
		m.Drain()
		equal(t, row(out.Frames), row(pcmtest.Collect(pcmtest.Noise(1, 0.4), frames)))
	}
}

// Drain writes the same as if the inputs had gone on in silence, and mixing
// may go on.
func TestDrainAndGoOn(t *testing.T) {
	m := mixer.New(mixer.Config{Aligned: true})
	var out pcmtest.Sink
	m.AddOutput(&out)
	m.Drain()
	m.AddInput("alice", pcmtest.Noise(1, 0.4))
	mix(m, 7)
	m.Drain()
	mix(m, 5)
	m.Drain()
	equal(t, row(out.Frames), row(pcmtest.Collect(pcmtest.Noise(1, 0.4), 12)))
}

// An output that comes later gets the frames from then on, one that goes
// earlier gets the last one whole, and the others notice neither.
func TestAlignedOutputsComeAndGo(t *testing.T) {
	m := mixer.New(mixer.Config{Aligned: true})
	var always, early, late, minus pcmtest.Sink
	m.AddInput("alice", pcmtest.Noise(1, 0.4))
	m.AddOutput(&always)
	removeEarly := m.AddOutput(&early)
	mix(m, 5)
	m.AddOutput(&late)
	m.AddOutput(&minus, mixer.Except("bob"))
	mix(m, 5)
	removeEarly()
	removeEarly()
	removeUnused := m.AddOutput(&pcmtest.Sink{})
	removeUnused()
	mix(m, 5)
	m.Drain()
	want := row(pcmtest.Collect(pcmtest.Noise(1, 0.4), 15))
	equal(t, row(always.Frames), want)
	equal(t, row(early.Frames), want[:10*pcm.FrameSize])
	equal(t, row(late.Frames), want[5*pcm.FrameSize:])
	equal(t, row(minus.Frames), want[5*pcm.FrameSize:])
}

// The live mix has nothing to drain.
func TestDrainLive(t *testing.T) {
	m := mixer.New(mixer.Config{})
	var out pcmtest.Sink
	m.AddOutput(&out)
	m.AddInput("alice", pcmtest.Noise(1, 0.4))
	mix(m, 3)
	m.Drain()
	mix(m, 3)
	want := row(pcmtest.Collect(pcmtest.Noise(1, 0.4), 6))
	equal(t, row(out.Frames)[mixer.Latency:], want[:len(want)-mixer.Latency])
}

// A loud stretch, limited, is the same in both modes but for the delay.
func TestAlignedIsLive(t *testing.T) {
	run := func(aligned bool) [][2]float32 {
		m := mixer.New(mixer.Config{Aligned: aligned})
		var out pcmtest.Sink
		m.AddOutput(&out)
		m.AddInput("alice", pcmtest.Noise(1, 2))
		mix(m, 20)
		m.Drain()
		return row(out.Frames)
	}
	live, aligned := run(false), run(true)
	equal(t, aligned[:len(aligned)-mixer.Latency], live[mixer.Latency:])
}
