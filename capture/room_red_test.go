package capture_test

import (
	"testing"
	"testing/synctest"
	"time"

	"mixdown/capture"
)

// TestRedundantAudio: a publisher who sends RED and answers no NACK loses a
// fifth of the packets on the way into the room, and nothing of the recording:
// what was lost is decoded from copies, which the ledger calls recovered.
func TestRedundantAudio(t *testing.T) {
	v := newVoice(t, "", 400)
	synctest.Test(t, func(t *testing.T) {
		h := openHall(t)
		h.visitor("bob", false, nil) // somebody is there whatever the loss
		c := h.start("c1", func(s *capture.Spec) {
			s.Record = append(s.Record, capture.RecordSpec{What: "mix", Format: "wav"})
			s.Republish = []capture.RepublishSpec{{StreamID: "mix"}}
		})
		ann := h.bed.Redundant("r", "ann", "ann-voice")
		ann.Payload = func(n int64) []byte { return numbered(v.packets[n%int64(len(v.packets))], n) }
		ann.Say(5 * time.Second)
		ann.Link.Lose(0.2, 3)
		const length = 40 * time.Second
		ann.Say(length)
		ann.Link.Lose(0, 0)
		ann.Say(5 * time.Second)
		time.Sleep(time.Second)
		m := h.end(c, "c1")
		l := m.Ledger["ann/ann-voice"]
		t.Logf("ledger %v", l)
		if got := l["recovered"]; got < 5000 || got > 10000 {
			t.Errorf("%d ms recovered, of about 8000 lost on the way", got)
		}
		// Three in a row are lost once in 125 times.
		if got := l["concealed"] + l["lost"]; got > 600 {
			t.Errorf("%d ms are missing", got)
		}
	})
}
