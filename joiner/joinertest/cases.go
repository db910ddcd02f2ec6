package joinertest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"mixdown/joiner"
)

// join lets a recorder log in.
func (c *room) join() *Recorder {
	c.Helper()
	system, login := c.Recorder()
	r := Join(c.T, system, login, NewEar(), nil)
	r.Connected(c.T, c.patience)
	return r
}

// awaits waits until a stream was told, and returns what is heard of it.
func (c *room) awaits(r *Recorder, s Speaker) *Heard {
	c.Helper()
	id := s.Stream().ID
	c.within("stream "+id, func() bool { return r.Of(id).Stream().ID == id })
	return r.Of(id)
}

func (c *room) within(what string, condition func() bool) {
	c.Helper()
	Within(c.T, c.patience, what, condition)
}

// whole checks that what was sent arrived: once, in order, each at its time,
// from the first packet that was heard on.
func (c *room) whole(h *Heard, sent []int64) {
	c.Helper()
	if len(sent) == 0 {
		c.Fatal("the speaker could send nothing")
	}
	last := sent[len(sent)-1]
	c.within("the last packet", func() bool { return slices.Contains(h.Numbers(), last) })
	packets, _ := h.Received()
	from := slices.Index(sent, packets[0].Number)
	if from < 0 {
		c.Fatalf("heard packet %d, which was not sent", packets[0].Number)
	}
	if got := h.Numbers(); !slices.Equal(got, sent[from:]) {
		c.Errorf("sent %v\nheard %v", sent[from:], got)
	}
	first := packets[0]
	for i, p := range packets {
		if p.Sequence-first.Sequence != uint16(i) || p.Timestamp-first.Timestamp != uint32((p.Number-first.Number)*FrameSamples) {
			c.Fatalf("packet %d is number %d: sequence +%d, time +%d", i, p.Number, p.Sequence-first.Sequence, p.Timestamp-first.Timestamp)
		}
	}
	if n := h.Stray(); n > 0 {
		c.Errorf("%d packets after the end", n)
	}
}

// login: the states in order; a user and a stream that come are told once, the
// user first; leaving is quick and returns the cause.
func (c *room) login() {
	r := c.join()
	ann := c.Speaker("ann")
	h := c.awaits(r, ann)
	ann.Say(200 * time.Millisecond)
	c.whole(h, ann.Sent())
	if got := h.Stream(); got.User.ID != ann.Stream().User.ID || got.User.Name == "" {
		c.Errorf("told %+v, want the user of %+v", got, ann.Stream())
	}
	want := []string{"CONNECTING", "CONNECTED", "+ " + ann.Stream().User.ID, "stream " + ann.Stream().ID}
	if got := r.Take(); !slices.Equal(got, want) {
		c.Errorf("told %q\nwant %q", got, want)
	}
	enough := errors.New("enough")
	r.Stop(enough)
	if err := r.Leaves(c.T, 3*time.Second); !errors.Is(err, enough) {
		c.Errorf("ended with %v", err)
	}
	if s, err := r.State(); s != joiner.Disconnected || !errors.Is(err, enough) {
		c.Errorf("last state %s, %v", s, err)
	}
}

// lateJoin: who speaks already is told before CONNECTED, and heard without a
// hole from the first packet on.
func (c *room) lateJoin() {
	ann := c.Speaker("ann")
	ann.Say(100 * time.Millisecond)
	system, login := c.Recorder()
	r := Join(c.T, system, login, NewEar(), nil)
	for h := r.Of(ann.Stream().ID); len(h.Numbers()) == 0; h = r.Of(ann.Stream().ID) {
		if ann.Say(100 * time.Millisecond); int(ann.Sent()[len(ann.Sent())-1]) > int(c.patience/FrameTime) {
			c.Fatal("nothing was heard")
		}
	}
	ann.Say(500 * time.Millisecond)
	c.whole(r.Of(ann.Stream().ID), ann.Sent())
	told := r.Take()
	if s, up := slices.Index(told, "stream "+ann.Stream().ID), slices.Index(told, "CONNECTED"); s < 0 || up < s {
		c.Errorf("told %q, want the stream before CONNECTED", told)
	}
}

// packetOne: nothing of a stream's beginning is missing.
func (c *room) packetOne() {
	r := c.join()
	ann := c.Speaker("ann")
	h := c.awaits(r, ann)
	ann.Say(time.Second)
	c.whole(h, ann.Sent())
	if n := h.Numbers(); n[0] != ann.Sent()[0] {
		c.Errorf("the first packet is number %d, sent was %d", n[0], ann.Sent()[0])
	}
}

