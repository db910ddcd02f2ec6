package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"mixdown/capture"
)

// meter shows a capture while it runs: on a terminal a line for the capture
// and a meter for each stream, elsewhere a line for each state and every ten
// seconds, or everything as lines of JSON.
type meter struct {
	w        io.Writer
	json     *json.Encoder // nil: for people
	terminal bool
	total    time.Duration // 0 if it is not known
	lines    int           // of the last picture
	last     time.Time
	state    capture.State
}

const (
	plainEvery = 10 * time.Second
	barWidth   = 30
	floorDB    = -60
)

func newMeter(w io.Writer, total time.Duration) *meter {
	f, ok := w.(*os.File)
	return &meter{w: w, terminal: ok && term.IsTerminal(int(f.Fd())), total: total}
}

func (m *meter) show(st capture.Status) {
	switch {
	case m.json != nil:
		_ = m.json.Encode(st) // who reads it may be gone; the capture goes on
	case m.terminal:
		m.draw(st)
	case time.Since(m.last) >= plainEvery || st.State != m.state:
		m.last, m.state = time.Now(), st.State
		fmt.Fprintln(m.w, m.head(st)+", "+levels(st))
	}
}

// draw writes over the last picture.
func (m *meter) draw(st capture.Status) {
	if m.lines > 0 {
		fmt.Fprintf(m.w, "\x1b[%dA\x1b[J", m.lines)
	}
	fmt.Fprintln(m.w, m.head(st))
	m.lines = 1
	for _, s := range st.Streams {
		if !s.Present {
			continue
		}
		filled := max(0, min(barWidth, int((s.LevelDB-floorDB)*barWidth/-floorDB)))
		fmt.Fprintf(m.w, "  %-24.24s %s%s %5.0f dB  lost %.2f s\n",
			s.User.ID, strings.Repeat("█", filled), strings.Repeat("·", barWidth-filled), s.LevelDB, float64(s.Ledger["lost"])/1000)
		m.lines++
	}
}

// head is the line of the capture.
func (m *meter) head(st capture.Status) string {
	s := fmt.Sprintf("%-12s %7.1f s", st.State, st.Seconds)
	if m.total > 0 {
		s += fmt.Sprintf(" of %.0f s", m.total.Seconds())
	}
	if st.Reason != "" && !st.State.Ended() {
		s += "  " + st.Reason
	}
	if st.Trouble != "" {
		s += "  needs help: " + st.Trouble
	}
	return s
}

func levels(st capture.Status) string {
	var all []string
	for _, s := range st.Streams {
		if s.Present {
			all = append(all, fmt.Sprintf("%s %.0f dB", s.StreamID, s.LevelDB))
		}
	}
	if len(all) == 0 {
		return "nobody is heard"
	}
	return strings.Join(all, ", ")
}
