package playout

import (
	"mixdown/encoder/opus"
	"mixdown/mixer/pcm"
)

// balance compares how long the fastest packet waits with the target and
// decides what to do about it.
func (l *Live) balance() {
	q := l.queue
	if q == nil {
		return
	}
	if len(q.queue) > 0 {
		head := q.queue[0].media
		if l.running {
			head = l.cursor()
		}
		if l.now-l.due(head) > resync {
			l.jump()
		}
	}
	if !l.running {
		l.behind = 0
		return
	}
	excess := l.now - l.due(l.cursor())
	if excess > tooMuch {
		l.behind++
	} else {
		l.behind = 0
	}
	switch rate := 1 - l.res.ratio(); {
	case excess > delayFloor:
		l.res.setRate(-liveRate)
	case excess < 0:
		l.res.setRate(liveRate)
	case rate > 0 && excess < delayStep, rate < 0 && excess > delayStep/2:
		l.res.setRate(0)
	}
}

// jump leaves out what should have been heard long ago, and goes on with the
// packet that is due now.
func (l *Live) jump() {
	l.hush()
	q := l.queue
	for len(q.queue) > 1 && l.due(q.queue[1].media) <= l.now {
		l.quality.Late++
		l.seq = q.queue[0].seq
		l.release(q.remove())
	}
	l.behind = 0
}

// advance puts at least one sample on the tape or takes a packet.
func (l *Live) advance(need int) {
	var p *entry
	if l.queue != nil && len(l.queue.queue) > 0 {
		p = l.queue.queue[0]
	}
	switch {
	case !l.running && p == nil:
		l.silence(need)
	case !l.running:
		wait := l.due(p.media) - (l.now + int64(pcm.FrameSize-need))
		if wait > 0 {
			l.silence(int(min(wait, int64(need))))
			return
		}
		if p.quiet() {
			l.take(p)
			return
		}
		l.res.reset()
		l.running, l.media = true, p.media
		l.play(p)
	case p == nil:
		l.starve(need)
	default:
		l.goOn(p, need)
	}
}

func (l *Live) silence(n int) { clear(l.tape.extend(n, DTX)) }

// goOn plays p or fills the gap before it.
func (l *Live) goOn(p *entry, need int) {
	room := int(p.media - l.media)
	if room > 0 && p.seq > l.seq+1 && !l.quiet && l.bridged < concealMax && l.now < l.due(l.cursor()) {
		// The buffer is to grow anyway: what is missing may yet come.
		l.starve(need)
		return
	}
	if room > 0 && l.stretch > 0 && p.seq > l.seq+1 {
		// What seemed a delay was a loss, and is concealed already.
		part := min(room, l.stretch)
		l.media += int64(part)
		l.stretch -= part
		room -= part
	}
	switch {
	case room < -slack:
		l.quality.Late++
		l.release(l.queue.remove())
	case room <= 0:
		l.play(p)
	case p.seq <= l.seq+1 || l.quiet:
		l.fade(min(room, need))
	default:
		l.restore(p, room, need)
	}
}

// restore fills the room before p, whose predecessors are missing.
func (l *Live) restore(p *entry, room, need int) {
	spare := 0
	if opus.HasFEC(p.payload) {
		spare = frameSamples(p.payload[0])
	}
	n := min(room, (need+ahead+opus.Grain-1)/opus.Grain*opus.Grain)
	switch {
	case spare == room:
		if !l.voice.fec(p.payload, room) {
			l.voice.conceal(room)
		}
		l.bridged += room
		l.media += int64(room)
		l.feed(room)
	case l.bridged < concealMax:
		if room > spare {
			n = min(n, room-spare)
		}
		n = min(n, concealMax-l.bridged)
		l.media += int64(n)
		l.conceal(n)
	default:
		l.hush()
	}
}

// starve conceals while nothing has arrived; the packets may yet come.
func (l *Live) starve(need int) {
	if l.quiet || l.ended || l.bridged >= concealMax {
		l.fade(need)
		return
	}
	n := min((need+ahead+opus.Grain-1)/opus.Grain*opus.Grain, concealMax-l.bridged)
	l.stretch += n
	l.conceal(n)
}

