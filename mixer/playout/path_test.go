package playout_test

import (
	"testing"
	"time"

	"mixdown/mixer/pcm"
	"mixdown/mixer/playout"
)

// Live, a path that gets longer at once, as at a handover, costs what is missing
// then, and little more: nothing is cut out of a buffer that is empty.
func TestLiveTakesALongerPath(t *testing.T) {
	for _, most := range []time.Duration{time.Nanosecond, 20 * time.Millisecond} {
		for _, longer := range []time.Duration{40, 80, 150, 300, 700, 1300} {
			longer *= time.Millisecond
			packets := stream(speech(t, 900), 0, 1, 1)
			for i := 500; i < len(packets); i++ {
				packets[i].At += longer
			}
			l := listen(jitter(packets, most, 3))
			l.read(t, 10*time.Second)
			before := l.l.Quality()
			l.read(t, 14*time.Second+longer)
			q := l.l.Quality()
			concealed, cut := pcm.Duration(q.Concealed-before.Concealed), pcm.Duration(q.Spliced-before.Spliced)
			t.Logf("%v longer, jitter %v: %v concealed, %v cut, %v buffered", longer, most, concealed, cut, l.l.Delay())
			if concealed > min(longer, 130*time.Millisecond) || cut > 100*time.Millisecond || q.Late > 0 || l.l.Delay() > 80*time.Millisecond {
				t.Errorf("%v longer, jitter %v: %v concealed, %v cut, %v buffered, %+v", longer, most, concealed, cut, l.l.Delay(), q)
			}
		}
	}
}

// The mixer hears what the sender says of the level, and that what is made up is
// no voice.
func TestLiveTellsLevels(t *testing.T) {
	packets := stream(speech(t, 200), 0, 1, 1)
	for i := range packets {
		packets[i].Level = 30
	}
	for i := 150; i < len(packets); i++ {
		packets[i].Level = playout.NoLevel
	}
	l := listen(append(packets[:100:100], packets[103:]...))
	if got := l.l.AudioLevel(); got != playout.NoLevel {
		t.Errorf("at first %d", got)
	}
	heard := map[uint8]int{}
	for at := frameTime; at < 3900*time.Millisecond; at += frameTime {
		l.read(t, at)
		heard[l.l.AudioLevel()]++
	}
	if heard[30] < 140 || heard[127] < 1 || heard[127] > 5 || heard[playout.NoLevel] < 40 {
		t.Errorf("levels of frames: %v", heard)
	}
}

// Where timestamps jump, what was sent before and arrives after is not taken for
// something long over.
func TestDeepKeepsStragglersOfAJump(t *testing.T) {
	for _, jump := range []time.Duration{1500 * time.Millisecond, 10 * time.Second, -10 * time.Second, 40 * time.Second} {
		packets := stream(tone64(t, 1000), 0, 1, 1e8)
		for i := 500; i < len(packets); i++ {
			packets[i].Timestamp += uint32(pcm.Samples(jump))
		}
		r := record(jitter(packets, 80*time.Millisecond, 9)).read(t, 1000)
		if q := r.d.Quality(); len(r.placed) != len(packets) || q.Late > 0 {
			t.Errorf("a jump of %v: %d packets placed, %+v", jump, len(r.placed), q)
		}
	}
}
