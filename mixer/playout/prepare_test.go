package playout_test

import (
	"fmt"
	"io"
	"reflect"
	"slices"
	"testing"
	"time"

	"mixdown/mixer/pcm"
	"mixdown/mixer/playout"
)

// Prepared or not, read in rows or frame by frame, a Deep gives the same samples
// and tells the same, with the same frames.
func TestPreparedDeepIsTheSame(t *testing.T) {
	payloads := payloadsOfAllKinds(t)
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("prepared ", seed), func(t *testing.T) {
			readAhead(t, call(payloads, seed+40, 30*time.Second), 1, (*playout.Deep).Prepare)
		})
		length := int(seed%4)*3 + 2
		t.Run(fmt.Sprint("row of ", length, " ", seed), func(t *testing.T) {
			readAhead(t, call(payloads, seed+120, 30*time.Second), length, func(d *playout.Deep) { d.ReadRow(length) })
		})
	}
}

// readAhead compares a Deep that is read ahead by so many frames with one that
// is not.
func readAhead(t *testing.T, packets []playout.Packet, length int, read func(*playout.Deep)) {
	plain, ahead := record(slices.Clone(packets)), record(packets)
	for _, d := range []*playout.Deep{plain.d, ahead.d} {
		d.Cause(10*time.Second, playout.Paused)
		d.Cause(12*time.Second, playout.Received)
		d.End(33 * time.Second)
	}
	for n := 0; ; n++ {
		var want, got pcm.Frame
		told := len(ahead.placed)
		if n%length == 0 {
			plain.feed()
			ahead.feed()
			if n/length%7 != 3 {
				read(ahead.d)
			}
		}
		if len(ahead.placed) != told {
			t.Fatalf("frame %d: told before ReadFrame", n)
		}
		a, b := plain.d.ReadFrame(&want), ahead.d.ReadFrame(&got)
		same := len(plain.placed) == len(ahead.placed) && reflect.DeepEqual(plain.placed[told:], ahead.placed[told:])
		if a != b || want != got || !same {
			t.Fatalf("frame %d differs: %v and %v", n, a, b)
		}
		used := (n+1)%length == 0 || a == io.EOF
		if used && (plain.d.Ledger() != ahead.d.Ledger() || plain.d.Quality() != ahead.d.Quality() || plain.d.Frame() != ahead.d.Frame()) {
			t.Fatalf("frame %d: %v and %v", n, plain.d.Ledger(), ahead.d.Ledger())
		}
		if a == io.EOF {
			if n < 1600 {
				t.Fatalf("ends at frame %d", n)
			}
			break
		}
	}
	if len(plain.placed) < 300 {
		t.Fatalf("%d packets", len(plain.placed))
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
