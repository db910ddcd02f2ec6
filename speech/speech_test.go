package speech_test

import (
	"math"
	"testing"

	"mixdown/encoder/opus"
	"mixdown/mixer/pcm"
	"mixdown/speech"
)

func TestVoices(t *testing.T) {
	total := 0
	for _, v := range speech.Voices() {
		total += len(v.Ogg)
		packets, err := speech.Packets(v.Ogg)
		if err != nil {
			t.Fatalf("%s: %v", v.Name, err)
		}
		if seconds := len(packets) / 50; seconds < 15 || seconds > 20 {
			t.Errorf("%s speaks for %d s, want 15 to 20", v.Name, seconds)
		}
		d, err := opus.NewDecoder(1)
		if err != nil {
			t.Fatal(err)
		}
		var peak, square float64
		var loud, fec int
		for i, p := range packets {
			var out [pcm.FrameSize]float32
			if n, err := d.Decode(p, out[:]); err != nil || n != pcm.FrameSize {
				t.Fatalf("%s: packet %d: %d samples, %v", v.Name, i, n, err)
			}
			var energy float64
			for _, s := range out {
				peak = max(peak, math.Abs(float64(s)))
				energy += float64(s) * float64(s)
			}
			square += energy
			if energy/pcm.FrameSize > 1e-4 {
				loud++
			}
			if opus.HasFEC(p) {
				fec++
			}
		}
		peak, rms := pcm.DB(peak), pcm.DB(math.Sqrt(square/float64(len(packets)*pcm.FrameSize)))
		if peak < -9 || peak > -4 || rms < -32 || rms > -16 {
			t.Errorf("%s: peak %.1f dBFS, RMS %.1f dBFS", v.Name, peak, rms)
		}
		if share := float64(loud) / float64(len(packets)); share < 0.5 || share > 0.98 {
			t.Errorf("%s is heard in %.0f %% of the time", v.Name, 100*share)
		}
		if fec < len(packets)/2 {
			t.Errorf("%s: %d of %d packets have FEC", v.Name, fec, len(packets))
		}
		t.Logf("%s: %.1f s, %d bytes, peak %.1f, RMS %.1f dBFS, speech %d %%, FEC in %d %%",
			v.Name, float64(len(packets))/50, len(v.Ogg), peak, rms, 100*loud/len(packets), 100*fec/len(packets))
	}
	if total > 400_000 {
		t.Errorf("the voices take %d bytes", total)
	}
}

func TestPacketsRefuses(t *testing.T) {
	whole := speech.Voices()[0].Ogg
	hole := append(append([]byte{}, whole[:20000]...), whole[30000:]...)
	for name, file := range map[string][]byte{"nothing": nil, "no Ogg": []byte("RIFF....WAVE"), "a hole": hole} {
		if _, err := speech.Packets(file); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