// leave: the stream's end is told before its user's, once, and nothing comes
// after it; the others are not touched.
func (c *room) leave() {
	r := c.join()
	ann, bob := c.Speaker("ann"), c.Speaker("bob")
	heardAnn, heardBob := c.awaits(r, ann), c.awaits(r, bob)
	ann.Say(200 * time.Millisecond)
	c.whole(heardAnn, ann.Sent())
	r.Take()
	ann.Leave()
	c.gone(r, ann)
	bob.Say(200 * time.Millisecond)
	c.whole(heardBob, bob.Sent())
	c.whole(heardAnn, ann.Sent())
	if lines := r.Take(); len(lines) != 0 {
		c.Errorf("told besides %q", lines)
	}
}

// gone waits until a stream's and its user's end are told, in that order, with
// nothing else, and takes the lines.
func (c *room) gone(r *Recorder, s Speaker) {
	c.Helper()
	user := "- " + s.Stream().User.ID
	c.within("the end of "+s.Stream().ID, func() bool { return r.Told(user) })
	lines := r.Take()
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "end "+s.Stream().ID+":") || lines[1] != user {
		c.Errorf("told %q, want the end of the stream and %q", lines, user)
	}
}

// mute: who is silent stays in the room, and comes back at their time.
func (c *room) mute() {
	r := c.join()
	ann := c.Speaker("ann")
	h := c.awaits(r, ann)
	ann.Say(200 * time.Millisecond)
	time.Sleep(time.Second)
	ann.Say(200 * time.Millisecond)
	c.whole(h, ann.Sent())
	for _, line := range r.Take() {
		if strings.HasPrefix(line, "end") || strings.HasPrefix(line, "-") {
			c.Errorf("a pause was told as %q", line)
		}
	}
}

// comeBack: a user who leaves and comes again is told so each time, and heard.
func (c *room) comeBack() {
	r := c.join()
	r.Take()
	for range 2 {
		ann := c.Speaker("ann")
		id := ann.Stream().ID
		c.within("stream "+id, func() bool { return r.Told("stream " + id) })
		before := len(r.Of(id).Numbers())
		ann.Say(200 * time.Millisecond)
		sent := ann.Sent()
		c.within("all packets", func() bool { return len(r.Of(id).Numbers()) >= before+len(sent) })
		if got := r.Of(id).Numbers()[before:]; !slices.Equal(got, sent) {
			c.Errorf("sent %v, heard %v", sent, got)
		}
		if got, want := r.Take(), []string{"+ " + ann.Stream().User.ID, "stream " + id}; !slices.Equal(got, want) {
			c.Errorf("told %q, want %q", got, want)
		}
		ann.Leave()
		c.gone(r, ann)
	}
}

// rejoin: a recorder that was cut off comes back by itself. Who stayed is
// heard, who left meanwhile is told as gone, nobody is told twice, and no
// packet comes twice.
func (c *room) rejoin() {
	link := can[Breaker](c)
	r := c.join()
	ann, bob := c.Speaker("ann"), c.Speaker("bob")
	h := c.awaits(r, ann)
	c.awaits(r, bob)
	ann.Say(200 * time.Millisecond)
	c.whole(h, ann.Sent())
	r.Take()
	link.Break()
	c.speaksUntil(ann, "the loss is noticed", func() bool { s, err := r.State(); return s == joiner.Connecting && err != nil })
	bob.Leave()
	link.Mend()
	c.speaksUntil(ann, "the recorder is back", func() bool { s, _ := r.State(); return s == joiner.Connected })
	at := len(ann.Sent())
	ann.Say(2 * c.settle)
	last := ann.Sent()[len(ann.Sent())-1]
	c.within("ann is heard again", func() bool { return slices.Contains(h.Numbers(), last) })
	numbers := h.Numbers()
	slices.Sort(numbers)
	if len(slices.Compact(slices.Clone(numbers))) != len(numbers) {
		c.Errorf("packets came twice: %v", numbers)
	}
	if _, found := slices.BinarySearch(numbers, ann.Sent()[at+len(ann.Sent()[at:])/2]); !found {
		c.Errorf("%v after the recorder was back it heard nothing: %v", c.settle, numbers)
	}
	c.within("bob is gone", func() bool { return r.Told("- " + bob.Stream().User.ID) })
	lines := r.Take()
	for line, want := range map[string]int{"+ " + ann.Stream().User.ID: 0, "- " + ann.Stream().User.ID: 0, "- " + bob.Stream().User.ID: 1} {
		if n := count(lines, line); n != want {
			c.Errorf("%q was told %d times, want %d: %q", line, n, want, lines)
		}
	}
	if slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "end "+ann.Stream().ID) }) {
		c.Errorf("ann's stream was said to have ended: %q", lines)
	}
}

// speaksUntil lets a speaker speak until something is true.
func (c *room) speaksUntil(s Speaker, what string, condition func() bool) {
	c.Helper()
	for start := time.Now(); !condition(); s.Say(100 * time.Millisecond) {
		if time.Since(start) > 6*c.patience { // a dead link takes time to be noticed
			c.Fatalf("not within %v: %s", 6*c.patience, what)
		}
	}
}

