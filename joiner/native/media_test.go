package native_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtp"

	"mixdown/joiner"
	"mixdown/joiner/joinertest"
	"mixdown/rooms/roomstest"
	"mixdown/rooms/signal"
)

// TestEveryPacket: a hidden recorder that comes a little later than a stream
// still gets its packet one, and all others, in order, with number, time, level
// and marker as published.
func TestEveryPacket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bed := roomstest.New(t)
		ann := bed.Speaker("standup", "ann")
		ann.Say(2 * time.Second)
		rec := join(t, bed, bed.Host(), bed.Login("standup", "recorder", true))
		ann.Say(time.Second)
		time.Sleep(500 * time.Millisecond)
		ann.Say(2 * time.Second)
		time.Sleep(100 * time.Millisecond)

		h := rec.Of(ann.StreamID)
		packets, _ := h.Received()
		if len(packets) != 250 || h.Stray() != 0 {
			t.Fatalf("%d packets, want 250; %d after the end", len(packets), h.Stray())
		}
		first := packets[0]
		if first.Number != 0 {
			t.Errorf("the first packet is number %d", first.Number)
		}
		for i, p := range packets {
			if p.Sequence-first.Sequence != uint16(i) || p.Timestamp-first.Timestamp != uint32(p.Number*960) {
				t.Fatalf("packet %d: number %d, sequence +%d, time +%d", i, p.Number, p.Sequence-first.Sequence, p.Timestamp-first.Timestamp)
			}
			if p.Level != 30 || p.Marker != (i == 0 || i == 150) {
				t.Errorf("packet %d: level %d, marker %v", i, p.Level, p.Marker)
			}
		}
		if d := packets[150].Number - packets[149].Number; d != 26 {
			t.Errorf("after the pause the number rose by %d", d)
		}
	})
}

// TestSenderReports: the reports tell the publisher's clock to the millisecond,
// also while it sends nothing and after a reconnect.
func TestSenderReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bed := roomstest.New(t)
		rec := join(t, bed, bed.Host(), bed.Login("standup", "recorder", true)).connected(t)
		ann := bed.Speaker("standup", "ann")
		start := time.Now()
		ann.Say(5 * time.Second)
		time.Sleep(5 * time.Second) // DTX
		ann.Say(5 * time.Second)
		ann.Link.Cut(true)
		ann.Say(10 * time.Second)
		ann.Link.Cut(false)
		ann.Say(10 * time.Second)

		packets, reports := rec.Of(ann.StreamID).Received()
		if len(reports) < 20 {
			t.Fatalf("%d sender reports", len(reports))
		}
		// The base of the RTP time is the first packet's of each SSRC; the
		// stream goes on under the recorder's one SSRC.
		var worst time.Duration
		origin := packets[0].Timestamp
		for _, r := range reports {
			if r.SSRC != packets[0].SSRC {
				t.Fatalf("a report for SSRC %d, the track has %d", r.SSRC, packets[0].SSRC)
			}
			media := time.Duration(r.RTP-origin) * time.Second / 48000
			wall := ntp(r.NTP).Sub(start)
			if r.At.Sub(start) > 15*time.Second {
				continue // the server joined the numbers of two connections
			}
			worst = max(worst, (wall - media).Abs())
		}
		if worst > time.Millisecond {
			t.Errorf("a report is wrong by %v", worst)
		}
		var after []joinertest.Report
		for _, r := range reports {
			if r.At.Sub(start) > 26*time.Second {
				after = append(after, r)
			}
		}
		if len(after) < 5 {
			t.Fatalf("%d sender reports after the reconnect", len(after))
		}
		last := after[len(after)-1]
		d := time.Duration(last.RTP-after[0].RTP)*time.Second/48000 - ntp(last.NTP).Sub(ntp(after[0].NTP))
		if d.Abs() > time.Millisecond {
			t.Errorf("after the reconnect two reports disagree by %v", d)
		}
	})
}

// ntp reads a 64-bit NTP time (RFC 5905, section 6).
func ntp(v uint64) time.Time {
	const from1900to1970 = 2208988800
	fraction := float64(v&math.MaxUint32) / (1 << 32)
	return time.Unix(int64(v>>32)-from1900to1970, int64(fraction*1e9))
}

