package rooms_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"mixdown/rooms"
	"mixdown/rooms/signal"
)

func TestStreams(t *testing.T) {
	virtual(t, nil, func(w *world) {
		a, b := w.login("r", "a"), w.login("r", "b")
		elsewhere := w.login("q", "e")
		a.do(signal.StartPublishing, signal.PublishParams{StreamID: "s1", ExtraInfo: "one", SDP: w.offer()}, nil)
		a.publish("s2")
		b.streams("r ADD s1/a", "r ADD s2/a")
		a.streams()
		elsewhere.streams()

		a.fails(signal.CodeAlreadyPublishing, signal.StartPublishing, signal.PublishParams{StreamID: "s1", SDP: w.offer()})
		b.fails(signal.CodeDuplicateStream, signal.StartPublishing, signal.PublishParams{StreamID: "s1", SDP: w.offer()})
		elsewhere.fails(signal.CodeDuplicateStream, signal.StartPublishing, signal.PublishParams{StreamID: "s1", SDP: w.offer()})
		b.streams()
		a.streamStates(signal.PublisherStateUpdate)

		infos := func(c *client, want ...string) {
			t.Helper()
			expect(c, signal.StreamExtraInfoUpdate, func(p signal.StreamExtraInfoParams) string {
				return fmt.Sprint(p.RoomID, " ", p.StreamList[0].StreamID, " ", p.StreamList[0].ExtraInfo)
			}, want...)
		}
		a.do(signal.SetStreamExtraInfo, signal.StreamParams{StreamID: "s1", ExtraInfo: "two"}, nil)
		a.fails(signal.CodeStreamInfoTooLong, signal.SetStreamExtraInfo, signal.StreamParams{StreamID: "s1", ExtraInfo: strings.Repeat("x", 1025)})
		a.fails(signal.CodeNotPublishing, signal.SetStreamExtraInfo, signal.StreamParams{StreamID: "s3"})
		b.fails(signal.CodeNotPublishing, signal.SetStreamExtraInfo, signal.StreamParams{StreamID: "s1"})
		infos(b, "r s1 two")
		infos(a)

		b.fails(signal.CodeNotPublishing, signal.StopPublishing, signal.StreamParams{StreamID: "s1"})
		a.do(signal.StopPublishing, signal.StreamParams{StreamID: "s1"}, nil)
		a.streamStates(signal.PublisherStateUpdate, "s1 NO_PUBLISH 0")
		b.streams("r DELETE s1/a [{1}]")
		// The ID is free again.
		elsewhere.publish("s1")
		a.publish("s3")
		b.streams("r ADD s3/a")
		a.leave()
		b.streams("r DELETE s2/a s3/a [{1} {1}]")
		b.userNews("r DELETE a")
		b.leave()
		elsewhere.leave()
	})
}

func TestLimitOfStreams(t *testing.T) {
	virtual(t, func(c *rooms.Config) { c.MaxStreamsPerUser = 2 }, func(w *world) {
		a := w.login("r", "a")
		a.publish("s1")
		a.publish("s2")
		a.fails(signal.CodePublishForbidden, signal.StartPublishing, signal.PublishParams{StreamID: "s3", SDP: w.offer()})
		a.leave()
	})
}

