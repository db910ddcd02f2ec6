package web_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"mixdown/rooms/udp"
	"mixdown/web/webtest"
)

// TestQuality checks that quality events come every three seconds and carry
// figures of a call that works.
func TestQuality(t *testing.T) {
	d := start(t)
	ann := d.caller("ann", 500)
	ann.do(`(async () => {
		window.bob = engine();
		await bob.loginRoom(%s, %s, {userID: 'bob', userName: ''});
		const stream = await zg.createStream({camera: {audio: true, video: false, AEC: false, ANS: false, AGC: false}});
		bob.startPublishingStream('tone', stream);
	})()`, roomID, d.token("bob"))
	ann.do(`(async () => {
		window.quality = {};
		bob.on('publishQualityUpdate', (id, stats) => (quality.publish = [...(quality.publish || []), {id, at: performance.now(), ...stats}]));
		zg.on('playQualityUpdate', (id, stats) => (quality.play = [...(quality.play || []), {id, at: performance.now(), ...stats}]));
		bob.setSoundLevelDelegate(true, 100);
		zg.setSoundLevelDelegate(true, 100);
		window.levels = {};
		bob.on('soundLevelUpdate', ([{streamID, soundLevel, type}]) => (levels[type + ' ' + streamID] = soundLevel));
		zg.on('soundLevelUpdate', ([{streamID, soundLevel, type}]) => (levels[type + ' ' + streamID] = soundLevel));
	})()`)
	ann.login()
	ann.await("stream ADD tone")
	ann.do(`zg.getPlayerInstance('tone').play()`)
	webtest.Await(t, ann.ctx, `quality.publish?.length >= 4 && quality.play?.length >= 3`, `quality`)
	for _, what := range []string{"publish", "play"} {
		gaps := webtest.Eval[[]float64](t, ann.ctx, fill(`quality[%s].slice(1).map((q, i) => q.at - quality[%s][i].at)`, []any{what, what}))
		slices.Sort(gaps)
		if middle := gaps[len(gaps)/2]; middle < 2500 || middle > 3500 {
			t.Errorf("%s quality after ms %.0f, want every 3000", what, gaps)
		}
	}
	for _, what := range []string{"publish", "play"} {
		var reports [][]string
		for _, s := range webtest.Eval[[]quality](t, ann.ctx, fill(`quality[%s]`, []any{what})) {
			reports = append(reports, s.wrong(what == "play"))
		}
		// A machine that stops for a moment spoils a report, not all of them.
		if !slices.ContainsFunc(reports, func(wrong []string) bool { return len(wrong) == 0 }) {
			t.Errorf("%s quality: %q", what, reports)
		}
	}
	webtest.Await(t, ann.ctx, `['push tone', 'pull tone'].every((which) => levels[which] >= 70 && levels[which] <= 90)`, `levels`) // −12 dBov is 80
}

// quality is a report of the quality of a stream.
type quality struct {
	ID    string
	Audio struct {
		AudioBitrate, AudioFPS, AudioJitter, AudioLevel, AudioPacketsLostRate float64
		AudioCodec                                                            string
		AudioSamplingRate, AudioQuality                                       int
	}
	RoundTripTime, PeerToPeerDelay float64
}

// wrong is what is not as it is in a call that works.
func (q quality) wrong(played bool) (all []string) {
	a := q.Audio
	if q.ID != "tone" || a.AudioCodec != "opus" || a.AudioSamplingRate != 48000 {
		all = append(all, fmt.Sprintf("%+v", q))
	}
	if a.AudioBitrate < 10 || a.AudioBitrate > 200 || a.AudioFPS < 40 || a.AudioFPS > 60 {
		all = append(all, fmt.Sprintf("%.1f kbit/s in %.1f packets/s", a.AudioBitrate, a.AudioFPS))
	}
	if a.AudioLevel < 0.15 || a.AudioLevel > 0.35 || a.AudioPacketsLostRate > 20 {
		all = append(all, fmt.Sprintf("level %.2f, %.1f %% lost", a.AudioLevel, a.AudioPacketsLostRate))
	}
	if !played && (q.RoundTripTime <= 0 || q.RoundTripTime > 500) {
		all = append(all, fmt.Sprintf("round trip %.2f ms", q.RoundTripTime))
	}
	if played && (q.PeerToPeerDelay < 5 || q.PeerToPeerDelay > 1000) {
		all = append(all, fmt.Sprintf("delay %.1f ms", q.PeerToPeerDelay))
	}
	return all
}

// TestRetransmission loses 15 % of the packets both ways: browsers must send
// again what the service misses, and ask it for what they miss.
func TestRetransmission(t *testing.T) {
	network := &lossy{rand: rand.New(rand.NewPCG(1, 2)), share: 0.15}
	d := startOver(t, func(socket *udp.Conn) net.PacketConn {
		network.PacketConn = socket
		return network
	})
	ann := d.caller("ann", 500)
	ann.do(`(async () => {
		window.bob = engine();
		await bob.loginRoom(%s, %s, {userID: 'bob', userName: ''});
		await bob.createPusher(raw).start('tone');
		bob.on('publishQualityUpdate', (id, stats) => (window.sent = stats.audio));
		zg.on('playQualityUpdate', (id, stats) => (window.received = stats.audio));
	})()`, roomID, d.token("bob"))
	ann.login()
	ann.do(`zg.getPlayerInstance('tone').play()`)
	network.losing.Store(true)
	webtest.Await(t, ann.ctx, `window.sent?.audioPacketsRetransmitted >= 10 && window.received?.audioNackCount >= 5`, `({sent, received})`)
	if lost := webtest.Eval[float64](t, ann.ctx, `received.audioPacketsLostRate`); lost > 5 {
		t.Errorf("%.1f %% stay lost", lost)
	}
	ann.hears("tone", 500)
}

