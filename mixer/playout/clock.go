package playout

import (
	"math"
	"time"

	"mixdown/mixer/pcm"
)

// A sender's clock is judged by its packets: the transit of a packet is its
// arrival less its media time, both in samples. Delay only ever adds to it, so
// the lower envelope of the transits over minutes is the line that the
// sender's clock draws against ours: its slope is the difference in rate. The
// line that lies under all points and as high as possible is an edge of their
// lower convex hull (Moon, Skelly, Towsley: Estimation and Removal of Clock
// Skew from Network Delay Measurements, 1999). Sender reports give the rate
// sooner, but against the sender's wall clock; they count while the envelope
// is young.
const (
	window    = 2 * pcm.Rate // one point of the envelope: the least transit of 2 s
	envelope  = 150          // points kept: five minutes
	openMax   = 20           // windows not yet settled
	youngSpan = 60 * pcm.Rate
	judgeSpan = 10 * pcm.Rate // below this no slope is believed
	stepSpan  = 30 * pcm.Rate // below this no step of the path is believed
	maxSlope  = 1200e-6       // a clock beyond is no clock
	stepFloor = 4 * pcm.Rate / 1000
)

// point is the least transit in one window.
type point struct{ t, d float64 }

// clock estimates how one sender's clock runs against the capture's.
type clock struct {
	points  []point // settled, in time order
	open    [openMax]openWindow
	settled int64 // windows below have become points
	path    float64
	high    int // points in a row far above the line

	slope, base float64 // envelope: transit = base + slope*(t-origin)
	origin      float64
	noise       float64 // mean distance of the points from the line
	known       bool

	reports reports
}

type openWindow struct {
	index int64 // number of the window + 1; 0 is empty
	p     point
}

func newClock() clock { return clock{points: make([]point, 0, envelope)} }

// add takes the transit of a packet that arrived at sample at.
func (c *clock) add(at, transit int64) {
	w := at / window
	if at < 0 || w < c.settled {
		return
	}
	o := &c.open[w%openMax]
	if o.index != w+1 {
		if o.index > w+1 {
			return
		}
		*o = openWindow{index: w + 1, p: point{float64(at), float64(transit)}}
	} else if float64(transit) < o.p.d {
		o.p = point{float64(at), float64(transit)}
	}
}

// settle makes points of the windows that end at or before sample until.
func (c *clock) settle(until int64) {
	end := until / window
	if end <= c.settled {
		return
	}
	for w := max(c.settled, end-openMax); w < end; w++ {
		if o := &c.open[w%openMax]; o.index == w+1 {
			c.append(o.p)
			o.index = 0
		}
	}
	c.settled = end
	c.reports.settle(until)
	c.solve()
}

// append adds a point, and takes a step of the whole path as what it is:
// another route, not another clock.
func (c *clock) append(p point) {
	n := len(c.points)
	if c.known && c.span() >= stepSpan && p.t-c.points[n-1].t < youngSpan {
		off := p.d - c.line(p.t)
		limit := max(stepFloor, 4*c.noise)
		switch {
		case off < -limit:
			c.shift(off)
			c.path = max(0, c.path+off)
			c.high = 0
		case off > limit:
			c.high++
		default:
			c.high = 0
		}
	}
	if n == envelope {
		copy(c.points, c.points[1:])
		c.points = c.points[:envelope-1]
	}
	c.points = append(c.points, p)
	if c.high >= 5 {
		c.rise()
	}
}

// rise ends a row of points that all lie above the line: the path has become
// longer by the least of them.
func (c *clock) rise() {
	recent := c.points[len(c.points)-c.high:]
	least := math.Inf(1)
	for _, p := range recent {
		least = min(least, p.d-c.line(p.t))
	}
	older := c.points[:len(c.points)-c.high]
	for i := range older {
		older[i].d += least
	}
	c.path += least
	c.high = 0
}

// shift moves all points.
func (c *clock) shift(by float64) {
	for i := range c.points {
		c.points[i].d += by
	}
	c.base += by
}

func (c *clock) span() float64 {
	if len(c.points) < 2 {
		return 0
	}
	return c.points[len(c.points)-1].t - c.points[0].t
}

func (c *clock) line(t float64) float64 { return c.base + c.slope*(t-c.origin) }

// solve fits the line.
func (c *clock) solve() {
	span := c.span()
	c.known = span >= judgeSpan && len(c.points) >= 4
	if !c.known {
		return
	}
	slope, ok := c.hull()
	if rate, sure := c.reports.slope(); sure && span < youngSpan {
		doubt := 50e-6 + 4*(pcm.Rate/1000+2*c.noise)/span
		if math.Abs(rate-slope) < doubt || !ok {
			slope, ok = rate, true
		}
	}
	if c.known = ok && math.Abs(slope) <= maxSlope; !c.known {
		return
	}
	c.slope, c.origin, c.base = slope, c.points[0].t, math.Inf(1)
	sum := 0.0
	for _, p := range c.points {
		d := p.d - slope*(p.t-c.origin)
		c.base = min(c.base, d)
		sum += d
	}
	c.noise = sum/float64(len(c.points)) - c.base
}