// TestMediaLost: the media connection of a stream dies, its signalling lives.
func TestMediaLost(t *testing.T) {
	virtual(t, nil, func(w *world) {
		a, b := w.login("r", "a"), w.login("r", "b")
		p := a.speak("s")
		a.streamStates(signal.PublisherStateUpdate, "s PUBLISHING 0")
		e := b.ear()
		b.do(signal.StartPlaying, signal.StreamsParams{StreamIDs: []string{"s"}}, nil)
		e.answerOffer()
		b.streamStates(signal.PlayerStateUpdate, "s PLAYING 0")
		p.talk(10, "first", 30)
		b.forget()

		p.close()
		time.Sleep(time.Second)
		a.streamStates(signal.PublisherStateUpdate, "s PUBLISH_REQUESTING 1103003")
		b.fails(signal.CodeDuplicateStream, signal.StartPublishing, signal.PublishParams{StreamID: "s", SDP: w.offer()})
		time.Sleep(28 * time.Second)
		p = a.speak("s")
		a.streamStates(signal.PublisherStateUpdate, "s PUBLISHING 0")
		p.talk(50, "second", 30)
		time.Sleep(60 * time.Second)
		b.streams()
		b.streamStates(signal.PlayerStateUpdate)
		if n := e.hears("second"); n == 0 {
			t.Error("the player was not bound to the new media")
		}
		if got := b.news(signal.Offer); len(got) != 0 {
			t.Errorf("the player was offered anew: %s", got)
		}
		a.fails(signal.CodeAlreadyPublishing, signal.StartPublishing, signal.PublishParams{StreamID: "s", SDP: w.offer()})

		p.close()
		time.Sleep(29 * time.Second)
		b.streams()
		time.Sleep(2 * time.Second)
		a.streamStates(signal.PublisherStateUpdate, "s PUBLISH_REQUESTING 1103003", "s NO_PUBLISH 1103051")
		b.streams("r DELETE s/a [{5}]")
		b.streamStates(signal.PlayerStateUpdate, "s NO_PLAY 1004002")
		a.leave()
		b.leave()
		e.close()
	})
}

// TestMediaNeverComes: a publisher who got an answer and vanished.
func TestMediaNeverComes(t *testing.T) {
	virtual(t, nil, func(w *world) {
		a, b := w.login("r", "a"), w.login("r", "b")
		a.publish("s")
		b.streams("r ADD s/a")
		time.Sleep(100 * time.Second)
		a.streamStates(signal.PublisherStateUpdate, "s PUBLISH_REQUESTING 1103003", "s NO_PUBLISH 1103051")
		b.streams("r DELETE s/a [{5}]")
		a.leave()
		b.leave()
	})
}

func TestPlaying(t *testing.T) {
	virtual(t, nil, func(w *world) {
		a, b, c := w.login("r", "a"), w.login("r", "b"), w.login("q", "c")
		pa, pb := a.speak("sa"), b.speak("sb")
		c.publish("sc")
		l := w.login("r", "l", listener)
		e := l.ear()
		l.forget()
		ids := func(ids ...string) signal.StreamsParams { return signal.StreamsParams{StreamIDs: ids} }
		l.fails(signal.CodeInvalidParams, signal.StartPlaying, ids())
		l.fails(signal.CodeStreamIDBad, signal.StartPlaying, ids("sa", "s a"))
		l.fails(signal.CodePlayBadSDP, signal.Answer, signal.SDP{SDP: "x"})
		l.forget()
		l.do(signal.StartPlaying, ids("sa", "sb", "sc", "nosuch", "sa"), nil)
		time.Sleep(50 * time.Millisecond)
		if got := strings.Join(l.methods(), " "); got != "result playerStateUpdate playerStateUpdate offer" {
			t.Errorf("after startPlaying: %s", got)
		}
		l.streamStates(signal.PlayerStateUpdate, "sc NO_PLAY 1004002", "nosuch NO_PLAY 1004002")
		l.fails(signal.CodeAlreadyPlaying, signal.StartPlaying, ids("sb", "sa"))
		l.fails(signal.CodePlayBadSDP, signal.Answer, signal.SDP{})
		l.fails(signal.CodePlayBadSDP, signal.Answer, signal.SDP{SDP: "nonsense"})
		streams := e.answerOffer()
		if len(streams) != 2 {
			t.Errorf("the offer names %v, want two streams", streams)
		}
		l.streamStates(signal.PlayerStateUpdate, "sa PLAYING 0", "sb PLAYING 0")
		pa.talk(5, "a", 20)
		pb.talk(5, "b", 20)
		if e.hears("a") != 5 || e.hears("b") != 5 {
			t.Errorf("heard %v", e.count)
		}

		b.do(signal.StopPublishing, signal.StreamParams{StreamID: "sb"}, nil)
		l.streamStates(signal.PlayerStateUpdate, "sb NO_PLAY 1004002")
		l.streams("r DELETE sb/b [{1}]")
		if streams := e.answerOffer(); len(streams) != 1 {
			t.Errorf("the offer names %v, want one stream", streams)
		}
		pb.close()
		pb = b.speak("sb")
		l.do(signal.StartPlaying, ids("sb"), nil)
		e.answerOffer()
		pb.talk(5, "again", 20)
		if e.hears("again") != 5 {
			t.Errorf("did not hear the stream that came back: %v", e.count)
		}
		l.forget()
		l.do(signal.StopPlaying, ids("sa", "nosuch"), nil)
		time.Sleep(50 * time.Millisecond)
		if got := strings.Join(l.methods(), " "); got != "result playerStateUpdate offer" {
			t.Errorf("after stopPlaying: %s", got)
		}
		l.streamStates(signal.PlayerStateUpdate, "sa NO_PLAY 0")
		e.answerOffer()
		pa.talk(5, "a", 20)
		if e.hears("a") != 5 {
			t.Error("heard a stopped stream")
		}
		for _, x := range []*client{a, b, c, l} {
			x.leave()
		}
		pa.close()
		pb.close()
		e.close()
	})
}

