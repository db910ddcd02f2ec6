package storage

import (
	"context"
	"log/slog"
	"math"
	"sync"
	"time"
)

// FreeSpace is how much room a file system has.
type FreeSpace struct {
	Free, Total   uint64 // bytes, for whoever is not root
	Inodes, Files uint64 // free inodes, and how many there are; 0 of 0 if they are not counted
}

// part is what is free, of bytes or of inodes, whichever is less.
func (f FreeSpace) part() float64 {
	part := 1.0
	if f.Total > 0 {
		part = float64(f.Free) / float64(f.Total)
	}
	if f.Files > 0 {
		part = min(part, float64(f.Inodes)/float64(f.Files))
	}
	return part
}

// below says that less than a part is free, and fewer than so many bytes: 4 %
// of a large disk are days of recording.
func (f FreeSpace) below(part float64, bytes uint64) bool {
	return f.Free < bytes && float64(f.Free) < part*float64(f.Total) ||
		float64(f.Inodes) < part*float64(f.Files)
}

// SpaceLevel is what the room on the spool's file system allows.
type SpaceLevel int

// The levels, from all well to nothing. Each is entered below a part of the
// file system that is free, and left a fifth above it.
const (
	SpaceAmple   SpaceLevel = iota
	SpaceLow                // below 20 %: operators are told
	SpaceVeryLow            // below 10 %: once more
	SpaceMixOnly            // below 5 %: streams' own files pause where there is a mix
	SpaceNone               // below 1 %: nothing more is recorded
)

// String is the level as events and the API have it.
func (l SpaceLevel) String() string {
	return [...]string{"ample", "low", "very_low", "mix_only", "none"}[l]
}

var spaceBelow = [...]struct {
	part  float64
	bytes uint64
}{
	SpaceLow:     {0.20, math.MaxUint64},
	SpaceVeryLow: {0.10, math.MaxUint64},
	SpaceMixOnly: {0.05, 20 << 30},
	SpaceNone:    {0.01, 4 << 30},
}

// after is the level that follows another one.
func (f FreeSpace) after(before SpaceLevel) (l SpaceLevel) {
	for next := SpaceLow; next <= SpaceNone; next++ {
		limit, slack := spaceBelow[next], 1.0
		if next <= before {
			slack = 1.2
		}
		if !f.below(limit.part*slack, limit.bytes) {
			break
		}
		l = next
	}
	return l
}

// SpaceOptions tune a [Space].
type SpaceOptions struct {
	Stat   func(dir string) (FreeSpace, error) // nil asks the system
	Every  time.Duration                       // how often to look; 0 is 5 s
	Notice func(Notice)                        // is told of changes; must not block
	Log    *slog.Logger
}

const (
	// forecastOver is the time over which the speed is measured at which the
	// spool fills, forecastFrom the least for which it says something.
	forecastOver = 15 * time.Minute
	forecastFrom = time.Minute
)

// forecasts are the hours before a full disk at which operators are told.
var forecasts = []float64{24, 6, 1}

// Space watches the room on the file system of a folder.
type Space struct {
	dir     string
	options SpaceOptions

	mu     sync.Mutex
	level  SpaceLevel
	free   FreeSpace
	past   []spaceAt // over forecastOver, oldest first
	warned int       // forecasts that were told
	err    error
}

type spaceAt struct {
	at   time.Time
	free uint64
}

// NewSpace looks once and returns a watcher of the folder dir.
func NewSpace(dir string, o SpaceOptions) *Space {
	if o.Stat == nil {
		o.Stat = statSpace
	}
	if o.Every == 0 {
		o.Every = 5 * time.Second
	}
	if o.Notice == nil {
		o.Notice = func(Notice) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Space{dir: dir, options: o}
	s.look(time.Now())
	return s
}

// Run looks every few seconds until ctx ends, and returns nil then.
func (s *Space) Run(ctx context.Context) error {
	tick := time.NewTicker(s.options.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			s.look(time.Now())
		}
	}
}