// TestReconnect takes the whole network away for five seconds, signalling and
// media: both are told CONNECTING, nobody is told to have left, and afterwards
// both hear each other again.
func TestReconnect(t *testing.T) {
	network := &lossy{rand: rand.New(rand.NewPCG(1, 2))}
	d := startOver(t, func(socket *udp.Conn) net.PacketConn {
		network.PacketConn = socket
		return network
	})
	ann, bob := d.caller("ann", 500), d.caller("bob", 800)
	for _, c := range []*caller{ann, bob} {
		c.do(playWhatComes)
		c.login()
		c.do(`zg.createPusher(raw).start(%s + '-stream')`, c.user)
	}
	ann.await("bob-stream PLAYING 0")
	bob.await("ann-stream PLAYING 0")
	for _, c := range []*caller{ann, bob} {
		c.do(`zg.log.length = 0`)
	}
	network.deaf.Store(true)
	d.link.cut()
	ann.await("room CONNECTING 1000017")
	bob.await("room CONNECTING 1000017")
	ann.do(`new Promise((resolve) => setTimeout(resolve, 5000))`)
	for _, c := range []*caller{ann, bob} {
		if log := webtest.Eval[[]string](t, c.ctx, `zg.log`); slices.Contains(log, "room CONNECTED 0") {
			t.Errorf("%s is connected without a network: %q", c.user, log)
		}
	}
	network.deaf.Store(false)
	d.link.mend()
	for c, other := range map[*caller]*caller{ann: bob, bob: ann} {
		c.await("changed RECONNECTED 0")
		c.await(c.user + "-stream PUBLISHING 0")
		c.await(other.user + "-stream PLAYING 0")
		c.saw("room CONNECTING 1000017", "changed RECONNECTING 1000017", "room CONNECTED 0", "changed RECONNECTED 0")
		for _, line := range webtest.Eval[[]string](t, c.ctx, `zg.log`) {
			if strings.Contains(line, "DELETE") {
				t.Errorf("%s was told %q", c.user, line)
			}
		}
	}
	ann.hears("bob-stream", 800)
	bob.hears("ann-stream", 500)
	// A closed page does not linger for the time that a lost one may.
	webtest.Open(t, ann.ctx, "about:blank")
	bob.await("user DELETE ann")
}

// TestTokenExpiry: the warning comes 30 s before the end; after it a running
// stream goes on, a new one is refused, and a renewed token heals that.
func TestTokenExpiry(t *testing.T) {
	d := start(t)
	ann := d.caller("ann", 500)
	ann.do(`zg.on('tokenWillExpire', (room) => zg.log.push('expires ' + room))`)
	ann.token = d.mint("ann", 32*time.Second)
	ann.login()
	ann.do(`zg.createPusher(raw).start('first')`)
	ann.await("expires " + roomID)
	ann.do(`zg.destroyEngine(); window.zg = engine(); zg.on('tokenWillExpire', (room) => zg.log.push('expires ' + room))`)

	ann.token = d.mint("ann", 8*time.Second)
	expired := time.Now().Add(9 * time.Second)
	ann.login()
	ann.do(`zg.createPusher(raw).start('first')`)
	ann.await("expires " + roomID)
	<-time.After(time.Until(expired))
	late := `refusal(zg.createStream({camera: {audio: true, video: false}}).then((stream) => {
		window.late = stream;
		zg.log.length = 0;
		zg.startPublishingStream('second', stream);
	}))`
	if code := webtest.Eval[int](t, ann.ctx, late); code != 0 {
		t.Fatalf("createStream: code %d", code)
	}
	ann.await("second NO_PUBLISH 1102018")
	if log := webtest.Eval[[]string](t, ann.ctx, `zg.log`); slices.ContainsFunc(log, func(l string) bool {
		return strings.HasPrefix(l, "first") || strings.HasPrefix(l, "room")
	}) {
		t.Errorf("the expiry ended what ran: %q", log)
	}
	if renewed := webtest.Eval[[]bool](t, ann.ctx, fill(`[zg.renewToken('nonsense'), zg.renewToken(%s, %s)]`, []any{d.token("ann"), roomID})); renewed[0] || !renewed[1] {
		t.Errorf("renewToken of nonsense and of a token: %v", renewed)
	}
	ann.do(`zg.startPublishingStream('second', late)`)
	ann.await("second PUBLISHING 0")
}

// TestMicrophoneSwitch: the other microphone is heard in the same stream.
func TestMicrophoneSwitch(t *testing.T) {
	d := start(t)
	ann := d.caller("ann", 500)
	ann.login()
	ann.do(`(async () => {
		window.stream = await zg.createZegoStream({camera: {audio: {AEC: false, ANS: false, AGC: false}, video: false}});
		zg.startPublishingStream('mic', stream);
		window.bob = engine();
		await bob.loginRoom(%s, %s, {userID: 'bob'});
	})()`, roomID, d.token("bob"))
	ann.await("mic PUBLISHING 0")
	ann.do(`bob.getPlayerInstance('mic').play()`)
	ann.hears("mic", 500)
	ann.do(`(async () => {
		const before = stream.stream.getAudioTracks()[0];
		const [{deviceID}] = await zg.getMicrophones();
		await zg.useAudioDevice(stream, deviceID);
		if (stream.stream.getAudioTracks()[0] === before || before.readyState !== 'ended') throw new Error('the track is the same');
	})()`)
	ann.hears("mic", 500)
	if log := webtest.Eval[[]string](t, ann.ctx, `zg.log`); count(log, "mic PUBLISHING 0") != 1 || count(log, "mic PUBLISH_REQUESTING 0") != 1 {
		t.Errorf("the stream was published again: %q", log)
	}
}