// TestPlayerLost: the client's player connection dies; it may play again.
func TestPlayerLost(t *testing.T) {
	virtual(t, nil, func(w *world) {
		a, b := w.login("r", "a"), w.login("r", "b")
		p := a.speak("s")
		e := b.ear()
		b.do(signal.StartPlaying, signal.StreamsParams{StreamIDs: []string{"s"}}, nil)
		e.answerOffer()
		b.forget()
		e.close()
		time.Sleep(time.Second)
		b.streamStates(signal.PlayerStateUpdate, "s NO_PLAY 1004020")
		e = b.ear()
		b.do(signal.StartPlaying, signal.StreamsParams{StreamIDs: []string{"s"}}, nil)
		e.answerOffer()
		b.streamStates(signal.PlayerStateUpdate, "s PLAYING 0")
		p.talk(5, "a", 20)
		if e.hears("a") != 5 {
			t.Error("heard nothing after playing again")
		}
		a.leave()
		b.leave()
		p.close()
		e.close()
	})
}

func TestSoundLevels(t *testing.T) {
	virtual(t, nil, func(w *world) {
		a, b, c := w.login("r", "a"), w.login("r", "b"), w.login("q", "c")
		time.Sleep(5 * time.Second)
		if got := b.news(signal.RoomSoundLevel); len(got) != 0 {
			t.Errorf("levels in a room without streams: %s", got)
		}
		p := a.speak("s")
		a.publish("quiet")
		p.talk(50, "x", 35)
		b.forget()
		p.talk(150, "x", 35)
		levels := b.news(signal.RoomSoundLevel)
		if len(levels) != 3 {
			t.Errorf("%d levels in 3 s: %s", len(levels), levels)
		}
		for _, params := range levels {
			var l signal.SoundLevelParams
			check(t, json.Unmarshal(params, &l))
			if l.RoomID != "r" || l.Levels["s"] != -35 || l.Levels["quiet"] != -127 || len(l.Levels) != 2 {
				t.Errorf("levels: %s", params)
			}
		}
		if got := c.news(signal.RoomSoundLevel); len(got) != 0 {
			t.Errorf("levels in another room: %s", got)
		}
		for _, x := range []*client{a, b, c} {
			x.leave()
		}
		p.close()
	})
}

// TestPublishAnswer: what a browser needs is in the answer.
func TestPublishAnswer(t *testing.T) {
	virtual(t, nil, func(w *world) {
		a := w.login("r", "a")
		p := w.publisher()
		var answer signal.SDP
		a.do(signal.StartPublishing, signal.PublishParams{StreamID: "s", SDP: p.offer()}, &answer)
		for _, line := range []string{"a=ice-lite", "a=candidate:", "useinbandfec=1", "a=rtcp-fb:111 nack"} {
			if !strings.Contains(answer.SDP, line) {
				t.Errorf("the answer lacks %q", line)
			}
		}
		p.accept(answer.SDP)
		w.connected(p)
		if p.pc.ConnectionState() != webrtc.PeerConnectionStateConnected {
			t.Error("not connected")
		}
		a.leave()
		p.close()
	})
}
