package capture_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/capture"
	"mixdown/mixer/pcm"
	"mixdown/rooms/roomstest"
)

// TestRoomLinkCut: whoever's link is cut, and for how long, there is one
// recording without a shift, and the hole is as long as the cut and up to
// three seconds, and declared.
func TestRoomLinkCut(t *testing.T) {
	v := newVoice(t, "", 400)
	for _, test := range []struct {
		who    string
		cut    time.Duration
		lossy  bool // short cuts are mended by retransmission
		shares []string
	}{
		{"recorder", time.Second, false, nil},
		{"recorder", 10 * time.Second, true, []string{"recorderDown", "lost", "concealed"}},
		{"recorder", time.Minute, true, []string{"recorderDown", "lost", "concealed"}},
		{"ann", time.Second, false, nil},
		{"ann", 10 * time.Second, true, []string{"stalled", "lost", "concealed"}},
		{"ann", time.Minute, true, []string{"stalled", "away", "lost", "concealed"}},
	} {
		if raced && test.cut == time.Minute {
			continue // nothing but more of the same
		}
		t.Run(fmt.Sprint(test.who, " ", test.cut), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := openHall(t)
				c := h.start("c1")
				ann := h.talker("ann", "ann-voice", v, 0)
				link := map[string]*roomstest.Link{"recorder": h.recorder.Link, "ann": ann.Link}[test.who]
				ann.Say(10 * time.Second)
				link.Cut(true)
				cut := ann.Frames()
				ann.Say(test.cut)
				link.Cut(false)
				back := ann.Frames()
				ann.Say(10 * time.Second)
				m := h.end(c, "c1")

				all := h.packets(m, "streams-ogg/ann/ann-voice")
				order(t, all)
				ann.placed(t, m, all, 20*time.Millisecond)
				if lost := ann.missing(all, 0, cut); len(lost) > 0 {
					t.Errorf("missing before the cut: %v", lost)
				}
				hole := ann.missing(all, cut, back+500)
				if !test.lossy && len(hole) > 0 {
					t.Errorf("missing after %v: %v", test.cut, hole)
				}
				if test.lossy && (len(hole) == 0 || hole[len(hole)-1] > back+150) {
					t.Errorf("%d packets missing from %d, back at %d", len(hole), cut, back)
				}
				l := whole(t, m, "ann/ann-voice", time.Duration(ann.Frames())*20*time.Millisecond)
				var declared int64
				for _, class := range test.shares {
					declared += l[class]
				}
				if d := declared - int64(len(hole))*20; d < -40 || d > 40 {
					t.Errorf("a hole of %d ms is declared as %v", len(hole)*20, l)
				}
				if down := l["recorderDown"]; test.who == "recorder" && test.lossy && down < int64(len(hole))*20-500 {
					t.Errorf("of a hole of %d ms by the recorder's own link, %d ms are said to be", len(hole)*20, down)
				}
				t.Logf("hole of %d ms, ledger %v", len(hole)*20, l)
				at := ann.begin.Sub(m.Start.Time).Milliseconds()
				want := [][2]int64{{at, at + 20*ann.Frames()}}
				if len(hole) > 0 {
					want = [][2]int64{{at, at + 20*hole[0]}, {at + 20*hole[len(hole)-1] + 20, at + 20*ann.Frames()}}
				}
				mix, start := h.listen(m, "mix-wav")
				got := heard(mix, start, 400)
				if len(hole) > 0 && len(got) == 2 && got[0][1] > want[0][1] && got[0][1] <= want[0][1]+120 {
					got[0][1] = want[0][1] // concealed
				}
				near(t, "ann in the mix", got, want, 20)
			})
		})
	}
}

// TestLoss: a third of the packets lost, on whose line ever, costs none.
func TestLoss(t *testing.T) {
	v, w := newVoice(t, "", 400), newVoice(t, "", 1000)
	length := unraced(time.Minute, 15*time.Second)
	for _, test := range []struct{ publisher, recorder float64 }{{0.3, 0}, {0, 0.3}, {0.3, 0.3}} {
		t.Run(fmt.Sprintf("publisher %v, recorder %v", test.publisher, test.recorder), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := openHall(t)
				h.recorder.Link.Delay(20*time.Millisecond, 0)
				h.recorder.Link.Lose(test.recorder, 5)
				c := h.start("c1", func(s *capture.Spec) {
					for i := range s.Record {
						s.Record[i].SegmentSeconds = 25
					}
				})
				ann, bob := h.talker("ann", "ann-voice", v, 0), h.talker("bob", "bob-voice", w, 0)
				for _, k := range []*talker{ann, bob} {
					k.Say(20 * time.Millisecond) // of a first packet that is lost nobody knows
				}
				for seed, l := range []*roomstest.Link{ann.Link, bob.Link} {
					l.Delay(20*time.Millisecond, 0)
					l.Lose(test.publisher, uint64(seed+7))
				}
				first := []int64{ann.before(time.Now()), bob.before(time.Now())}
				var wg sync.WaitGroup
				for _, k := range []*talker{ann, bob} {
					wg.Go(func() { k.Say(length + time.Second) })
				}
				wg.Wait()
				time.Sleep(2 * time.Second)
				m := h.end(c, "c1")
				for i, k := range []*talker{ann, bob} {
					all := h.packets(m, "streams-ogg/"+k.StreamID[:3]+"/"+k.StreamID)
					order(t, all)
					// What nothing follows nobody can miss: the last second is there
					// to show the loss of what came before it.
					lost := k.missing(all, first[i], k.Frames()-50)
					l := m.Ledger[k.StreamID[:3]+"/"+k.StreamID]
					t.Logf("%s: %d missing, ledger %v, off by %v", k.StreamID, len(lost), l, k.placed(t, m, all, 60*time.Millisecond))
					if len(lost) > 0 || k.Frames()-first[i] < int64(length/pcm.FrameTime) || l["lost"] != 0 || l["concealed"] != 0 {
						t.Errorf("%s misses %v, ledger %v", k.StreamID, lost, l)
					}
				}
			})
		})
	}
}