// TestLossIsRepaired: with a third of the packets lost in each direction of
// both legs, none is missing in the end.
func TestLossIsRepaired(t *testing.T) {
	for _, loss := range []float64{0.1, 0.3} {
		t.Run(fmt.Sprint(loss), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bed := roomstest.New(t)
				rec := join(t, bed, bed.Host(), bed.Login("standup", "recorder", true)).connected(t)
				ann := bed.Speaker("standup", "ann")
				ann.Say(time.Second)
				for i, l := range []*roomstest.Link{ann.Link, rec.host.Link} {
					l.Delay(20*time.Millisecond, 15*time.Millisecond)
					l.Lose(loss, uint64(i+1))
				}
				ann.Say(20 * time.Second)
				ann.Link.Lose(0, 0)
				rec.host.Link.Lose(0, 0)
				ann.Say(time.Second)
				time.Sleep(3 * time.Second)
				if missing := rec.Of(ann.StreamID).Missing(0, ann.Frames()); len(missing) > 0 {
					t.Errorf("%d of %d packets missing: %v", len(missing), ann.Frames(), missing)
				}
			})
		})
	}
}

// TestPublications: adding, changing and removing a publication shows in the
// room; the recording indicator too.
func TestPublications(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bed := roomstest.New(t)
		ann := join(t, bed, bed.Host(), bed.Login("standup", "ann", false)).connected(t)
		rec := join(t, bed, bed.Host(), bed.Login("standup", "recorder", true)).connected(t)
		rec.Pubs.SetIndicator(joiner.RecordingOn)
		mix := rec.Pubs.Add("standup-mix", "mix", 2)
		within(t, time.Second, "published", func() bool { return mix.Stats().Published })
		for n := range int64(50) {
			if err := mix.WritePacket(joiner.OutPacket{Pos: n * 960, Samples: 960, Level: 200, Payload: joinertest.Numbered(n)}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Millisecond)
		}
		rec.Pubs.Add("standup-mix", "other", 2)
		time.Sleep(time.Second)
		if room, ok := bed.Service().Room("standup"); !ok || len(room.Streams) != 1 || room.Recording != "recording" {
			t.Errorf("room %+v", room)
		}
		rec.Pubs.SetIndicator(joiner.RecordingPaused)
		rec.Pubs.Remove("standup-mix")
		time.Sleep(time.Second)
		if room, _ := bed.Service().Room("standup"); len(room.Streams) != 0 || room.Recording != "paused" {
			t.Errorf("room %+v", room)
		}
		if s := mix.Stats(); s.Published || s.Err != nil {
			t.Errorf("stats %+v", s)
		}
		want := []string{"CONNECTING", "CONNECTED", "stream standup-mix", "info standup-mix: other", "end standup-mix: stopped by the user"}
		if got := ann.Take(); !slices.Equal(got, want) {
			t.Errorf("told %q\nwant %q", got, want)
		}
		packets, _ := ann.Of("standup-mix").Received()
		// Who is not hidden hears what comes from now on only.
		if len(packets) < 48 || packets[len(packets)-1].Number != 49 || packets[0].Level != 127 {
			t.Errorf("%d packets: %v", len(packets), packets)
		}
	})
}

// TestPublicationReplaced: a publication that is removed and added again at
// once is a new stream that stays.
func TestPublicationReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bed := roomstest.New(t)
		ann := join(t, bed, bed.Host(), bed.Login("standup", "ann", false)).connected(t)
		bob := join(t, bed, bed.Host(), bed.Login("standup", "bob", false)).connected(t)
		var mix *joiner.Publication
		for range 5 {
			bob.Pubs.Remove("mix")
			bob.Pubs.Add("mix", "", 1)
			time.Sleep(time.Second)
		}
		bob.Pubs.Remove("mix")
		bob.Pubs.Add("mix", "", 1)
		bob.Pubs.Remove("mix")
		mix = bob.Pubs.Add("mix", "", 1)
		time.Sleep(5 * time.Second)
		if s := mix.Stats(); !s.Published {
			t.Errorf("stats %+v", s)
		}
		lines := ann.Take()
		if last := lines[len(lines)-1]; last != "stream mix" {
			t.Errorf("told %q", lines)
		}
	})
}

