package overview

// View is the part of an overview between two times, in ms, with at most so many
// peaks a wave; what lies closer together than they do is one span. So a day is
// no larger than a minute. Times are widened to whole steps of the overview; a
// to of 0 is the end.
func (o *Overview) View(from, to int64, points int) *Overview {
	if to <= 0 || to > o.Length {
		to = o.Length
	}
	from = min(max(from, 0), to) / StepMS * StepMS
	all := max(1, steps(to-from))
	n := min(int64(max(points, 1)), all)
	v := &Overview{
		Format: o.Format, Length: o.Length, From: from, To: from + all*StepMS, Unmeasured: o.Unmeasured,
		Waves: []Wave{}, Lanes: []Lane{}, Pauses: []Hole{}, Gaps: []Hole{}, Away: []Span{},
	}
	c := clip{v.From, v.To, all * StepMS / n}
	for _, w := range o.Waves {
		w.Peaks = w.window(from/StepMS, all, n)
		v.Waves = append(v.Waves, w)
	}
	for _, l := range o.Lanes {
		l.Present, l.Talk, l.Muted, l.Excluded = c.spans(l.Present), c.spans(l.Talk), c.spans(l.Muted), c.spans(l.Excluded)
		l.Lost = c.counts(l.Lost, func(a, b int64) int64 { return a + b })
		l.Jitter = c.counts(l.Jitter, func(a, b int64) int64 { return max(a, b) })
		v.Lanes = append(v.Lanes, l)
	}
	v.Pauses, v.Gaps, v.Away = c.holes(o.Pauses), c.holes(o.Gaps), c.spans(o.Away)
	return v
}

// window is the loudest of each of n parts of all steps from first on.
func (w *Wave) window(first, all, n int64) []byte {
	out := make([]byte, n)
	for i := range n {
		for step := first + i*all/n; step < first+(i+1)*all/n && step < int64(len(w.Peaks)); step++ {
			out[i] = max(out[i], w.Peaks[step])
		}
	}
	return out
}

// clip is what of spans can be seen.
type clip struct {
	from, to int64
	apart    int64 // what is closer is together
}

// sees cuts a span to what is shown.
func (c clip) sees(from, to int64) (Span, bool) {
	s := Span{max(from, c.from), min(to, c.to)}
	return s, s[0] < s[1] || from == to && from >= c.from && from < c.to
}

func (c clip) spans(all []Span) []Span {
	out := []Span{}
	for _, s := range all {
		s, ok := c.sees(s[0], s[1])
		if n := len(out); ok && n > 0 && s[0]-out[n-1][1] < c.apart {
			out[n-1][1] = max(out[n-1][1], s[1])
		} else if ok {
			out = append(out, s)
		}
	}
	return out
}

func (c clip) counts(all []Count, join func(a, b int64) int64) []Count {
	out := []Count{}
	for _, s := range all {
		seen, ok := c.sees(s[0], s[1])
		if n := len(out); ok && n > 0 && seen[0]-out[n-1][1] < c.apart {
			out[n-1][1] = max(out[n-1][1], seen[1])
			out[n-1][2] = join(out[n-1][2], s[2])
		} else if ok {
			out = append(out, Count{seen[0], seen[1], s[2]})
		}
	}
	return out
}

func (c clip) holes(all []Hole) []Hole {
	out := []Hole{}
	for _, h := range all {
		if s, ok := c.sees(h.From, h.To); ok {
			h.From, h.To = s[0], s[1]
			out = append(out, h)
		}
	}
	return out
}
