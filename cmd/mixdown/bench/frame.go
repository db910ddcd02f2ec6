package main

import (
	"fmt"
	"testing"
	"time"

	"mixdown/mixer"
	"mixdown/mixer/pcm"
	"mixdown/mixer/playout"
)

// mixed is how many inputs are added up.
const mixed = 50

// allocations is how many allocations a frame of a mix of 50 streams takes
// with everything before it, the deep and the live playout, in steady state.
func allocations() (float64, error) {
	speakers, err := newSpeakers(mixed)
	if err != nil {
		return 0, err
	}
	deep, live := mixer.New(mixer.Config{Aligned: true}), mixer.New(mixer.Config{})
	deep.AddOutput(nowhere{})
	live.AddOutput(nowhere{})
	var push []func(frame int64)
	for i, s := range speakers {
		d, l := playout.NewDeep(playout.DeepConfig{}), playout.NewLive(playout.LiveConfig{})
		name := fmt.Sprint(i)
		deep.AddInput(name, d)
		live.AddInput(name, l)
		push = append(push, func(frame int64) {
			p := playout.Packet{
				At: time.Duration(frame) * pcm.FrameTime, SSRC: uint32(i), Seq: uint16(frame),
				Timestamp: uint32(frame * pcm.FrameSize), Level: 30, Payload: s.packets[s.next],
			}
			s.next = (s.next + 1) % len(s.packets)
			d.Push(&p)
			l.Push(&p)
		})
	}
	frame := int64(0)
	step := func() {
		for _, p := range push {
			p(frame)
		}
		live.Mix()
		if frame >= 250 { // 5 s late
			deep.Mix()
		}
		frame++
	}
	for range 700 {
		step()
	}
	return testing.AllocsPerRun(100, step), nil
}

// nowhere drops frames.
type nowhere struct{}

// WriteFrame implements pcm.Writer.
func (nowhere) WriteFrame(*pcm.Frame) error { return nil }

// constant reads the same frame all the time. The mixer gives it the same room
// each time, which it fills once, for reading is not what is measured.
type constant struct {
	frame pcm.Frame
	read  bool
}

// ReadFrame implements pcm.Reader.
func (s *constant) ReadFrame(f *pcm.Frame) error {
	if !s.read {
		*f, s.read = s.frame, true
	}
	return nil
}

// mixing is what it takes to add up 50 inputs, and to limit what comes of it,
// in µs for a second of one of them.
func mixing() float64 {
	m := mixer.New(mixer.Config{Aligned: true})
	m.AddOutput(nowhere{})
	for i := range mixed {
		in := &constant{}
		for k := range in.frame {
			x := float32((k*7919+i*104729)%2000-1000) / 20000
			in.frame[k] = [2]float32{x, x}
		}
		m.AddInput(fmt.Sprint(i), in)
	}
	var all []float64
	for range 5 {
		before := cpu()
		for range 200 {
			m.Mix()
		}
		all = append(all, float64((cpu()-before).Microseconds())/4/mixed)
	}
	return median(all)
}