// TestStreamRemovedByServer: what an operator removes does not come back by
// itself.
func TestStreamRemovedByServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bed := roomstest.New(t)
		ann := bed.Speaker("standup", "ann")
		rec := join(t, bed, bed.Host(), bed.Login("standup", "recorder", true)).connected(t)
		ann.Say(time.Second)
		if err := bed.Service().RemoveStream("standup", ann.StreamID); err != nil {
			t.Fatal(err)
		}
		ann.Say(10 * time.Second)
		if s := ann.Publication.Stats(); s.Published || s.Err == nil {
			t.Errorf("stats %+v", s)
		}
		lines := rec.Take()
		if last := lines[len(lines)-1]; last != "end ann-voice: removed by the server" {
			t.Errorf("told %q", lines)
		}
	})
}

// TestNothingPlayed: a room that wants no stream gets none.
func TestNothingPlayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bed := roomstest.New(t)
		rec := joinertest.NewEar()
		rec.Refuse = true
		j := joinAs(t, bed, bed.Host(), bed.Login("standup", "recorder", true), rec).connected(t)
		ann := bed.Speaker("standup", "ann")
		ann.Say(time.Second)
		want := []string{"CONNECTING", "CONNECTED", "+ ann", "stream ann-voice"}
		if got := j.Take(); !slices.Equal(got, want) {
			t.Errorf("told %q", got)
		}
	})
}

// TestReceiverPanics: a panic on the media path ends the participant only.
func TestReceiverPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bed := roomstest.New(t)
		j := join(t, bed, bed.Host(), bed.Login("standup", "ann", false)).connected(t)
		broken := make(chan error, 1)
		ctx := t.Context()
		host := bed.Host()
		go func() {
			broken <- joiner.NewParticipant(host.System, bed.Login("standup", "recorder", true), burning{}, nil, nil, bed.Log).Run(ctx)
		}()
		pub := j.Pubs.Add("voice", "", 1)
		within(t, time.Second, "published", func() bool { return pub.Stats().Published })
		for n := range int64(100) {
			_ = pub.WritePacket(joiner.OutPacket{Pos: n * 960, Samples: 960, Payload: []byte{1, 2}})
			time.Sleep(20 * time.Millisecond)
		}
		select {
		case err := <-broken:
			if !errors.Is(err, joiner.ErrPermanent) || !strings.Contains(err.Error(), "receiver on fire") {
				t.Errorf("error %v", err)
			}
		default:
			t.Error("the participant lives on")
		}
	})
}

type burning struct{}

func (burning) Event(joiner.Event)                    {}
func (burning) Stream(joiner.Stream) joiner.Receiver  { return burning{} }
func (burning) Packet(*rtp.Packet, uint8, time.Time)  { panic("receiver on fire") }
func (burning) Report(joiner.SenderReport, time.Time) {}

// TestRemovedPublicationKeepsTheLogin: a publication that is removed before its
// turn came takes nothing else with it.
func TestRemovedPublicationKeepsTheLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, func(c *client, method string, _ json.RawMessage) (any, *signal.Error) {
			if method == signal.StopPublishing {
				time.Sleep(100 * time.Millisecond)
			}
			return loggedIn(c, method, nil)
		})
		pubs := new(joiner.Publications)
		_, ended := connect(t, f.system(), fakeLogin(true), joinertest.NewEar(), pubs)
		time.Sleep(time.Second)
		for n := range 30 {
			for channels := 1; channels <= 2; channels++ {
				pubs.Add("mix", "", channels)
				time.Sleep(10 * time.Millisecond)
				pubs.Remove("mix")
				time.Sleep(10 * time.Millisecond)
			}
			time.Sleep(2 * time.Second)
			select {
			case err := <-ended:
				t.Fatalf("round %d: the login is lost: %v", n, err)
			default:
			}
		}
	})
}
