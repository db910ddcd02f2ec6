package capture

import (
	"fmt"
	"strings"
	"time"

	"mixdown/joiner"
	"mixdown/mixer"
	"mixdown/mixer/pcm"
	"mixdown/mixer/playout"
)

// stay is one stay of a stream in the room, as the event log tells it.
type stay struct {
	r      *remix
	num    uint32
	stream joiner.Stream
	rows   []row
	joined int64         // sample at which the stream came
	left   int64         // sample at which it left, -1 if it did not
	file   *streamFile   // nil if nothing is heard of it: it never spoke, or was erased
	deep   *playout.Deep // once it plays
	lines  uint32        // how often what was before did not go on
	row    int           // the next packet's
	packet int           // within the row
	pos    int64         // where it belongs
}

// stray is by how much timestamps jump where nothing goes on, so that nothing
// is taken to.
const stray = 1 << 26

// feed gives the stay's Deep what has arrived by the time the frame is
// rendered: everything is in time, and nothing more than the usual depth ahead.
// The stay plays from where the stream came: it may be solo before it speaks.
func (s *stay) feed(m *mixer.Mixer, frame int64) error {
	if s.deep == nil && firstFrame(s.joined) == frame {
		s.play(m, frame)
	}
	if s.file == nil {
		return nil
	}
	horizon := frame*pcm.FrameSize + pcm.Samples(depth)
	for s.row < len(s.rows) {
		row := s.rows[s.row]
		switch {
		case s.packet == row.Packets:
			s.row, s.packet = s.row+1, 0
			continue
		case s.packet == 0:
			s.pos = row.Pos
		}
		fresh := row.Fresh && s.packet == 0 && s.deep != nil
		if s.pos >= s.file.end { // what was in hand when the recording ended
			s.row = len(s.rows)
			break
		}
		if s.pos > horizon {
			break
		}
		payload, samples, err := s.file.packet(row, s.packet == 0)
		if err != nil {
			return fmt.Errorf("stream %s: %w", s.stream.ID, err)
		}
		if s.deep == nil {
			s.play(m, frame)
		}
		if fresh {
			s.lines++
		}
		at := pcm.Duration(s.pos)
		if pcm.Samples(at) < s.pos {
			at++ // rounding must not let it come before its time
		}
		s.deep.Push(&playout.Packet{
			At: at, SSRC: 1 + s.lines, PT: 111, Seq: row.Seq + uint16(s.packet), Timestamp: uint32(s.pos) + s.lines*stray, Level: playout.NoLevel, Payload: payload,
		})
		s.packet++
		s.pos += samples
	}
	return nil
}

// play brings the stay into the mix.
func (s *stay) play(m *mixer.Mixer, frame int64) {
	s.deep = playout.NewDeep(playout.DeepConfig{Start: frame})
	for _, t := range s.r.turns {
		class := playout.Received
		if now := &t.Control.Settings; now.paused(s.stream) || now.deaf() || s.unwritten(now) {
			class = playout.Paused
		} else if now.excluded(s.stream) {
			class = playout.Excluded
		}
		s.deep.Cause(time.Duration(t.Frame)*pcm.FrameTime, class)
	}
	s.r.at(frame-1).fade(m, s.input(), s.stream, firstFrame(s.joined) < frame)
	m.AddInput(s.input(), s.deep)
	s.r.at(frame).fade(m, s.input(), s.stream, firstFrame(s.joined) <= frame)
	if s.left >= 0 {
		s.deep.End(pcm.Duration(s.left))
	}
}

// input names the stay in the mix.
func (s *stay) input() string { return inputName(streamRecord{Stream: s.stream}, s.num) }

// unwritten says that the file that the stay is read from was paused.
func (s *stay) unwritten(now *settings) bool {
	if s.file == nil {
		return false
	}
	id, _, _ := strings.Cut(s.file.output, "/")
	return now.pause(Scope{Output: id}) != nil
}
