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
		if l.excess(head) > resync {
			l.jump()
		}
	}
	if !l.running {
		return
	}
	excess := l.excess(l.cursor())
	rate := 1 - l.res.ratio()
	switch {
	case excess > pcm.FrameSize:
		l.res.setRate(-liveHaste)
	case excess < -pcm.FrameSize:
		l.res.setRate(liveHaste)
	case excess > nearly:
		l.res.setRate(-liveRate)
	case excess < -nearly:
		l.res.setRate(liveRate)
	case rate > 0 && excess <= 0, rate < 0 && excess >= 0:
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
	restored := p.seq == l.seq+2 && opus.HasFEC(p.payload)
	if room > 0 && p.seq > l.seq+1 && !restored && !l.quiet && l.bridged < concealMax && l.due(l.cursor())-l.now > tooNear {
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
		l.fade()
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
	switch {
	case spare >= room:
		l.recover(p, spare, room)
	case l.bridged < concealMax:
		n := min(room-spare, l.portion(need), concealMax-l.bridged)
		l.media += int64(n)
		l.conceal(n)
	default:
		l.hush()
	}
}

// recover fills the room before p from the copy in p, of spare samples. What
// of it has been concealed passes over into the copy.
func (l *Live) recover(p *entry, spare, room int) {
	joint := 0
	if spare > room && l.bridged > 0 {
		joint = min(joinTime, room)
		l.imagine(joint)
		l.other = append(l.other[:0], l.voice.pcm[:joint*l.voice.channels]...)
	}
	if !l.voice.fec(p.payload, spare) {
		l.voice.conceal(spare)
	}
	c := l.voice.channels
	copy(l.voice.pcm, l.voice.pcm[(spare-room)*c:spare*c])
	l.cross(joint)
	l.bridged += room
	l.media += int64(room)
	l.feed(room)
}

// cross goes over from the other sound to the voice within n samples.
func (l *Live) cross(n int) {
	c := l.voice.channels
	for i := range n {
		w := float32(i) / float32(n)
		for k := i * c; k < (i+1)*c; k++ {
			l.voice.pcm[k] = l.other[k]*(1-w) + l.voice.pcm[k]*w
		}
	}
}

// portion is need samples in whole grains, and those that the resampler keeps.
func (l *Live) portion(need int) int {
	if !l.res.exact() {
		need += ahead
	}
	return (need + opus.Grain - 1) / opus.Grain * opus.Grain
}

// starve conceals while nothing has arrived; the packets may yet come.
func (l *Live) starve(need int) {
	if l.quiet || l.ended || l.bridged >= concealMax {
		l.fade()
		return
	}
	n := min(l.portion(need), concealMax-l.bridged)
	l.stretch += n
	l.conceal(n)
}

// conceal puts n guessed samples on the tape; within 100 ms they fade.
func (l *Live) conceal(n int) {
	l.imagine(n)
	const foot = concealMax - fadeTime
	if from := l.bridged - foot; from+n > 0 {
		gain := func(at int) float32 { return 1 - float32(min(max(at, 0), fadeTime))/fadeTime }
		l.voice.fade(n, gain(from), gain(from+n))
	}
	l.bridged, l.said = l.bridged+n, 127
	l.quality.Concealed += int64(n)
	l.feed(n)
}

// imagine leaves n samples of concealment in the voice. The codec guesses whole
// packets better than parts of them; what is too much is kept.
func (l *Live) imagine(n int) {
	for len(l.guess) < n*max(l.voice.channels, 1) {
		whole := max(l.length, 4*opus.Grain)
		l.voice.conceal(whole)
		l.guess = append(l.guess, l.voice.pcm[:whole*l.voice.channels]...)
	}
	l.voice.room(n)
	used := copy(l.voice.pcm[:n*l.voice.channels], l.guess)
	l.guess = l.guess[:copy(l.guess, l.guess[used:])]
}

// fade ends running sound within 20 ms.
func (l *Live) fade() {
	if l.bridged == 0 {
		l.imagine(fadeTime)
		l.voice.fade(fadeTime, 1, 0)
		l.bridged = concealMax
		l.feed(fadeTime)
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
		l.imagine(joinTime)
		l.voice.fade(joinTime, 1, 0)
		l.feed(joinTime)
		l.soft = true
	}
	n := l.res.rest()
	l.res.pull(l.tape.extend(n, DTX), n)
	l.running = false
	l.stretch = 0
	l.guess = l.guess[:0]
}

func (l *Live) feed(n int) {
	l.res.push(l.voice.pcm, l.voice.channels, n)
	k := l.res.ready()
	l.res.pull(l.tape.extend(k, Received), k)
}