// hull is the slope of the edge of the lower convex hull over the mean time:
// of all lines under the points the one with the least sum of distances.
func (c *clock) hull() (slope float64, ok bool) {
	var edge [envelope]point
	n, mean := 0, 0.0
	for _, p := range c.points {
		mean += p.t
		for n >= 2 && (edge[n-1].d-edge[n-2].d)*(p.t-edge[n-2].t) >= (p.d-edge[n-2].d)*(edge[n-1].t-edge[n-2].t) {
			n--
		}
		edge[n] = p
		n++
	}
	mean /= float64(len(c.points))
	for i := 1; i < n; i++ {
		if a, b := edge[i-1], edge[i]; b.t >= mean && b.t > a.t {
			return (b.d - a.d) / (b.t - a.t), true
		}
	}
	return 0, false
}

// target is the offset of positions against media time at sample t by the
// fastest path ever seen.
func (c *clock) target(t int64) (offset float64, ok bool) {
	if !c.known {
		return 0, false
	}
	return c.line(float64(t)) - c.path, true
}

// band is the least slope that is told from none.
func (c *clock) band() float64 {
	return max(10e-6, (2*pcm.Rate/1000+2*c.noise)/max(c.span(), 1))
}

// reports holds what the newest sender reports say about rate.
type reports struct {
	queue  []report // not yet due
	points []point  // t: NTP in samples, d: RTP in samples
	strays int      // outliers in a row
	origin uint64
	last   int64
}

type report struct {
	at  int64
	rtp int64
	ntp uint64
}

const (
	reportsKept  = 20
	reportsReady = 4
	reportsQueue = 32
)

// add takes a report; it counts from settle on.
func (r *reports) add(at time.Duration, rtp uint32, ntp uint64) {
	if r.origin == 0 {
		r.origin, r.last = ntp, int64(rtp)
	}
	r.last += int64(int32(rtp - uint32(r.last)))
	if len(r.queue) == reportsQueue {
		copy(r.queue, r.queue[1:])
		r.queue = r.queue[:reportsQueue-1]
	}
	r.queue = append(r.queue, report{samplesAt(at), r.last, ntp})
}

func (r *reports) settle(until int64) {
	n := 0
	for n < len(r.queue) && r.queue[n].at <= until {
		seconds := float64(int64(r.queue[n].ntp-r.origin)) / (1 << 32)
		r.append(point{seconds * pcm.Rate, float64(r.queue[n].rtp)})
		n++
	}
	r.queue = r.queue[:copy(r.queue, r.queue[n:])]
}

// append keeps a report unless it contradicts the others: beyond three sigma,
// but at least a millisecond. Five contradictions in a row are a new truth.
func (r *reports) append(p point) {
	if n := len(r.points); n > 0 && p.t <= r.points[n-1].t {
		r.stray()
		if len(r.points) > 0 {
			return
		}
	}
	if len(r.points) >= reportsReady {
		slope, base, sigma := fit(r.points)
		if math.Abs(p.d-base-slope*(p.t-r.points[0].t)) > max(3*sigma, pcm.Rate/1000) {
			r.stray()
			if len(r.points) > 0 {
				return
			}
		}
	}
	r.strays = 0
	if len(r.points) == reportsKept {
		copy(r.points, r.points[1:])
		r.points = r.points[:reportsKept-1]
	}
	r.points = append(r.points, p)
}

func (r *reports) stray() {
	if r.strays++; r.strays >= 5 {
		r.points, r.strays = r.points[:0], 0
	}
}

// slope is what clock calls slope, by the sender's wall clock.
func (r *reports) slope() (float64, bool) {
	n := len(r.points)
	if n < reportsReady || r.points[n-1].t-r.points[0].t < 3*pcm.Rate {
		return 0, false
	}
	slope, _, _ := fit(r.points)
	return 1/slope - 1, slope > 0.99 && slope < 1.01
}

// fit is the least squares line d = base + slope*(t - first t), and the
// standard deviation from it.
func fit(points []point) (slope, base, sigma float64) {
	n := float64(len(points))
	t0, d0 := points[0].t, points[0].d
	var st, sd, stt, std float64
	for _, p := range points {
		t, d := p.t-t0, p.d-d0
		st, sd, stt, std = st+t, sd+d, stt+t*t, std+t*d
	}
	if det := n*stt - st*st; det > 0 {
		slope = (n*std - st*sd) / det
	}
	base = (sd - slope*st) / n
	var sum float64
	for _, p := range points {
		e := p.d - d0 - base - slope*(p.t-t0)
		sum += e * e
	}
	return slope, base + d0, math.Sqrt(sum / n)
}
