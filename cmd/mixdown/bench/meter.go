package main

import (
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"time"

	"mixdown/encoder/opus"
	"mixdown/mixer/pcm"
)

// meter measures CPU time.
type meter struct {
	decoders []decoding
	pcm      []float32
	decodes  []float64 // µs per stream-second
}

// decoding is a stream that is only decoded.
type decoding struct {
	decoder *opus.Decoder
	speaker *speaker
}

// decodeStreams is how many streams are decoded in turn: enough that none of
// them finds its state in the nearest cache.
const decodeStreams = 100

func newMeter() (*meter, error) {
	speakers, err := newSpeakers(decodeStreams)
	if err != nil {
		return nil, err
	}
	m := &meter{pcm: make([]float32, pcm.FrameSize)}
	for _, s := range speakers {
		d, err := opus.NewDecoder(1)
		if err != nil {
			return nil, fmt.Errorf("bare decode: %w", err)
		}
		m.decoders = append(m.decoders, decoding{d, s})
	}
	m.decodeSlice()
	m.decodes = nil // that was to warm up
	return m, nil
}

// cpu is the CPU time of this process so far, user and system.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic("bench: " + err.Error()) // it has no other failures than a wrong argument
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// slices is the CPU time in µs of a median second.
func (m *meter) slices(count int) float64 {
	var all []float64
	for range count {
		start, before := time.Now(), cpu()
		time.Sleep(time.Second)
		all = append(all, float64((cpu()-before).Microseconds())/time.Since(start).Seconds())
	}
	return median(all)
}

func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	n := len(all)
	return (all[(n-1)/2] + all[n/2]) / 2
}

// decodeSlice decodes a second of each stream. Nothing else must be going on.
func (m *meter) decodeSlice() {
	before := cpu()
	for i := range m.decoders {
		d := &m.decoders[i]
		for range 50 {
			s := d.speaker
			if _, err := d.decoder.Decode(s.packets[s.next], m.pcm); err != nil {
				panic("bench: our own speech does not decode: " + err.Error())
			}
			s.next = (s.next + 1) % len(s.packets)
		}
	}
	m.decodes = append(m.decodes, float64((cpu()-before).Microseconds())/decodeStreams)
}

// decode is what a second of a stream costs to decode.
func (m *meter) decode() float64 { return median(m.decodes) }

// memory is what the process holds: heap, where libopus's state is too, and
// stacks.
func memory() float64 {
	runtime.GC()
	runtime.GC() // pools give up what they keep at the second
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return float64(s.HeapAlloc + s.StackInuse)
}
