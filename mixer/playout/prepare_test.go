package playout_test

import (
	"io"
	"reflect"
	"slices"
	"testing"
	"time"

	"mixdown/mixer/pcm"
	"mixdown/mixer/playout"
)

// Prepared or not, a Deep gives the same samples and tells the same, in the
// same frames.
func TestPreparedDeepIsTheSame(t *testing.T) {
	payloads := payloadsOfAllKinds(t)
	for seed := range uint64(8) {
		packets := call(payloads, seed+40, 30*time.Second)
		plain, ahead := record(slices.Clone(packets)), record(packets)
		for _, d := range []*playout.Deep{plain.d, ahead.d} {
			d.Cause(10*time.Second, playout.Paused)
			d.Cause(12*time.Second, playout.Received)
			d.End(33 * time.Second)
		}
		for n := 0; ; n++ {
			var want, got pcm.Frame
			plain.feed()
			ahead.feed()
			told := len(ahead.placed)
			if n%7 != 3 {
				ahead.d.Prepare()
			}
			if len(ahead.placed) != told {
				t.Fatalf("seed %d, frame %d: told before ReadFrame", seed, n)
			}
			a, b := plain.d.ReadFrame(&want), ahead.d.ReadFrame(&got)
			same := len(plain.placed) == len(ahead.placed) && reflect.DeepEqual(plain.placed[told:], ahead.placed[told:])
			if a != b || want != got || !same || plain.d.Ledger() != ahead.d.Ledger() {
				t.Fatalf("seed %d, frame %d differs: %v and %v", seed, n, a, b)
			}
			if a == io.EOF {
				if n < 1600 {
					t.Fatalf("seed %d: ends at frame %d", seed, n)
				}
				break
			}
		}
		if len(plain.placed) < 300 {
			t.Fatalf("seed %d: %d packets", seed, len(plain.placed))
		}
	}
}

// Prepared or not, a Live gives the same samples, whatever comes between the
// preparation and the reading.
func TestPreparedLiveIsTheSame(t *testing.T) {
	payloads := payloadsOfAllKinds(t)
	for seed := range uint64(8) {
		packets := call(payloads, seed+80, 30*time.Second)
		plain, ahead := playout.NewLive(playout.LiveConfig{}), playout.NewLive(playout.LiveConfig{})
		for n, next := 0, 0; ; n++ {
			ahead.Prepare()
			var want, got pcm.Frame
			a := plain.ReadFrame(&want)
			for ; next < len(packets) && packets[next].At <= time.Duration(n)*frameTime; next++ {
				plain.Push(&packets[next])
				ahead.Push(&packets[next])
			}
			b := ahead.ReadFrame(&got)
			if a != b || want != got || plain.AudioLevel() != ahead.AudioLevel() {
				t.Fatalf("seed %d, frame %d differs: %v and %v", seed, n, a, b)
			}
			if a == io.EOF {
				break
			}
			if next == len(packets) {
				plain.End()
				ahead.End()
			}
		}
		if a, b := plain.Quality(), ahead.Quality(); a != b || a.Packets != int64(len(packets)) {
			t.Errorf("seed %d: %+v and %+v of %d packets", seed, a, b, len(packets))
		}
	}
}

// Read in rows or frame by frame, a Deep gives the same samples and tells the
// same, with the same frames.
func TestRowIsTheSame(t *testing.T) {
	payloads := payloadsOfAllKinds(t)
	for seed := range uint64(8) {
		length := int(seed%4)*3 + 2
		packets := call(payloads, seed+120, 30*time.Second)
		plain, rows := record(slices.Clone(packets)), record(packets)
		for _, d := range []*playout.Deep{plain.d, rows.d} {
			d.Cause(10*time.Second, playout.Paused)
			d.Cause(12*time.Second, playout.Received)
			d.End(33 * time.Second)
		}
		for n := 0; ; n++ {
			var want, got pcm.Frame
			if n%length == 0 {
				if plain.d.Ledger() != rows.d.Ledger() || plain.d.Quality() != rows.d.Quality() || plain.d.Frame() != rows.d.Frame() {
					t.Fatalf("seed %d, frame %d: %v and %v", seed, n, plain.d.Ledger(), rows.d.Ledger())
				}
				plain.feed()
				rows.feed()
				if told := len(rows.placed); n/length%7 != 3 {
					if rows.d.ReadRow(length); len(rows.placed) != told {
						t.Fatalf("seed %d, frame %d: told before ReadFrame", seed, n)
					}
				}
			}
			told := len(plain.placed)
			a, b := plain.d.ReadFrame(&want), rows.d.ReadFrame(&got)
			same := len(plain.placed) == len(rows.placed) && reflect.DeepEqual(plain.placed[told:], rows.placed[told:])
			if a != b || want != got || !same {
				t.Fatalf("seed %d, frame %d differs: %v and %v", seed, n, a, b)
			}
			if a == io.EOF {
				if n < 1600 {
					t.Fatalf("seed %d: ends at frame %d", seed, n)
				}
				break
			}
		}
		if len(plain.placed) < 300 {
			t.Fatalf("seed %d: %d packets", seed, len(plain.placed))
		}
	}
}