func count(lines []string, line string) (n int) {
	for _, l := range lines {
		if l == line {
			n++
		}
	}
	return n
}

// kick: who is thrown out stays out, and hears nothing more.
func (c *room) kick() {
	owner := can[Kicker](c)
	r := c.join()
	ann := c.Speaker("ann")
	h := c.awaits(r, ann)
	ann.Say(200 * time.Millisecond)
	owner.Kick()
	if err := r.Leaves(c.T, c.patience); !errors.Is(err, joiner.ErrPermanent) {
		c.Errorf("ended with %v", err)
	}
	before := len(h.Numbers())
	ann.Say(200 * time.Millisecond)
	if after := len(h.Numbers()); after != before {
		c.Errorf("%d packets after the end", after-before)
	}
	if s, err := r.State(); s != joiner.Disconnected || !errors.Is(err, joiner.ErrPermanent) {
		c.Errorf("last state %s, %v", s, err)
	}
}

// roomEnd: when the room ends, its streams and users have been told as gone,
// or the login is over for good.
func (c *room) roomEnd() {
	owner := can[Ender](c)
	r := c.join()
	ann := c.Speaker("ann")
	c.awaits(r, ann)
	ann.Say(200 * time.Millisecond)
	owner.EndRoom()
	user := "- " + ann.Stream().User.ID
	c.within("the end of the room", func() bool { return r.Ended() || r.Told(user) })
	if !r.Ended() {
		return
	}
	if err := r.Leaves(c.T, c.patience); !errors.Is(err, joiner.ErrPermanent) {
		c.Errorf("ended with %v", err)
	}
}

// wrongToken: a login that cannot succeed is not tried for ever.
func (c *room) wrongToken() {
	login := can[Refuser](c).WrongToken()
	system, _ := c.Recorder()
	r := Join(c.T, system, login, NewEar(), nil)
	err := r.Leaves(c.T, c.patience)
	if !errors.Is(err, joiner.ErrPermanent) {
		c.Errorf("ended with %v", err)
	}
	if token, _ := login.Token(); token != "" && strings.Contains(fmt.Sprint(err), token) {
		c.Errorf("the error shows the token: %v", err)
	}
	if r.Told("CONNECTED") {
		c.Error("told CONNECTED")
	}
}

// publish: what the recorder publishes is heard in the room, and not by itself.
func (c *room) publish() {
	users := can[Listener](c)
	r := c.join()
	pub := r.Pubs.Add("the-mix", "", 1)
	c.within("the mix is published", func() bool { return pub.Stats().Published })
	heard := users.Listen("the-mix")
	mix := NewVoice(pub)
	for start := time.Now(); len(heard()) == 0; mix.Say(100 * time.Millisecond) {
		if time.Since(start) > c.patience {
			c.Fatal("the mix is not heard")
		}
	}
	first, at := heard()[0], len(mix.Sent())
	mix.Say(500 * time.Millisecond)
	last := mix.Sent()[len(mix.Sent())-1]
	c.within("the last packet", func() bool { return slices.Contains(heard(), last) })
	from := slices.Index(mix.Sent(), first)
	if from < 0 || from > at || !slices.Equal(heard(), mix.Sent()[from:]) {
		c.Errorf("sent %v\nheard %v", mix.Sent(), heard())
	}
	r.Pubs.Remove("the-mix")
	again := r.Pubs.Add("the-mix", "", 2) // another stream under the same name, in one step
	c.within("the mix has ended", func() bool { return !pub.Stats().Published })
	c.within("the mix is published again", func() bool { return again.Stats().Published })
	heard, mix = users.Listen("the-mix"), NewVoice(again)
	for start := time.Now(); len(heard()) == 0; mix.Say(100 * time.Millisecond) {
		if time.Since(start) > c.patience {
			c.Fatal("the mix is not heard again")
		}
	}
	r.Pubs.Remove("the-mix")
	c.within("the mix has ended", func() bool { return !again.Stats().Published })
	for _, line := range r.Take() {
		if strings.HasPrefix(line, "stream ") {
			c.Errorf("the recorder is told of itself: %q", line)
		}
	}
}

// manyStreams: fifty streams at once, each to its own receiver.
func (c *room) manyStreams() {
	const many = 50
	r := c.join()
	var speakers []Speaker
	for i := range many {
		speakers = append(speakers, c.Speaker(fmt.Sprint("user", i)))
	}
	var heard []*Heard
	for _, s := range speakers {
		heard = append(heard, c.awaits(r, s))
	}
	var saying sync.WaitGroup
	for i, s := range speakers {
		saying.Go(func() { s.Say(200*time.Millisecond + time.Duration(i)*FrameTime) }) // none is like another
	}
	saying.Wait()
	for i, s := range speakers {
		c.whole(heard[i], s.Sent())
	}
}
