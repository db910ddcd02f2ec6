package playout_test

import (
	"math"
	"testing"
	"time"

	"mixdown/mixer/pcm"
	"mixdown/mixer/playout"
)

// pause is how a sender behaves between two words.
type pause struct {
	name    string
	length  time.Duration
	every   time.Duration // a packet of DTX comes this often; 0: none
	frozen  bool          // RTP time stands still
	silence bool          // packets of digital silence come all the time
}

// words is two words of two seconds with a pause in between.
func (p pause) words(payloads [][]byte) []playout.Packet {
	const spoken = 2 * time.Second
	packets := stream(payloads[:100], 0, 65500, math.MaxUint32-50000)
	at, seq := spoken, packets[99].Seq+1
	ts := packets[99].Timestamp + pcm.FrameSize
	add := func(at time.Duration, payload []byte) {
		packets = append(packets, playout.Packet{At: at, SSRC: 1, PT: 111, Seq: seq, Timestamp: ts + uint32(pcm.Samples(at-spoken)), Payload: payload, Level: 127})
		seq++
	}
	for end := spoken + p.length; at < end; {
		switch {
		case p.silence:
			add(at, []byte{0xf8, 0xff, 0xfe})
			at += frameTime
		case p.every > 0:
			add(at, []byte{0xf8})
			at += p.every
		default:
			at = end
		}
	}
	tail := stream(payloads[:100], spoken+p.length, seq, ts+uint32(pcm.Samples(p.length)))
	if p.frozen {
		for i := range tail {
			tail[i].Timestamp -= uint32(pcm.Samples(p.length))
		}
	}
	return append(packets, tail...)
}

func pauses() []pause {
	all := []pause{
		{name: "mute 10 min", length: 10 * time.Minute / brief},
		{name: "mute 1 min with silence", length: time.Minute, silence: true},
	}
	for _, d := range []time.Duration{400, 1000, 5000, 20000, 60000} {
		d *= time.Millisecond
		all = append(all, pause{name: "DTX " + d.String(), length: d, every: 400 * time.Millisecond},
			pause{name: "nothing for " + d.String(), length: d})
	}
	for _, d := range []time.Duration{1500, 2000, 3000, 3600, 4500, 4790, 4950, 8000, 20000, 90000} {
		d *= time.Millisecond
		all = append(all, pause{name: "hold without RTP time " + d.String(), length: d, frozen: true})
	}
	return all
}

// sounds is the frames of a pause and the words around it that are not silent,
// by their number; 10 minutes of frames would be many.
type sounds map[int64]pcm.Frame

func (s sounds) add(n int64, f *pcm.Frame) {
	if !f.Silent() && loudest(f[:]) > -120 {
		s[n] = *f
	}
}

// onset is the first sample from at to end that is louder than -40 dBFS.
func (s sounds) onset(at, end int64) int64 {
	for ; at < end; at++ {
		if math.Abs(float64(s[at/pcm.FrameSize][at%pcm.FrameSize][0])) > 0.01 {
			return at
		}
	}
	return -1
}

// loudest is the greatest magnitude from at to end, in dBFS.
func (s sounds) loudest(at, end int64) float64 {
	top := -200.0
	for ; at < end; at++ {
		if f, ok := s[at/pcm.FrameSize]; ok {
			k := at % pcm.FrameSize
			top = max(top, loudest(f[k:k+1]))
		}
	}
	return top
}

// The recording keeps the time of a pause to the sample where the sender's
// clock says it, and to 20 ms where only arrivals do. The pause is silent.
func TestDeepKeepsTheLengthOfPauses(t *testing.T) {
	payloads := tone64(t, 200)
	for _, p := range pauses() {
		r, heard := record(p.words(payloads)), sounds{}
		for n := range int64((4*time.Second + p.length) / frameTime) {
			r.read(t, n+1)
			heard.add(n, &r.frames[0])
			r.frames = r.frames[:0]
		}
		first, _ := r.d.First()
		start := r.placed[len(r.placed)-100].Pos
		off := ms(start-first) - float64(2*time.Second+p.length)/1e6
		top := heard.loudest(first+102*pcm.FrameSize, start)
		l := r.d.Ledger()
		t.Logf("%s: the second word is %+.2f ms off, %.0f dBFS in the pause", p.name, off, top)
		if math.Abs(off) > 20 || !p.frozen && off != 0 || top > -60 || l[playout.Lost]+l[playout.Concealed] != 0 {
			t.Errorf("%s: %+.2f ms off, %.0f dBFS in the pause, ledger %v", p.name, off, top, l)
		}
	}
}

// Live the second word is as early as the first, to a frame, and the pause is
// silent.
func TestLiveSetsInAfterPauses(t *testing.T) {
	payloads := tone64(t, 200)
	for _, p := range pauses() {
		l, heard := listen(p.words(payloads)), sounds{}
		l.keep = true
		for n := range int64((4200*time.Millisecond + p.length) / frameTime) {
			l.read(t, time.Duration(n+1)*frameTime)
			heard.add(n, &l.frames[0])
			l.frames = l.frames[:0]
		}
		limit := l.n * pcm.FrameSize
		lag := heard.onset(0, limit)
		// What stops without a word may yet come: it is concealed for 100 ms.
		end := pcm.Samples(2*time.Second) + lag + 3*pcm.FrameSize
		if p.every == 0 && !p.silence {
			end += 4 * pcm.FrameSize
		}
		start := heard.onset(end, limit)
		late := ms(start-lag) - float64(2*time.Second+p.length)/1e6
		quiet := heard.loudest(end, start-pcm.FrameSize)
		q := l.l.Quality()
		t.Logf("%s: the second word is %+.1f ms late, %.0f dBFS in the pause", p.name, late, quiet)
		if start < 0 || late > 20 || late < -25 || quiet > -60 || q.Lost+q.Late+q.Broken != 0 {
			t.Errorf("%s: %+.1f ms late, %.1f dBFS in the pause, %+v", p.name, late, quiet, q)
		}
		// The word is whole.
		spoken := 0
		for n := start / pcm.FrameSize; n < l.n; n++ {
			if f, ok := heard[n]; ok && loudest(f[:]) > -40 {
				spoken++
			}
		}
		if spoken < 99 {
			t.Errorf("%s: only %d frames of the second word", p.name, spoken)
		}
	}
}
