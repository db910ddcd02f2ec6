package livekit_test

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	lksdk "github.com/livekit/server-sdk-go/v2"

	"mixdown/joiner"
	"mixdown/joiner/joinertest"
	"mixdown/joiner/livekit/livekittest"
)

// missing counts the packets of a row that were not heard, from the first one
// that was to the last.
func missing(numbers, sent []int64) (lost, of int) {
	if len(numbers) == 0 {
		return len(sent), len(sent)
	}
	heard := make(map[int64]bool)
	for _, n := range numbers {
		heard[n] = true
	}
	first := slices.Min(numbers)
	for _, n := range sent {
		if n < first {
			continue
		}
		of++
		if !heard[n] {
			lost++
		}
	}
	return lost, of
}

// TestSignallingResumed: signalling that stands still for 8 s while media goes
// on is taken up again: no packet is missing, nobody is told of a loss, and
// what happened meanwhile is told.
func TestSignallingResumed(t *testing.T) {
	t.Parallel()
	b := newBed(t, livekittest.Start(t), "resumed")
	system, login := b.Recorder()
	r := joinertest.Join(t, system, login, joinertest.NewEar(), nil)
	r.Connected(t, 10*time.Second)
	ann, bob := b.Speaker("ann"), b.Speaker("bob")
	r.Take()
	b.link.Deafen(true)
	ann.Say(3 * time.Second)
	bob.Leave()
	ann.Say(5 * time.Second)
	b.link.Deafen(false)
	ann.Say(3 * time.Second)
	h := r.Of(ann.Stream().ID)
	last := ann.Sent()[len(ann.Sent())-1]
	joinertest.Within(t, 10*time.Second, "the last packet", func() bool { return slices.Contains(h.Numbers(), last) })
	if lost, of := missing(h.Numbers(), ann.Sent()); lost > 0 {
		t.Errorf("%d of %d packets are missing", lost, of)
	}
	joinertest.Within(t, 10*time.Second, "bob is gone", func() bool { return r.Told("- bob") })
	if told := r.Take(); slices.ContainsFunc(told, func(l string) bool { return l == "CONNECTING" || l == "- ann" }) {
		t.Errorf("told %q", told)
	}
}

// dropper loses packets that arrive and requests that leave, as a link does.
type dropper struct {
	interceptor.NoOp
	share float64
}

func (d *dropper) NewInterceptor(string) (interceptor.Interceptor, error) { return d, nil }

func (d *dropper) BindRemoteStream(_ *interceptor.StreamInfo, in interceptor.RTPReader) interceptor.RTPReader {
	return interceptor.RTPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		for {
			n, attributes, err := in.Read(b, a)
			if err != nil || rand.Float64() >= d.share {
				return n, attributes, err
			}
		}
	})
}

func (d *dropper) BindRTCPWriter(out interceptor.RTCPWriter) interceptor.RTCPWriter {
	return interceptor.RTCPWriterFunc(func(p []rtcp.Packet, a interceptor.Attributes) (int, error) {
		if rand.Float64() < d.share {
			return 0, nil
		}
		return out.Write(p, a)
	})
}

// TestLossSideBySide: the same voice over a link that loses a tenth, received by
// LiveKit's SDK as it comes and by us.
func TestLossSideBySide(t *testing.T) {
	t.Parallel()
	const share = 0.1
	server := livekittest.Start(t)
	b := newBed(t, server, "lossy")
	system, login := b.Recorder()
	r := joinertest.Join(t, system, login, joinertest.NewEar(), nil)
	r.Connected(t, 10*time.Second)
	ann := b.Speaker("ann")

	var mu sync.Mutex
	var numbers []int64
	callback := lksdk.NewRoomCallback()
	callback.OnTrackSubscribed = func(remote *webrtc.TrackRemote, _ *lksdk.RemoteTrackPublication, _ *lksdk.RemoteParticipant) {
		for {
			p, _, err := remote.ReadRTP()
			if err != nil {
				return
			}
			if n := joinertest.Number(p.Payload); n >= 0 {
				mu.Lock()
				numbers = append(numbers, n)
				mu.Unlock()
			}
		}
	}
	sdk, err := lksdk.ConnectToRoom(server.URL, lksdk.ConnectInfo{
		APIKey: livekittest.Key, APISecret: livekittest.Secret, RoomName: "lossy", ParticipantIdentity: "sdk",
	}, callback, lksdk.WithInterceptors([]interceptor.Factory{&dropper{share: share}}), lksdk.WithIncludeDefaultInterceptors(true))
	if err != nil {
		t.Fatal(err)
	}
	defer sdk.Disconnect()
	heard := func() []int64 {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(numbers)
	}
	joinertest.Within(t, 10*time.Second, "the SDK hears ann", func() bool {
		ann.Say(100 * time.Millisecond)
		return len(heard()) > 0
	})
	b.link.Lose(share)
	before := len(ann.Sent())
	ann.Say(12 * time.Second)
	sent := ann.Sent()[before:]
	time.Sleep(2 * time.Second) // for what is sent again
	b.link.Lose(0)
	theirs, of := missing(within(heard(), sent), sent)
	ours, of2 := missing(within(r.Of(ann.Stream().ID).Numbers(), sent), sent)
	t.Logf("packets missing at %.0f %% loss each way:\n  LiveKit's SDK, defaults  %4d of %d (%.2f %%)\n  joiner/livekit           %4d of %d (%.2f %%)", 100*share,
		theirs, of, 100*float64(theirs)/float64(of), ours, of2, 100*float64(ours)/float64(of2))
	if 100*ours > of2 || ours >= theirs {
		t.Errorf("%d of %d packets are missing", ours, of2)
	}
}

// within are the numbers of a row.
func within(numbers, row []int64) (list []int64) {
	for _, n := range numbers {
		if n >= row[0] && n <= row[len(row)-1] {
			list = append(list, n)
		}
	}
	return list
}

// TestNodeKilled: the node of a cluster that carries the room dies; the
// recorder comes back over the other one, and hears who comes there.
func TestNodeKilled(t *testing.T) {
	t.Parallel()
	redis := livekittest.StartRedis(t)
	first := livekittest.Start(t, livekittest.Redis(redis))
	b := newBed(t, first, "cluster")
	system, login := b.Recorder()
	r := joinertest.Join(t, system, login, joinertest.NewEar(), nil)
	r.Connected(t, 10*time.Second)
	ann := b.Speaker("ann")
	second := livekittest.Start(t, livekittest.Redis(redis))
	ann.Say(time.Second)
	r.Take()
	killed := time.Now()
	first.Kill()
	b.link.Point(second)
	b.server = second
	joinertest.Within(t, 20*time.Second, "the loss is noticed", func() bool { return r.Told("CONNECTING") })
	joinertest.Within(t, 60*time.Second, "the recorder is back", func() bool { s, _ := r.State(); return s == joiner.Connected })
	t.Logf("back %.1f s after the node was killed", time.Since(killed).Seconds())
	bob := b.Speaker("bob")
	bob.Say(time.Second)
	h := r.Of(bob.Stream().ID)
	last := bob.Sent()[len(bob.Sent())-1]
	joinertest.Within(t, 10*time.Second, "bob's last packet", func() bool { return slices.Contains(h.Numbers(), last) })
	if lost, of := missing(h.Numbers(), bob.Sent()); lost > 0 {
		t.Errorf("%d of %d packets are missing", lost, of)
	}
	if !r.Told("- ann") {
		t.Errorf("ann's end was not told: %q", r.Take())
	}
}