// conceal puts n guessed samples on the tape; within 100 ms they fade.
func (l *Live) conceal(n int) {
	l.voice.conceal(n)
	const foot = concealMax - fadeTime
	if from := l.bridged - foot; from+n > 0 {
		gain := func(at int) float32 { return 1 - float32(min(max(at, 0), fadeTime))/fadeTime }
		l.voice.fade(n, gain(from), gain(from+n))
	}
	l.bridged += n
	l.feed(n)
}

// fade ends running sound within 20 ms.
func (l *Live) fade(n int) {
	if l.bridged == 0 {
		n = fadeTime
		l.voice.conceal(n)
		l.voice.fade(n, 1, 0)
		l.bridged = concealMax
		l.feed(n)
		return
	}
	l.hush()
}

// hush stops running sound; what follows is faded in.
func (l *Live) hush() {
	if !l.running {
		return
	}
	if l.bridged == 0 {
		l.voice.conceal(joinTime)
		l.voice.fade(joinTime, 1, 0)
		l.feed(joinTime)
		l.soft = true
	}
	n := l.res.rest()
	l.res.pull(l.tape.extend(n, DTX), n)
	l.running = false
	l.stretch = 0
}

func (l *Live) feed(n int) {
	l.res.push(l.voice.pcm, l.voice.channels, n)
	k := l.res.ready()
	l.res.pull(l.tape.extend(k, Received), k)
}

// play decodes the head of the queue.
func (l *Live) play(p *entry) {
	l.take(p)
	if p.quiet() {
		return
	}
	n := l.decode(p)
	excess := l.now - l.due(l.cursor())
	hushed := l.power < still
	switch {
	case hushed && excess > int64(n)+delayFloor/2 || l.behind > 50 && l.behind%5 == 0:
		n = l.merge(n)
	case hushed && excess < -delayStep && n >= 2*delayStep:
		l.feedSoft(n)
		l.media += int64(n)
		l.voice.conceal(delayStep)
		l.feed(delayStep)
		return
	}
	l.feedSoft(n)
	l.media += int64(n)
}

// take removes p from the queue and counts what is missing before it.
func (l *Live) take(p *entry) {
	l.queue.remove()
	l.playing, l.began = p.at, true
	l.release(p)
	if l.fresh {
		l.seq, l.fresh = p.seq-1, false
	}
	if n := p.seq - l.seq - 1; n > 0 && n < seenSpan {
		l.quality.Lost += n
	}
	l.seq, l.quiet = p.seq, p.quiet()
	l.bridged, l.stretch = 0, 0
}

// decode leaves the samples of p in the voice, and their power.
func (l *Live) decode(p *entry) int {
	n, ok := l.voice.decode(p.payload)
	if !ok {
		l.quality.Broken++
		n = l.length
		l.voice.conceal(n)
	}
	l.length = n
	l.power = l.voice.power(n)
	return n
}

// merge lets the packet in the voice pass into its successor, if that has come,
// so that two take the time of one.
func (l *Live) merge(n int) int {
	q := l.queue
	if len(q.queue) == 0 || q.queue[0].quiet() || q.queue[0].media != l.media+int64(n) {
		return n
	}
	if m, err := opus.Duration(q.queue[0].payload); err != nil || m != n {
		return n
	}
	c := l.voice.channels
	l.other = append(l.other[:0], l.voice.pcm[:n*c]...)
	p := q.queue[0]
	l.take(p)
	l.decode(p)
	if l.voice.channels == c {
		for i := range n {
			w := float32(i) / float32(n)
			for k := i * c; k < (i+1)*c; k++ {
				l.voice.pcm[k] = l.other[k]*(1-w) + l.voice.pcm[k]*w
			}
		}
	}
	l.media += int64(n)
	return n
}

// feedSoft feeds n samples, faded in after a jump.
func (l *Live) feedSoft(n int) {
	if l.soft {
		l.voice.fade(min(n, joinTime), 0, 1)
		l.soft = false
	}
	l.feed(n)
}
