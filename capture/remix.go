package capture

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"mixdown/encoder"
	"mixdown/joiner"
	"mixdown/mixer"
	"mixdown/mixer/pcm"
	"mixdown/mixer/playout"
	"mixdown/storage"
	"mixdown/storage/crypt"
)

// ErrNoStreams is returned by Remix for a recording without the streams' own
// files.
var ErrNoStreams = errors.New("the recording holds no original streams (record what: streams, format: ogg)")

// Remix mixes a recording again from its streams' own files into one file
// without end. Everything that was changed while it was recorded changes again
// at its time; what mix names is laid over it: gains of its own, more that is
// left out, another level, other channels. With an empty mix the samples are
// those of the recorded mix, as long as no stream's clock drift had to be
// corrected. Pauses of single outputs are not in it, and one that skips is
// silence.
func Remix(ctx context.Context, b storage.Browser, prefix string, mix MixSpec, c encoder.Config, store encoder.Store) (err error) {
	r := &remix{ctx: ctx, browser: b, prefix: prefix, mix: mix}
	defer func() {
		for _, f := range r.files {
			err = errors.Join(err, f.close())
		}
	}()
	if err := r.open(); err != nil {
		return fmt.Errorf("remix %s: %w", prefix, err)
	}
	setDefault(&mix.Channels, r.at(0).Mix.Channels)
	setDefault(&mix.Channels, 2)
	setDefault(&mix.Level, r.at(0).Mix.Level)
	var wrong SpecError
	if mix.check(wrong.add); len(wrong.Problems) > 0 {
		return fmt.Errorf("remix %s: %w", prefix, &wrong)
	}
	c.Channels = mix.Channels
	out, err := encoder.NewSegmenter(store, c)
	if err != nil {
		return err
	}
	var failed error
	fail := func(err error) { failed = cmp.Or(failed, err) }
	m := mixer.New(mixer.Config{Aligned: true, Level: mix.Level, InputFailed: func(_ string, err error) { fail(err) }})
	m.AddOutput(out, mixer.Levelled(), mixer.OnError(fail))
	r.at(0).beep(m, nil, 0)
	for frame := int64(0); frame < r.frames; frame++ {
		if ctx.Err() != nil {
			fail(context.Cause(ctx))
		}
		if failed != nil {
			return fmt.Errorf("remix %s: %w", prefix, failed) // what is half done gets no name
		}
		r.turn(m, frame)
		for _, s := range r.stays {
			if err := s.feed(m, frame); err != nil {
				return fmt.Errorf("remix %s: %w", prefix, err)
			}
		}
		m.Mix()
	}
	m.Drain()
	if failed != nil {
		return fmt.Errorf("remix %s: %w", prefix, failed)
	}
	return out.Close()
}

// remix is a recording that is mixed again.
type remix struct {
	ctx     context.Context // of the one call of Remix that this lives for
	browser storage.Browser
	prefix  string
	mix     MixSpec
	frames  int64
	turns   []turn // what was changed while it was recorded; the first at frame 0
	files   map[string]*streamFile
	stays   []*stay
}

// stay is one stay of a stream in the room, as the event log tells it.
type stay struct {
	r      *remix
	num    uint32
	stream joiner.Stream
	rows   []row
	joined int64 // sample at which the stream came
	left   int64 // sample at which it left, -1 if it did not
	file   *streamFile
	deep   *playout.Deep // once it plays
	lines  uint32        // how often what was before did not go on
	row    int           // the next packet's
	packet int           // within the row
	pos    int64         // where it belongs
}

func (r *remix) open() error {
	var m storage.Manifest
	raw, err := r.read(storage.ManifestName)
	if err == nil {
		err = json.Unmarshal(raw, &m)
	}
	if err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	if m.End == nil {
		return errors.New("the recording has not ended")
	}
	if _, opens := r.browser.(*crypt.Ring); m.Encryption != nil && !opens {
		return fmt.Errorf("the recording is %w: give the identity of one of its recipients", storage.ErrUnopened)
	}
	r.frames = pcm.Samples(m.End.Sub(m.Start.Time)+time.Microsecond) / pcm.FrameSize
	r.files = map[string]*streamFile{}
	for _, s := range m.Segments {
		i := slices.IndexFunc(m.Outputs, func(o storage.Output) bool { return o.ID == s.Output })
		if i < 0 || m.Outputs[i].What != "streams" || m.Outputs[i].Format != "ogg" {
			continue
		}
		key := streamKey(m.Outputs[i].UserID, m.Outputs[i].StreamID)
		f := r.files[key]
		if f == nil {
			f = &streamFile{r: r, output: s.Output}
			r.files[key] = f
		}
		if f.output == s.Output {
			f.segments, f.end = append(f.segments, s), s.StartSample+s.Samples
		}
	}
	for key, f := range r.files {
		if err := f.try(); errors.Is(err, storage.ErrUnopened) {
			delete(r.files, key) // its key was destroyed: it is erased
		} else if err != nil {
			return err
		}
	}
	if len(r.files) == 0 {
		return ErrNoStreams
	}
	return r.openEvents()
}

