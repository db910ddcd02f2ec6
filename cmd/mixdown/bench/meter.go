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
	encoders []*opus.Encoder
	speech   []pcm.Frame // a second of it, mono
	pcm      []float32
	packet   []byte
	decodes  []float64 // µs per stream-second
	encodes  []float64 // µs per second of one mix
}

// decoding is a stream that is only decoded.
type decoding struct {
	decoder *opus.Decoder
	speaker *speaker
}

// next decodes the next packet.
func (d *decoding) next(pcm []float32) {
	if _, err := d.decoder.Decode(d.speaker.packet(), pcm); err != nil {
		panic("bench: our own speech does not decode: " + err.Error())
	}
}

// So many streams are decoded, and mixes encoded, in turn: enough that none of
// them finds its state in the nearest cache.
const (
	decodeStreams = 100
	encodeMixes   = 50
)

func newMeter() (*meter, error) {
	speakers, err := newSpeakers(decodeStreams)
	if err != nil {
		return nil, err
	}
	m := &meter{pcm: make([]float32, pcm.FrameSize), packet: make([]byte, opus.MaxFrameBytes+1)}
	for _, s := range speakers {
		d, err := opus.NewDecoder(1)
		if err != nil {
			return nil, fmt.Errorf("bare decode: %w", err)
		}
		m.decoders = append(m.decoders, decoding{d, s})
	}
	for range encodeMixes {
		e, err := opus.NewEncoder(opus.EncoderConfig{Channels: 2})
		if err != nil {
			return nil, fmt.Errorf("bare encode: %w", err)
		}
		m.encoders = append(m.encoders, e)
	}
	m.speech = make([]pcm.Frame, 50)
	for n := range m.speech {
		m.decoders[1].next(m.pcm) // who is in the middle of a word
		for i, v := range m.pcm {
			m.speech[n][i] = [2]float32{v, v}
		}
	}
	m.decodeSlice()
	m.encodeSlice()
	m.decodes, m.encodes = nil, nil // that was to warm up
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

// slices is the CPU time of a median second, in µs and in stream-seconds that were
// decoded beside it.
func (m *meter) slices(count int) (us, decodes float64) {
	y := startYardstick(m)
	defer y.stop()
	var all, beside []float64
	for range count {
		start, before := time.Now(), cpu()
		ours, packets := y.spent()
		time.Sleep(time.Second)
		now, seen := y.spent()
		used := float64((cpu() - before - (now - ours)).Microseconds()) / time.Since(start).Seconds()
		all = append(all, used)
		if decode := over(float64((now - ours).Microseconds()), float64(seen-packets)/50); decode > 0 {
			beside = append(beside, used/decode)
		}
	}
	return median(all), median(beside)
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
		for range 50 {
			m.decoders[i].next(m.pcm)
		}
	}
	m.decodes = append(m.decodes, float64((cpu()-before).Microseconds())/decodeStreams)
}

// encodeSlice encodes a second of mixes as recordings do: of two equal
// channels. Nothing else must be going on.
func (m *meter) encodeSlice() {
	before := cpu()
	for _, e := range m.encoders {
		for n := range m.speech {
			if _, err := e.Encode(&m.speech[n], m.packet); err != nil {
				panic("bench: our own speech does not encode: " + err.Error())
			}
		}
	}
	m.encodes = append(m.encodes, float64((cpu()-before).Microseconds())/encodeMixes)
}

// encode is what a second of one mix costs to encode.
func (m *meter) encode() float64 { return median(m.encodes) }

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
