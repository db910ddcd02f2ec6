package mixer_test

import (
	"fmt"
	"testing"
	"time"

	"mixdown/encoder/opus"
	"mixdown/mixer"
	"mixdown/mixer/pcm"
	"mixdown/speech"
)

// BenchmarkShare holds the mixing of 50 who all speak at once against the
// decoding of their 50 packets, which is only a part of what receiving them
// costs.
func BenchmarkShare(b *testing.B) {
	const people = 50
	packets, err := speech.Packets(speech.Voices()[0].Ogg)
	if err != nil {
		b.Fatal(err)
	}
	m := mixer.New(mixer.Config{})
	m.AddOutput(writer(func(*pcm.Frame) error { return nil }))
	var decoding, all time.Duration
	var out [pcm.FrameSize]float32
	for i := range people {
		d, err := opus.NewDecoder(1)
		if err != nil {
			b.Fatal(err)
		}
		n := 17 * i
		m.SetGain(fmt.Sprint(i), -34) // the limiter sleeps
		m.AddInput(fmt.Sprint(i), reader(func(f *pcm.Frame) error {
			start := time.Now()
			_, err := d.Decode(packets[n%len(packets)], out[:])
			for k, x := range out {
				f[k] = [2]float32{x, x}
			}
			n++
			decoding += time.Since(start)
			return err
		}))
	}
	for b.Loop() {
		start := time.Now()
		m.Mix()
		all += time.Since(start)
	}
	if m.Inputs() != people {
		b.Fatal("an input broke")
	}
	mixing := all - decoding
	b.ReportMetric(float64(decoding.Microseconds())/float64(b.N), "decode-µs/frame")
	b.ReportMetric(float64(mixing.Microseconds())/float64(b.N), "mix-µs/frame")
	b.ReportMetric(100*float64(mixing)/float64(decoding), "%mix/decode")
}
