package capture_test

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestRoomSilence: ten minutes without a packet and ten minutes of DTX, a
// packet of one byte each 400 ms, leave everything after them where it belongs.
func TestRoomSilence(t *testing.T) {
	v := newVoice(t, "", 400)
	silence := unraced(10*time.Minute, 30*time.Second)
	for name, quiet := range map[string]func(*talker){
		"mute": func(*talker) { time.Sleep(silence) },
		"DTX": func(k *talker) {
			sound := k.Payload
			k.Payload = func(int64) []byte { return []byte{0xf8} }
			for end := time.Now().Add(silence); time.Now().Before(end); {
				k.Say(20 * time.Millisecond)
				time.Sleep(380 * time.Millisecond)
			}
			k.Payload = sound
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := openHall(t)
				c := h.start("c1")
				ann := h.talker("ann", "ann-voice", v, 0)
				ann.Say(15 * time.Second)
				quiet(ann)
				again := ann.before(time.Now())
				ann.Say(15 * time.Second)
				m := h.end(c, "c1")
				all := h.packets(m, "streams-ogg/ann/ann-voice")
				order(t, all)
				off := ann.placed(t, m, all, 20*time.Millisecond)
				if lost := append(ann.missing(all, 0, 750), ann.missing(all, again, ann.Frames())...); len(lost) > 0 {
					t.Errorf("missing: %v", lost)
				}
				l := whole(t, m, "ann/ann-voice", 2*15*time.Second+silence)
				if l["lost"]+l["concealed"]+l["away"]+l["recorderDown"] != 0 || l["stalled"]+l["dtx"] < silence.Milliseconds()-40 {
					t.Errorf("ledger %v", l)
				}
				t.Logf("off by %v, ledger %v", off, l)
				at := ann.begin.Sub(m.Start.Time).Milliseconds()
				mix, start := h.listen(m, "mix-wav")
				near(t, "ann in the mix", heard(mix, start, 400), [][2]int64{
					{at, at + 15000}, {at + 15000 + silence.Milliseconds(), at + 30000 + silence.Milliseconds()},
				}, 20)
			})
		})
	}
}
