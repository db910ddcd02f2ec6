package livekit

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"strings"

	lk "github.com/livekit/protocol/livekit"

	"mixdown/joiner"
)

// infoPrefix begins the attributes in which a participant keeps the extra info
// of its streams: "mixdown/" and the track's name.
const infoPrefix = "mixdown/"

// people is who is in the room and what they publish, as far as it was told.
// Only the connection's loop uses it.
type people struct {
	c        *connection
	known    map[string]*person // by identity
	speaking map[string]float32 // level of who speaks, by identity
	again    map[string]bool    // subscriptions that were refused
	named    map[string]bool    // who was told of since signalling was resumed; nil: all of that was told
}

type person struct {
	sid     string
	version uint32
	user    joiner.User
	streams map[string]*stream // by SID of the track
}

type stream struct {
	joiner.Stream
	red    bool // its publisher sends redundant audio
	secret bool // encrypted end to end
	played bool
}

func newPeople(c *connection) *people {
	return &people{c: c, known: make(map[string]*person), speaking: make(map[string]float32), again: make(map[string]bool)}
}

// ours says that a participant is this login, or the one that publishes for it.
func (p *people) ours(identity string) bool {
	return identity == p.c.self.GetIdentity() || p.c.speaker != nil && identity == p.c.self.GetIdentity()+speakerSuffix
}

// update takes news of participants.
func (p *people) update(list []*lk.ParticipantInfo) {
	var wanted []*stream
	for _, info := range list {
		if p.ours(info.Identity) {
			continue
		}
		if p.named != nil && info.State != lk.ParticipantInfo_DISCONNECTED {
			p.named[info.Identity] = true
		}
		if info.State == lk.ParticipantInfo_DISCONNECTED {
			if q := p.known[info.Identity]; q != nil && q.sid == info.Sid {
				p.gone(info.Identity, reasonOf(info.DisconnectReason))
			}
			continue
		}
		wanted = append(wanted, p.come(info)...)
	}
	p.play(wanted)
}

// all takes everybody who is there at login.
func (p *people) all(list []*lk.ParticipantInfo) {
	var there joiner.Present
	for _, info := range list {
		there.Users = append(there.Users, info.Identity)
		for _, t := range info.Tracks {
			there.Streams = append(there.Streams, t.Sid)
		}
	}
	p.c.room.Event(there)
	p.update(list)
}

// resumed says that signalling was away. The server tells next who has left
// meanwhile, as far as it remembers them, then who is there, and then of the
// room, each if there is anything to tell.
func (p *people) resumed() { p.named = make(map[string]bool) }

// settle ends whom a resumption did not name, when all of it was told. If it
// named nobody, those who left have been told.
func (p *people) settle() {
	if len(p.named) > 0 {
		for identity := range p.known {
			if !p.named[identity] {
				p.gone(identity, "gone while signalling was away")
			}
		}
	}
	p.named = nil
}

// come takes news of one who is there and returns new streams to play.
func (p *people) come(info *lk.ParticipantInfo) []*stream {
	q := p.known[info.Identity]
	if q != nil && q.sid == info.Sid && info.Version < q.version {
		return nil // overtaken
	}
	if q == nil {
		q = &person{streams: make(map[string]*stream)}
		p.known[info.Identity] = q
		p.c.met = true
	}
	if q.sid != "" && q.sid != info.Sid {
		for sid := range q.streams {
			p.end(q, sid, "the user has joined anew")
		}
	}
	q.sid, q.version = info.Sid, info.Version
	if u := (joiner.User{ID: info.Identity, Name: info.Name}); q.user != u {
		q.user = u
		p.c.room.Event(joiner.UserAdded{User: u})
	}
	for sid := range q.streams {
		if !slices.ContainsFunc(info.Tracks, func(t *lk.TrackInfo) bool { return t.Sid == sid }) {
			p.end(q, sid, "unpublished")
		}
	}
	var wanted []*stream
	for _, t := range info.Tracks {
		if t.Type != lk.TrackType_AUDIO {
			continue
		}
		if s := p.track(q, info, t); s != nil {
			wanted = append(wanted, s)
		}
	}
	return wanted
}

// track takes news of an audio track and returns it if it is new and to be
// played.
func (p *people) track(q *person, info *lk.ParticipantInfo, t *lk.TrackInfo) *stream {
	now := joiner.Stream{ID: t.Sid, User: q.user, ExtraInfo: extraInfo(info, t)}
	s := q.streams[t.Sid]
	if s != nil {
		if s.Stream != now {
			s.Stream = now
			p.c.room.Event(joiner.StreamChanged{Stream: now})
		}
		return nil
	}
	s = &stream{Stream: now, red: redundant(t), secret: t.Encryption != lk.Encryption_NONE}
	q.streams[t.Sid] = s
	if s.secret {
		p.c.log.Error("a track is encrypted end to end: it cannot be recorded", "user", q.user.ID, "track", t.Sid)
		return nil
	}
	return p.offer(s)
}

