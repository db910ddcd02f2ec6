package playout

import "mixdown/encoder/opus"

const (
	alike       = 0.85 // resemblance that a splice asks for
	alikeFar    = 0.5  // where the buffer is very far from its target
	refusedMost = 5    // splices refused in a row, after which anything will do
	repairOn    = 0.02
	repairOff   = 0.004
)

// play decodes the head of the queue.
func (l *Live) play(p *entry) {
	l.take(p)
	if p.quiet() {
		return
	}
	n := l.decode(p)
	excess := l.excess(l.cursor())
	l.spliced += n
	hushed := l.power < still
	switch {
	case hushed && excess > int64(n)+delayFloor/2:
		n = l.merge(n)
	case hushed && excess > delayStep/2:
		k := shorten(l.voice.pcm, l.voice.channels, n, int(excess), -1)
		l.feedSoft(k)
		l.media += int64(n)
		return
	case hushed && excess < -delayStep && n >= 2*delayStep:
		l.feedSoft(n)
		l.media += int64(n)
		l.voice.conceal(delayStep)
		l.feed(delayStep)
		return
	case excess > 2*veryFar, excess > veryFar && l.spliced >= 2*delayFloor,
		excess > far && l.spliced >= 3*delayFloor, excess < -tooNear && l.spliced >= 5*delayFloor:
		l.splice(n, excess)
		return
	}
	l.feedSoft(n)
	l.media += int64(n)
}

// splice makes the n samples in the voice shorter if excess is positive, else
// longer. Packets shorter than 20 ms are taken together.
func (l *Live) splice(n int, excess int64) {
	for n < spliceRoom {
		m := l.join(n)
		if m == 0 {
			break
		}
		n += m
	}
	like := float32(alike)
	switch {
	case l.refused >= refusedMost:
		like = -1
	case excess > veryFar:
		like = alikeFar
	}
	c := l.voice.channels
	k := n
	if excess > 0 {
		for at := 0; at+spliceRoom <= k && int64(n-k) < excess-far; at += spliceRoom {
			k = at + shorten(l.voice.pcm[at*c:], c, k-at, int(excess), like)
		}
	} else {
		k = lengthen(l.voice.pcm, c, n, like)
	}
	if k == n {
		l.refused++
	} else {
		l.refused, l.spliced = 0, 0
		l.quality.Spliced += int64(max(n-k, k-n))
	}
	l.feedSoft(k)
	l.media += int64(n)
}

// follows is the head of the queue if it goes on where n samples in the voice
// end and the same decoder takes it.
func (l *Live) follows(n int) *entry {
	q := l.queue
	if len(q.queue) == 0 || q.queue[0].quiet() || q.queue[0].media != l.media+int64(n) ||
		opus.Channels(q.queue[0].payload) > l.voice.channels {
		return nil
	}
	return q.queue[0]
}

// join decodes the next packet behind the n samples in the voice and returns
// its length, 0 if it has not come or is not shorter than 20 ms.
func (l *Live) join(n int) int {
	p := l.follows(n)
	if p == nil {
		return 0
	}
	if m, err := opus.Duration(p.payload); err != nil || m >= spliceRoom {
		return 0
	}
	c := l.voice.channels
	l.other = append(l.other[:0], l.voice.pcm[:n*c]...)
	l.take(p)
	m := l.decode(p)
	copy(l.voice.pcm[n*c:], l.voice.pcm[:m*c])
	copy(l.voice.pcm, l.other)
	return m
}

// merge lets the packet in the voice pass into its successor, if that has come,
// so that two take the time of one.
func (l *Live) merge(n int) int {
	p := l.follows(n)
	if p == nil {
		return n
	}
	if m, err := opus.Duration(p.payload); err != nil || m != n {
		return n
	}
	l.other = append(l.other[:0], l.voice.pcm[:n*l.voice.channels]...)
	l.take(p)
	if l.decode(p) == n {
		l.cross(n)
	}
	l.media += int64(n)
	return n
}

// take removes p from the queue and counts what is missing before it.
func (l *Live) take(p *entry) {
	l.queue.remove()
	l.playing, l.began = p.at, true
	l.release(p)
	if l.fresh {
		l.seq, l.fresh = p.seq-1, false
	}
	repaired := p.copied
	if n := p.seq - l.seq - 1; n > 0 && n < seenSpan {
		l.quality.Lost += n
		repaired = opus.HasFEC(p.payload)
	}
	l.wait(repaired)
	l.seq, l.quiet, l.said = p.seq, p.quiet(), p.level
	l.bridged, l.stretch, l.guess = 0, 0, l.guess[:0]
}

// wait lets packets wait for the one behind them while that often carries what
// is missing.
func (l *Live) wait(repaired bool) {
	const weight = 1.0 / 128
	l.repairs *= 1 - weight
	if repaired {
		l.repairs += weight
	}
	switch {
	case l.repairs > repairOn:
		l.margin = int64(min(l.length, delayMargin))
	case l.repairs < repairOff:
		l.margin = 0
	}
}

// decode leaves the samples of p in the voice, and their power.
func (l *Live) decode(p *entry) int {
	if n, err := opus.Duration(p.payload); err == nil {
		l.voice.room(n + spliceRoom)
	}
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

// feedSoft feeds n samples, faded in after a jump.
func (l *Live) feedSoft(n int) {
	if l.soft {
		l.voice.fade(min(n, joinTime), 0, 1)
		l.soft = false
	}
	l.feed(n)
}
