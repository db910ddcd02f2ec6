package roomstest

import (
	"slices"
	"testing"
)

// TestLossIsRepeatable: the same seed loses the same packets, about as many as
// were asked for.
func TestLossIsRepeatable(t *testing.T) {
	lose := func(seed uint64) (lost []int) {
		l := newLink()
		l.Lose(0.2, seed)
		for i := range 10000 {
			if _, is := l.packet(); is {
				lost = append(lost, i)
			}
		}
		return lost
	}
	first := lose(1)
	if n := len(first); n < 1800 || n > 2200 {
		t.Errorf("%d of 10000 packets lost", n)
	}
	if !slices.Equal(first, lose(1)) || slices.Equal(first, lose(2)) {
		t.Error("the seed does not decide")
	}
}