// offer offers a stream to the room; it is returned if the room takes it.
func (p *people) offer(s *stream) *stream {
	r := p.c.room.Stream(s.Stream)
	if r == nil {
		return nil
	}
	s.played = true
	p.c.player.play(s.ID, s.red, r)
	return s
}

func (p *people) offerAgain() {
	var wanted []*stream
	for _, q := range p.known {
		for _, s := range q.streams {
			if !s.played && !s.secret && p.offer(s) != nil {
				wanted = append(wanted, s)
			}
		}
	}
	p.play(wanted)
}

// play subscribes to streams. What cannot be sent now is sent when signalling
// is back.
func (p *people) play(wanted []*stream) {
	var sids []string
	for _, s := range wanted {
		sids = append(sids, s.ID)
	}
	p.subscribe(context.Background(), sids)
}

func (p *people) subscribe(ctx context.Context, sids []string) {
	if len(sids) == 0 {
		return
	}
	err := p.c.send(ctx, &lk.SignalRequest{Message: &lk.SignalRequest_Subscription{
		Subscription: &lk.UpdateSubscription{TrackSids: sids, Subscribe: true},
	}})
	if err != nil {
		for _, sid := range sids {
			p.again[sid] = true
		}
	}
}

// subscribed are the tracks that are played.
func (p *people) subscribed() (sids []string) {
	for _, q := range p.known {
		for sid, s := range q.streams {
			if s.played {
				sids = append(sids, sid)
			}
		}
	}
	return sids
}

// refused takes the server's word that it cannot send a track; it is asked
// again as long as the track is there.
func (p *people) refused(r *lk.SubscriptionResponse) {
	if r.Err == lk.SubscriptionError_SE_UNKNOWN {
		return
	}
	p.c.log.Warn("LiveKit refuses a subscription", "track", r.TrackSid, "err", r.Err)
	p.again[r.TrackSid] = true
}

// look does what is done once a second: refused subscriptions, and the levels
// of who goes on speaking, which the server tells only when they change.
func (p *people) look(work context.Context) {
	if len(p.again) > 0 {
		var sids []string
		for _, sid := range p.subscribed() {
			if p.again[sid] {
				sids = append(sids, sid)
			}
		}
		clear(p.again)
		p.subscribe(work, sids)
	}
	p.levels()
}

// speakers takes who began or ceased to speak.
func (p *people) speakers(list []*lk.SpeakerInfo) {
	for _, s := range list {
		for identity, q := range p.known {
			if q.sid != s.Sid {
				continue
			}
			if s.Active {
				p.speaking[identity] = s.Level
			} else {
				delete(p.speaking, identity)
			}
		}
	}
	p.levels()
}

// levels tells how loud who speaks is. LiveKit knows it of a participant, not
// of a track: with two of them nobody knows which it is.
func (p *people) levels() {
	levels := make(map[string]int)
	for identity, level := range p.speaking {
		q := p.known[identity]
		if q == nil || len(q.streams) != 1 {
			continue
		}
		for sid := range q.streams {
			levels[sid] = decibels(level)
		}
	}
	if len(levels) > 0 {
		p.c.room.Event(joiner.SoundLevels{Levels: levels})
	}
}

// decibels is a linear level from 0 to 1 in dBov.
func decibels(level float32) int {
	if level <= 0 {
		return -127
	}
	return max(-127, min(0, int(math.Round(20*math.Log10(float64(level))))))
}

func (p *people) gone(identity, reason string) {
	q := p.known[identity]
	if q == nil {
		return
	}
	for sid := range q.streams {
		p.end(q, sid, reason)
	}
	delete(p.known, identity)
	delete(p.speaking, identity)
	p.c.room.Event(joiner.UserRemoved{User: q.user})
}

func (p *people) end(q *person, sid, reason string) {
	delete(q.streams, sid)
	delete(p.again, sid)
	p.c.player.end(sid)
	p.c.room.Event(joiner.StreamRemoved{StreamID: sid, Reason: reason})
}

// extraInfo is what a track's publisher says of it, if that is a Mixdown, or
// its name and source.
func extraInfo(info *lk.ParticipantInfo, t *lk.TrackInfo) string {
	if s := info.Attributes[infoPrefix+t.Name]; s != "" {
		return s
	}
	b, _ := json.Marshal(map[string]string{"name": t.Name, "source": strings.ToLower(t.Source.String())}) // two strings
	return string(b)
}

// redundant says that a track is sent as redundant audio.
func redundant(t *lk.TrackInfo) bool {
	mime := t.MimeType
	if len(t.Codecs) > 0 && t.Codecs[0].MimeType != "" {
		mime = t.Codecs[0].MimeType
	}
	return strings.EqualFold(mime, "audio/red")
}

// reasonOf words why a participant left.
func reasonOf(r lk.DisconnectReason) string {
	switch r {
	case lk.DisconnectReason_UNKNOWN_REASON:
		return ""
	case lk.DisconnectReason_CLIENT_INITIATED:
		return "left"
	}
	return strings.ToLower(strings.ReplaceAll(r.String(), "_", " "))
}
