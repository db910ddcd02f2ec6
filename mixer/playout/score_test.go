package playout_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"mixdown/encoder/opus"
	"mixdown/mixer/pcm"
	"mixdown/mixer/playout"
	"mixdown/mixer/playout/playtest"
	corpus "mixdown/speech"
)

// voices is the speech of the repository, decoded; encoding it again arms it
// against loss as a peer would that is told of it.
var voices = sync.OnceValues(func() ([][]pcm.Frame, error) {
	var all [][]pcm.Frame
	for _, v := range corpus.Voices() {
		packets, err := corpus.Packets(v.Ogg)
		if err != nil {
			return nil, err
		}
		d, err := opus.NewDecoder(1)
		if err != nil {
			return nil, err
		}
		packets = packets[:650]
		frames := make([]pcm.Frame, len(packets))
		var buf [pcm.FrameSize]float32
		for i, p := range packets {
			if _, err := d.Decode(p, buf[:]); err != nil {
				return nil, err
			}
			for k, x := range buf {
				frames[i][k] = [2]float32{x, x}
			}
		}
		all = append(all, frames)
	}
	return all, nil
})

// row reads frames one by one.
type row struct{ frames []pcm.Frame }

func (r *row) ReadFrame(f *pcm.Frame) error {
	*f, r.frames = r.frames[0], r.frames[1:]
	return nil
}

func left(samples [][2]float32) []float32 {
	out := make([]float32, len(samples))
	for i, s := range samples {
		out[i] = s[0]
	}
	return out
}

func flat(frames []pcm.Frame) [][2]float32 {
	var all [][2]float32
	for i := range frames {
		all = append(all, frames[i][:]...)
	}
	return all
}

// A peer that sends nothing again is understood by its FEC, and what
// concealment alone can do is done without it.
func TestSpeechUnderLoss(t *testing.T) {
	frames, err := voices()
	if err != nil {
		t.Fatal(err)
	}
	if brief > 1 {
		frames = frames[1:2]
	}
	bare := make([][][]byte, len(frames))
	for v := range frames {
		bare[v] = encode(t, &row{slices.Clone(frames[v])}, len(frames[v]), opus.EncoderConfig{Channels: 1, Bitrate: 32000, Voice: true})
	}
	for _, test := range []struct {
		loss      float64
		fec, bare float64
	}{{0.1, 0.97, 0.91}, {0.2, 0.94, 0.83}, {0.3, 0.91, 0.76}} {
		for _, armed := range []bool{true, false} {
			floor, name := test.bare, "without FEC"
			if armed {
				floor, name = test.fec, "FEC"
			}
			if brief > 1 {
				floor -= 0.05 // one voice is not the corpus
			}
			t.Run(fmt.Sprintf("%s, %.0f %%", name, 100*test.loss), func(t *testing.T) {
				c := opus.EncoderConfig{Channels: 1, Bitrate: 32000, Voice: true, FEC: true, LossPercent: int(100 * test.loss)}
				var deep, live, runs float64
				for v := range frames {
					payloads := bare[v]
					if armed {
						payloads = encode(t, &row{slices.Clone(frames[v])}, len(frames[v]), c)
					}
					d, l := understood(t, payloads, test.loss, uint64(v+1))
					deep, live, runs = deep+d, live+l, runs+1
				}
				t.Logf("%s, %.0f %% lost: %.3f in the recording, %.3f live, want %.2f", name, 100*test.loss, deep/runs, live/runs, floor)
				if deep/runs < floor || live/runs < floor {
					t.Error("below the floor")
				}
			})
		}
	}
}

// understood is how much of payloads is left when some are lost at random.
func understood(t *testing.T, payloads [][]byte, loss float64, seed uint64) (deep, live float64) {
	t.Helper()
	clean := left(straight(t, payloads, 1))
	packets := lossy(stream(payloads, 7*time.Millisecond, 1, 1), loss, seed)
	r := record(slices.Clone(packets)).read(t, int64(len(payloads)))
	first, _ := r.d.First()
	deep = playtest.Intelligibility(clean, left(r.samples()[first:]))
	// Live it is said twice, and judged when the buffer has found its length.
	again := lossy(stream(slices.Concat(payloads, payloads), 7*time.Millisecond, 1, 1), loss, seed)
	l := &listening{l: playout.NewLive(playout.LiveConfig{}), packets: again}
	l.read(t, time.Duration(len(payloads))*frameTime)
	l.keep = true
	l.read(t, time.Duration(2*len(payloads)+10)*frameTime)
	heard := left(flat(l.frames))
	lag := playtest.Lag(clean, heard, pcm.Rate/5)
	return deep, playtest.Intelligibility(clean, heard[lag:])
}
