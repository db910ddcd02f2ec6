package capture

import (
	"slices"
	"strings"
	"time"

	"mixdown/joiner"
	"mixdown/mixer/pcm"
	"mixdown/mixer/playout"
	"mixdown/storage"
)

// Status is a capture as its callers see it.
type Status struct {
	ID        string            `json:"id"`
	State     State             `json:"state"`
	Reason    string            `json:"reason,omitempty" doc:"Why the state is what it is, when that is not obvious."`
	Since     storage.Time      `json:"stateSince" doc:"When the state became what it is."`
	Trouble   string            `json:"trouble,omitempty" doc:"What an operator must mend; recording goes on."`
	Start     storage.Time      `json:"start"`
	End       *storage.Time     `json:"end"`
	Spec                        // what was asked for, and changed since, with defaults; without secrets
	Pauses    []Pause           `json:"pauses" doc:"What is paused now."`
	Users     []storage.User    `json:"users"`
	Streams   []StreamStatus    `json:"streams"`
	Absent    []AbsentStream    `json:"absent,omitempty" doc:"Of room.streams: those that are not there, and why."`
	Outputs   []OutputStatus    `json:"outputs"`
	Live      LiveStatus        `json:"live"`
	Sealed    *storage.SealMark `json:"sealed,omitempty" doc:"When the recording was sealed, and the head of its chain."`
	TimeStamp *TimeStamp        `json:"timeStamp,omitempty" doc:"By when an authority has seen the sealed manifest, where one is configured."`
	Listening ListeningStatus   `json:"listening"`
	Seconds   float64           `json:"seconds" doc:"Length of the recording so far, as far as it is safe on disk."`
}

// StreamStatus is one stream of a capture.
type StreamStatus struct {
	StreamID string             `json:"streamID"`
	User     joiner.User        `json:"user"`
	Joins    []storage.Presence `json:"joins" doc:"Its stays in the room while the capture ran."`
	Present  bool               `json:"present" doc:"In the room now."`
	LevelDB  float64            `json:"levelDb" doc:"In dBFS as last told by the publisher; -127 is silence."`
	Ledger   storage.Ledger     `json:"ledger" doc:"Milliseconds by what became of them."`
	Quality  map[string]float64 `json:"quality"`

	book playout.Ledger // of which Ledger is made when it is asked for
}

// OutputStatus is one output of a capture.
type OutputStatus struct {
	storage.Output
	Segments int     `json:"segments" doc:"Sealed segments."`
	Seconds  float64 `json:"seconds" doc:"Length of the sealed segments."`

	sealed int64 // sample at which they end
}

// LiveStatus is the live mix of a capture.
type LiveStatus struct {
	Running      bool  `json:"running"`
	LatencyP50MS int64 `json:"latencyP50Ms" doc:"Packet in to mixed packet out."`
	LatencyP95MS int64 `json:"latencyP95Ms"`
	LatencyP99MS int64 `json:"latencyP99Ms"`
	Dropped      int64 `json:"droppedFrames" doc:"Frames of 20 ms that became silence because an encoder fell behind."`

	Republished []RepublishStatus `json:"republished,omitempty" doc:"The streams that carry the mix."`
}

// ID is the capture's id.
func (c *Capture) ID() string { return c.id }

// Room is the room that is captured, as it was asked for.
func (c *Capture) Room() RoomSpec { return c.spec.Room }

// IsOf says whether a room is the capture's.
func (c *Capture) IsOf(system, roomID string) bool {
	return c.spec.Room.System == system && c.spec.Room.RoomID == roomID
}

// State is the present state and why it is.
func (c *Capture) State() (State, string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.state, c.mu.reason
}

// Label is a label that the capture was started with.
func (c *Capture) Label(name string) string { return c.settings.Load().Labels[name] }

