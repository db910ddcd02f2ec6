package ogg_test

import (
	"bytes"
	"math"
	"testing"

	"mixdown/encoder/opus"
	"mixdown/mixer/pcm"
)

// tonePackets are n packets of 440 Hz at -12 dBFS, mono.
func tonePackets(t testing.TB, n int) (ps [][]byte) {
	t.Helper()
	enc, err := opus.NewEncoder(opus.EncoderConfig{Channels: 1, Bitrate: 64000})
	if err != nil {
		t.Fatal(err)
	}
	var f pcm.Frame
	var buf [opus.MaxFrameBytes + 1]byte
	for k := range n {
		for i := range f {
			v := float32(0.25 * math.Sin(2*math.Pi*440*float64(k*pcm.FrameSize+i)/pcm.Rate))
			f[i] = [2]float32{v, v}
		}
		size, err := enc.Encode(&f, buf[:])
		if err != nil {
			t.Fatal(err)
		}
		ps = append(ps, bytes.Clone(buf[:size]))
	}
	return ps
}