// Level is what the room allows now.
func (s *Space) Level() SpaceLevel {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.level
}

// SpaceStats is how the file system stands.
type SpaceStats struct {
	Level     string   `json:"level" enum:"ample,low,very_low,mix_only,none" doc:"Free is below 20, 10, 5 or 1 %. At mix_only streams' own files pause, at none all recording."`
	Free      uint64   `json:"freeBytes"`
	Total     uint64   `json:"totalBytes"`
	Percent   float64  `json:"freePercent" doc:"Of bytes or of inodes, whichever is less."`
	HoursLeft *float64 `json:"hoursLeft" doc:"Until the spool is full at the speed of the last quarter of an hour; null if it does not fill."`
}

// Stats tells how the file system stood when it was last looked at.
func (s *Space) Stats() SpaceStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := SpaceStats{Level: s.level.String(), Free: s.free.Free, Total: s.free.Total, Percent: math.Round(s.free.part()*1000) / 10}
	if h := s.hoursLocked(); !math.IsInf(h, 0) {
		h = math.Round(h*100) / 100
		st.HoursLeft = &h
	}
	return st
}

// look asks once and tells what has changed.
func (s *Space) look(now time.Time) {
	r, err := s.options.Stat(s.dir)
	s.mu.Lock()
	if err != nil {
		again := s.err != nil
		s.err = err
		s.mu.Unlock()
		if !again {
			s.options.Log.Error("the free space cannot be told", "err", err)
		}
		return
	}
	before := s.level
	s.err, s.free, s.level = nil, r, r.after(s.level)
	s.past = append(s.past, spaceAt{now, r.Free})
	for len(s.past) > 1 && now.Sub(s.past[1].at) >= forecastOver {
		s.past = s.past[1:]
	}
	level, hours := s.level, s.hoursLocked()
	soon := s.forecastLocked(hours)
	s.mu.Unlock()

	if level != before {
		s.tell(level > before)
	}
	if soon {
		s.options.Log.Warn("the spool will be full", "hours", hours)
		s.options.Notice(Notice{Type: "spool.forecast", Data: s.data()})
	}
}

// tell tells that the level has changed.
func (s *Space) tell(worse bool) {
	st := s.Stats()
	if !worse {
		s.options.Log.Info("there is more free space again", "level", st.Level, "percent", st.Percent)
		s.options.Notice(Notice{Type: "spool.recovered", Data: s.data()})
		return
	}
	s.options.Log.Warn("free space is low", "level", st.Level, "percent", st.Percent, "folder", s.dir)
	s.options.Notice(Notice{Type: "spool.low", Data: s.data()})
}

func (s *Space) data() map[string]any {
	st := s.Stats()
	return map[string]any{
		"level": st.Level, "freeBytes": st.Free, "totalBytes": st.Total, "freePercent": st.Percent, "hoursLeft": st.HoursLeft,
	}
}

// hoursLocked is how long the room lasts at the speed at which it went; +Inf
// if it does not go.
func (s *Space) hoursLocked() float64 {
	if len(s.past) < 2 {
		return math.Inf(1)
	}
	first, last := s.past[0], s.past[len(s.past)-1]
	took := last.at.Sub(first.at)
	if took < forecastFrom || first.free <= last.free {
		return math.Inf(1)
	}
	return float64(last.free) / (float64(first.free-last.free) / took.Hours())
}

// forecastLocked says that a forecast has become true that was not told yet.
// It may be told again when it was far from true in between.
func (s *Space) forecastLocked(hours float64) bool {
	for s.warned > 0 && hours > 1.5*forecasts[s.warned-1] {
		s.warned--
	}
	before := s.warned
	for s.warned < len(forecasts) && hours < forecasts[s.warned] {
		s.warned++
	}
	return s.warned > before
}