// Status is the capture as it was at the last batch, with its present state.
func (c *Capture) Status() Status {
	troubles, absent := append(c.settings.Load().full(), c.away()...), c.room.missing()
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.mu.status.Streams { // once a batch, if somebody asks
		if st := &c.mu.status.Streams[i]; st.Ledger == nil {
			st.Ledger = ledgerOf(&st.book)
		}
	}
	s := c.mu.status
	s.State, s.Reason, s.Since, s.Trouble = c.mu.state, c.mu.reason, storage.At(c.mu.since), c.mu.trouble
	if !s.State.Ended() {
		s.Absent = absent
		s.Trouble = strings.TrimPrefix(strings.Join(append([]string{s.Trouble}, troubles...), "; "), "; ")
	}
	s.Listening = c.watchdog.status
	if !c.mu.ended.IsZero() {
		end := storage.At(c.mu.ended)
		s.End = &end
	}
	if c.keeper != nil {
		s.Outputs = slices.Clone(s.Outputs)
		for i := range s.Outputs {
			c.durableLocked(&s.Outputs[i].Output, s.Outputs[i].sealed)
		}
	}
	return s
}

// lateness is how far before the newest journaled packet an output is called
// durable: what was sent before that has come, or was asked for again, and was
// taken from its socket.
const lateness = 300 * time.Millisecond

// durableLocked says how far an output that is sealed up to a sample is safe:
// by what is sealed, or can be made again from the journal.
func (c *Capture) durableLocked(o *storage.Output, sealed int64) {
	safe := c.keeper.safe(pcm.Duration(sealed)) - lateness
	if !c.mu.ended.IsZero() {
		safe = c.mu.ended.Sub(c.clock.start) // all of it is sealed
	}
	o.DurableSample = max(sealed, pcm.Samples(safe), 0)
	to := c.clock.sample(o.DurableSample)
	o.DurableTo = &to
}

// durable is durableLocked for a manifest.
func (c *Capture) durable(o storage.Output, sealed int64) storage.Output {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.durableLocked(&o, sealed)
	return o
}

// publishStatus takes a new status from the timeline; only Run calls it.
func (c *Capture) publishStatus(durable time.Duration) {
	t := c.timeline
	if t.active() {
		t.busy = t.applied
	}
	now := c.settings.Load()
	s := Status{
		ID: c.id, Start: storage.At(c.clock.start), Spec: now.over(c.spec).Redacted(), Pauses: nonNil(now.Pauses), Users: nonNil(slices.Clone(t.users)),
		Streams: t.streamStatus(), Outputs: t.outputStatus(), Live: c.live.status(), Seconds: durable.Seconds(),
	}
	c.mu.Lock()
	c.mu.status = s
	c.mu.Unlock()
	if t.heard {
		c.heard()
	}
	c.agree()
}

func (t *timeline) streamStatus() []StreamStatus {
	books := t.books()
	all := make([]StreamStatus, 0, len(books))
	index := make(map[string]int, len(books))
	last := make([]*stream, 0, len(books)) // who came a thousand times has one state
	for _, s := range t.streams {
		i, ok := index[s.key()]
		if !ok {
			i = len(all)
			index[s.key()], last = i, append(last, nil)
			all = append(all, StreamStatus{StreamID: s.rec.Stream.ID, User: s.rec.Stream.User, LevelDB: -127, book: books[s.key()].ledger})
		}
		all[i].Joins = append(all[i].Joins, s.stay())
		last[i] = s
	}
	for i, s := range last {
		all[i].Present = s.left < 0 && !s.done
		all[i].Quality = s.figures()
		if all[i].Present {
			all[i].LevelDB = s.level()
		}
	}
	return all
}

func (t *timeline) outputStatus() []OutputStatus {
	all := make([]OutputStatus, 0, len(t.archive.outputs))
	for _, p := range t.archive.outputs {
		all = append(all, OutputStatus{
			Output: p.output, Segments: p.segments, Seconds: float64(p.samples) / pcm.Rate, sealed: p.end,
		})
	}
	slices.SortFunc(all, func(a, b OutputStatus) int { return compareIDs(a.ID, b.ID) })
	return all
}

func compareIDs(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (l *live) status() LiveStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	running := l.wanted > 0
	var dropped int64
	var republished []RepublishStatus
	for _, r := range l.relays {
		dropped += r.queue.Dropped()
		republished = append(republished, r.status())
	}
	return LiveStatus{
		Running:      running,
		Dropped:      dropped,
		Republished:  republished,
		LatencyP50MS: l.latency.quantile(0.50).Milliseconds(),
		LatencyP95MS: l.latency.quantile(0.95).Milliseconds(),
		LatencyP99MS: l.latency.quantile(0.99).Milliseconds(),
	}
}