// openEvents finds the stays and their packets.
func (r *remix) openEvents() error {
	raw, err := r.read(storage.EventsName)
	if err != nil {
		return fmt.Errorf("events: %w", err)
	}
	stays := map[uint32]*stay{}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, 1<<20)
	var joined []int64 // by stay
	left := map[string][]int64{}
	for lines.Scan() {
		var e struct {
			Sample int64           `json:"sample"`
			Type   string          `json:"type"`
			Who    json.RawMessage `json:"who"`
			Row    *placedRow      `json:"row"`

			Settings *settings `json:"settings"`
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("events: %w", err)
		}
		var who joiner.Stream
		if e.Settings != nil {
			r.turns = append(r.turns, turn{Frame: e.Sample / pcm.FrameSize, Control: control{Settings: *e.Settings}})
		}
		switch e.Type {
		case "stream.packets":
			if err := json.Unmarshal(e.Who, &who); err != nil || e.Row == nil {
				return fmt.Errorf("events: row of packets: %w", err)
			}
			s := stays[e.Row.Stay]
			if s == nil {
				s = &stay{r: r, num: e.Row.Stay, stream: who, left: -1, file: r.files[streamKey(who.User.ID, who.ID)]}
				stays[e.Row.Stay] = s
			}
			s.rows = append(s.rows, e.Row.row)
		case "stream.added":
			joined = append(joined, e.Sample)
		case "stream.removed":
			if err := json.Unmarshal(e.Who, &who); err == nil {
				key := streamKey(who.User.ID, who.ID)
				left[key] = append(left[key], e.Sample)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("events: %w", err)
	}
	if len(r.turns) == 0 || r.turns[0].Frame > 0 {
		r.turns = slices.Insert(r.turns, 0, turn{})
	}
	for i := range r.turns {
		now := &r.turns[i].Control.Settings
		now.Mix = now.Mix.laid(r.mix)
	}
	for _, s := range stays {
		if s.file == nil || !r.mix.wants(s.stream.ID, s.stream.User.ID, false) {
			continue
		}
		if int(s.num) < len(joined) {
			s.joined = joined[s.num]
		}
		slices.SortFunc(s.rows, func(a, b row) int { return int(a.Pos - b.Pos) })
		last := s.rows[len(s.rows)-1]
		for _, at := range left[streamKey(s.stream.User.ID, s.stream.ID)] {
			if at >= last.Pos && s.left < 0 {
				s.left = at
			}
		}
		r.stays = append(r.stays, s)
	}
	slices.SortFunc(r.stays, func(a, b *stay) int { return int(a.num) - int(b.num) })
	return nil
}

func (r *remix) read(name string) ([]byte, error) {
	f, _, err := r.browser.Open(r.ctx, path.Join(r.prefix, name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// stray is by how much timestamps jump where nothing goes on, so that nothing
// is taken to.
const stray = 1 << 26

// feed gives the stay's Deep what has arrived by the time the frame is
// rendered: everything is in time, and nothing more than the usual depth ahead.
func (s *stay) feed(m *mixer.Mixer, frame int64) error {
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
	id, _, _ := strings.Cut(s.file.output, "/")
	return now.pause(Scope{Output: id}) != nil
}

// at is what is in force at a frame.
func (r *remix) at(frame int64) *settings {
	now := &r.turns[0].Control.Settings
	for i := range r.turns {
		if r.turns[i].Frame <= frame {
			now = &r.turns[i].Control.Settings
		}
	}
	return now
}

// turn lets changes take effect that are due at a frame, and streams count that
// come with it, as the recording did.
func (r *remix) turn(m *mixer.Mixer, frame int64) {
	changed := frame > 0 && slices.ContainsFunc(r.turns, func(t turn) bool { return t.Frame == frame })
	now := r.at(frame)
	for _, s := range r.stays {
		if first := firstFrame(s.joined); s.deep != nil && (changed || first == frame) {
			now.fade(m, s.input(), s.stream, first <= frame)
		}
	}
	if changed {
		now.beep(m, r.at(frame-1), frame)
	}
}
