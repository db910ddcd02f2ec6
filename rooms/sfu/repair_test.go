package sfu_test

import (
	"testing"
	"time"
)

// delayed gives every link 20 ms, so that a repair takes a round trip.
func delayed(t *testing.T, test func(w *world)) {
	t.Helper()
	distant(t, 20*time.Millisecond, test)
}

func TestLossIsRepairedOnBothLegs(t *testing.T) {
	for _, leg := range []string{"publisher", "player", "both"} {
		t.Run(leg, func(t *testing.T) {
			delayed(t, func(w *world) {
				p, l := w.publish(), w.play(true)
				l.player.Play("one", p.up)
				l.answer()
				l.played("one true <nil>")
				if leg != "player" {
					w.faults.set(p.ip, 0.3)
				}
				if leg != "publisher" {
					w.faults.set(l.ip, 0.3)
				}
				p.talk(500)
				w.faults.set(p.ip, 0)
				w.faults.set(l.ip, 0)
				p.talk(10) // the last packet of all cannot be missed by anybody
				time.Sleep(2 * time.Second)
				if w.faults.lost < 150 {
					t.Fatalf("only %d packets were lost on purpose", w.faults.lost)
				}
				if lost := missing(t, p.all, l.heard("one")); lost != 0 {
					t.Errorf("%d of %d packets are missing; %d were lost on purpose", lost, len(p.all), w.faults.lost)
				}
				p.close()
				l.close()
			})
		})
	}
}

func TestBlackoutLosesNothing(t *testing.T) {
	for _, length := range []time.Duration{2 * time.Second, 4 * time.Second} {
		t.Run(length.String(), func(t *testing.T) {
			delayed(t, func(w *world) {
				p, l := w.publish(), w.play(false)
				l.player.Play("one", p.up)
				l.answer()
				l.played("one true <nil>")
				p.talk(100)
				w.faults.blackout(true)
				p.talk(int(length / (20 * time.Millisecond)))
				w.faults.blackout(false)
				p.talk(200)
				time.Sleep(time.Second)
				if lost := missing(t, p.all, l.heard("one")); lost != 0 {
					t.Errorf("%d of %d packets are missing", lost, len(p.all))
				}
				p.close()
				l.close()
			})
		})
	}
}

// A cut of 20 s heals by itself: both connections live on.
func TestConnectionOutlivesACut(t *testing.T) {
	delayed(t, func(w *world) {
		p, l := w.publish(), w.play(false)
		l.player.Play("one", p.up)
		l.answer()
		l.played("one true <nil>")
		p.talk(10)
		w.faults.blackout(true)
		time.Sleep(20 * time.Second)
		w.faults.blackout(false)
		time.Sleep(5 * time.Second)
		p.talk(100)
		time.Sleep(time.Second)
		if lost := missing(t, p.all, l.heard("one")); lost != 0 {
			t.Errorf("%d of %d packets are missing", lost, len(p.all))
		}
		p.close()
		l.close()
	})
}

// The first packets of all are lost on the way to the server or to the player:
// nobody can know of them but by asking.
func TestFirstPacketIsRepaired(t *testing.T) {
	for _, leg := range []string{"publisher", "player"} {
		t.Run(leg, func(t *testing.T) {
			delayed(t, func(w *world) {
				p, l := w.publish(), w.play(true)
				if leg == "publisher" {
					w.faults.lose(p.ip, 30)
				} else {
					w.faults.lose(l.ip, 30)
				}
				p.talk(20)
				l.player.Play("one", p.up)
				l.answer()
				l.played("one true <nil>")
				p.talk(50)
				time.Sleep(time.Second)
				if w.faults.lost != 30 {
					t.Fatalf("%d packets were lost on purpose", w.faults.lost)
				}
				if lost := missing(t, p.all, l.heard("one")); lost != 0 {
					t.Errorf("%d of %d packets are missing", lost, len(p.all))
				}
				p.close()
				l.close()
			})
		})
	}
}
