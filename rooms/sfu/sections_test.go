package sfu_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestStoppedSectionsAreUsedAgain(t *testing.T) {
	virtual(t, func(w *world) {
		p, l := w.publish(), w.play(false)
		l.player.Play("stay", p.up)
		for i := range 20 {
			id := fmt.Sprint("s", i)
			l.player.Play(id, p.up)
			l.answer()
			l.played(id + " true <nil>")
			p.all = nil
			p.talk(5)
			time.Sleep(200 * time.Millisecond)
			got := l.heard(id)
			if len(got) < 5 || !slices.Equal(got[len(got)-5:], p.all) {
				t.Fatalf("%s: heard %d", id, len(got))
			}
			l.player.Stop(id)
			l.answer()
			l.played(id + " false <nil>")
			quiet := l.count("1")
			p.talk(2)
			time.Sleep(100 * time.Millisecond)
			if l.count("1") != quiet {
				t.Fatalf("%s: packets after the stop", id)
			}
		}
		offers, streams := l.last()
		last := offers[len(offers)-1]
		if n := strings.Count(last, "m=audio"); n != 2 {
			t.Errorf("%d media sections for 2 streams at a time", n)
		}
		if len(streams) != 1 || !strings.Contains(last, "a=inactive") {
			t.Errorf("a stopped stream is still offered: %v", streams)
		}
		if stay := l.heard("stay"); len(stay) != 20*7 {
			t.Errorf("the other stream lost packets: %d of %d", len(stay), 20*7)
		}
		p.close()
		l.close()
	})
}

// Sections that stayed free over several offers are heard again when streams
// come back to them, whichever of them it is.
func TestSectionsAreUsedAgainAfterAWhile(t *testing.T) {
	virtual(t, func(w *world) {
		p, l := w.publish(), w.play(false)
		play := func(id string) {
			t.Helper()
			l.player.Play(id, p.up)
			l.answer()
			l.played(id + " true <nil>")
		}
		stop := func(id string) {
			t.Helper()
			l.player.Stop(id)
			l.answer()
			l.played(id + " false <nil>")
		}
		for _, id := range []string{"stay", "a", "b", "c"} {
			play(id)
		}
		for _, id := range []string{"a", "b", "c"} {
			stop(id)
		}
		offers, _ := l.last()
		last := offers[len(offers)-1]
		if n := strings.Count(last, "a=inactive"); n != 1 {
			t.Errorf("%d inactive sections, only that of c just stopped", n)
		}
		if n := strings.Count(last, "a=ssrc:"); n != strings.Count(offers[0], "a=ssrc:") {
			t.Error("sections without a stream have an SSRC")
		}
		for _, id := range []string{"d", "e", "f"} {
			play(id)
			p.all = nil
			p.talk(5)
			time.Sleep(200 * time.Millisecond)
			if got := l.heard(id); len(got) < 5 || !slices.Equal(got[len(got)-5:], p.all) {
				t.Errorf("%s: heard %d", id, len(got))
			}
		}
		offers, _ = l.last()
		if n := strings.Count(offers[len(offers)-1], "m=audio"); n != 4 {
			t.Errorf("%d media sections for 4 streams", n)
		}
		p.close()
		l.close()
	})
}

// A stream that is stopped at any moment is told to have stopped, also while
// the end of another one makes its way into an offer.
func TestEveryStopIsTold(t *testing.T) {
	virtual(t, func(w *world) {
		p, l := w.publish(), w.play(false)
		l.player.Play("a", p.up)
		l.player.Play("b", p.up)
		l.answer()
		l.played("b true <nil>")
		l.mu.Lock()
		l.told = func(id string, playing bool) {
			if id == "a" && !playing {
				l.player.Stop("b")
			}
		}
		l.mu.Unlock()
		l.player.Stop("a")
		l.answer()
		l.played("b false <nil>")
		l.answer()
		offers, _ := l.last()
		if n := strings.Count(offers[len(offers)-1], "a=ssrc:"); n != 0 {
			t.Errorf("%d SSRCs of streams that were stopped", n)
		}
		p.close()
		l.close()
	})
}

// A stream that is stopped and played again at once ends and begins, for who
// was told of the stop waits for that.
func TestStopAndPlayAgain(t *testing.T) {
	virtual(t, func(w *world) {
		p, l := w.publish(), w.play(false)
		l.player.Play("a", p.up)
		l.answer()
		l.played("a true <nil>")
		l.player.Play("b", p.up)
		time.Sleep(5 * time.Millisecond) // the player waits for others
		l.player.Stop("a")
		l.player.Play("a", p.up)
		l.answer()
		l.played("b true <nil>")
		time.Sleep(time.Second)
		select {
		case offer := <-l.pending:
			l.pending <- offer
			l.answer()
		default: // a was part of the offer that brought b
		}
		time.Sleep(time.Second)
		l.mu.Lock()
		states := strings.Join(l.states, ", ")
		l.mu.Unlock()
		if strings.Count(states, "a true") != 2 || strings.Count(states, "a false") != 1 {
			t.Error(states)
		}
		p.all = nil
		p.talk(5)
		time.Sleep(200 * time.Millisecond)
		if got := l.heard("a"); len(got) < 5 || !slices.Equal(got[len(got)-5:], p.all) {
			t.Errorf("heard %d", len(got))
		}
		p.close()
		l.close()
	})
}

func TestExchangingStreamsDoesNotGrowTheDescription(t *testing.T) {
	virtual(t, func(w *world) {
		p, l := w.publish(), w.play(false)
		l.player.Play("s0", p.up)
		l.answer()
		for i := range 10 {
			l.player.Stop(fmt.Sprint("s", i))
			l.player.Play(fmt.Sprint("s", i+1), p.up)
			l.answer()
			l.played(fmt.Sprint("s", i+1, " true <nil>"))
		}
		offers, _ := l.last()
		if n := strings.Count(offers[len(offers)-1], "m=audio"); n > 2 {
			t.Errorf("%d media sections", n)
		}
		p.close()
		l.close()
	})
}

// A room as large as one login may play is one offer, and its answer, which is
// longer than anything else that a client sends, is taken.
func TestManyStreamsAreOneOffer(t *testing.T) {
	virtual(t, func(w *world) {
		const streams = 600
		p, l := w.publish(), w.play(false)
		for i := range streams {
			l.player.Play(fmt.Sprint("s", i), p.up)
		}
		l.answer()
		for i := range streams {
			l.played(fmt.Sprint("s", i, " true <nil>"))
		}
		p.talk(3)
		time.Sleep(time.Second)
		offers, _ := l.last()
		if len(offers) != 1 || len(offers[0]) < 256<<10 {
			t.Errorf("%d offers, of %d bytes", len(offers), len(offers[0]))
		}
		for i := range streams {
			if got := l.heard(fmt.Sprint("s", i)); len(got) != 3 {
				t.Fatalf("stream %d: heard %d packets of 3", i, len(got))
			}
		}
		p.close()
		l.close()
	})
}
