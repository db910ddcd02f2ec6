package capture_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/capture"
)

// TestPacketOne: a capture that was there first has a stream from its first
// packet on; one that came while the stream was young has everything since its
// own start; one that came later has everything from its login on.
func TestPacketOne(t *testing.T) {
	v := newVoice(t, "", 400)
	for _, age := range []time.Duration{-3 * time.Second, 0, 20 * time.Millisecond, time.Second, 4500 * time.Millisecond, 30 * time.Second} {
		t.Run(fmt.Sprint("stream of age ", age), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := openHall(t)
				h.recorder.Link.Delay(25*time.Millisecond, 0)
				var c *capture.Capture
				if age < 0 {
					c = h.start("c1")
					time.Sleep(-age)
				}
				ann := h.talker("ann", "ann-voice", v, 0)
				if age >= 0 {
					ann.Say(age)
					c = h.start("c1")
				}
				start := time.Now()
				ann.Say(12 * time.Second)
				time.Sleep(time.Second)
				m := h.end(c, "c1")
				all := h.packets(m, "streams-ogg/ann/ann-voice")
				order(t, all)
				t.Logf("placed within %v", ann.placed(t, m, all, 40*time.Millisecond))
				first := int64(0)
				switch {
				case age > 5*time.Second:
					first = ann.before(start.Add(700 * time.Millisecond)) // the login over this link
				case age > 0:
					first = ann.before(start)
				}
				if lost := ann.missing(all, first, ann.Frames()); len(lost) > 0 {
					t.Errorf("missing of %d: %v", ann.Frames(), lost)
				}
				if age > 5*time.Second {
					t.Logf("from %v after the start", time.Duration(all[0].number-ann.before(start))*20*time.Millisecond)
				}
				if l := m.Ledger["ann/ann-voice"]; l["lost"] != 0 || l["concealed"] != 0 {
					t.Errorf("ledger %v", l)
				}
			})
		})
	}
}

// TestComeAndGo: a user who leaves and comes back, twice, is one row in one
// recording; who takes over the stream's name has files of their own.
func TestComeAndGo(t *testing.T) {
	v := newVoice(t, "", 400)
	synctest.Test(t, func(t *testing.T) {
		h := openHall(t)
		c := h.start("c1")
		time.Sleep(time.Second)
		stay := func(user string, base int64) *talker {
			k := h.talker(user, "voice", v, base)
			k.Say(7 * time.Second)
			k.Leave()
			time.Sleep(4 * time.Second)
			return k
		}
		anns := []*talker{stay("ann", 0), stay("ann", 1000), stay("ann", 2000)}
		bob := stay("bob", 3000)
		m := h.end(c, "c1")
		all := h.packets(m, "streams-ogg/ann/voice")
		order(t, all)
		for _, k := range anns {
			if lost := k.missing(all, 0, k.Frames()); len(lost) > 0 {
				t.Errorf("of ann's stay from %d missing: %v", k.base, lost)
			}
			k.placed(t, m, all, 20*time.Millisecond)
		}
		if n := int64(len(all)); n != 3*anns[0].Frames() {
			t.Errorf("ann has %d packets", n)
		}
		own := h.packets(m, "streams-ogg/bob/voice")
		if lost := bob.missing(own, 0, bob.Frames()); len(lost) > 0 || int64(len(own)) != bob.Frames() {
			t.Errorf("bob has %d packets, missing: %v", len(own), lost)
		}
		bob.placed(t, m, own, 20*time.Millisecond)
		var want [][2]int64
		for _, k := range append(anns, bob) {
			from := k.begin.Sub(m.Start.Time).Milliseconds()
			want = append(want, [2]int64{from, from + 7000})
		}
		mix, start := h.listen(m, "mix-wav")
		near(t, "the voice in the mix", heard(mix, start, 400), want, 20)
		l := whole(t, m, "ann/voice", anns[2].begin.Add(7*time.Second).Sub(anns[0].begin))
		if away := want[2][0] - want[0][0] - 14000; l["received"] != 21000 || l["away"]+l["stalled"] < away-20 || l["away"]+l["stalled"] > away+60 || l["lost"] != 0 {
			t.Errorf("ann's ledger: %v", l)
		}
		if len(m.Streams) != 2 || len(m.Streams[0].Joins) != 3 || len(m.Streams[1].Joins) != 1 || len(m.Users) != 2 || len(m.Users[0].Joins) != 3 {
			t.Errorf("streams %+v, users %+v", m.Streams, m.Users)
		}
	})
}
