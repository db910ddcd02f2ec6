package capture

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"time"

	"mixdown/encoder"
	"mixdown/joiner"
	"mixdown/mixer"
	"mixdown/mixer/pcm"
	"mixdown/storage"
	"mixdown/storage/crypt"
	"mixdown/storage/lines"
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

// openEvents finds the stays, their packets and what was changed. The lines of
// streams that came number the stays: some never sent anything, and were solo
// all the same.
func (r *remix) openEvents() error {
	events, _, err := r.browser.Open(r.ctx, path.Join(r.prefix, storage.EventsName))
	if err != nil {
		return fmt.Errorf("events: %w", err)
	}
	defer events.Close()
	n := 0
	if _, _, err := lines.New(events, 0).Each(func(line []byte) error {
		n++
		if err := r.line(line); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		return nil
	}); err != nil {
		return fmt.Errorf("events: %w", err)
	}
	if len(r.turns) == 0 || r.turns[0].Frame > 0 {
		r.turns = slices.Insert(r.turns, 0, turn{})
	}
	for i := range r.turns {
		now := &r.turns[i].Control.Settings
		now.Mix = now.Mix.laid(r.mix)
	}
	r.stays = slices.DeleteFunc(r.stays, func(s *stay) bool { return !r.mix.wants(s.stream.ID, s.stream.User.ID, false) })
	for _, s := range r.stays {
		slices.SortFunc(s.rows, func(a, b row) int { return cmp.Compare(a.Pos, b.Pos) })
	}
	return nil
}

// line takes one line of the event log.
func (r *remix) line(raw []byte) error {
	var e struct {
		Sample int64           `json:"sample"`
		Type   string          `json:"type"`
		Who    json.RawMessage `json:"who"`
		Row    *placedRow      `json:"row"`

		Settings *settings `json:"settings"`
	}
	if err := json.Unmarshal(raw, &e); err != nil {
		return err
	}
	if e.Settings != nil {
		r.turns = append(r.turns, turn{Frame: e.Sample / pcm.FrameSize, Control: control{Settings: *e.Settings}})
	}
	switch e.Type {
	case "stream.added", "stream.removed":
		var who joiner.Stream
		if err := json.Unmarshal(e.Who, &who); err != nil {
			return fmt.Errorf("%s: %w", e.Type, err)
		}
		if e.Type == "stream.removed" {
			r.leave(who, e.Sample)
			break
		}
		r.stays = append(r.stays, &stay{
			r: r, num: uint32(len(r.stays)), stream: who, joined: e.Sample, left: -1, file: r.files[streamKey(who.User.ID, who.ID)],
		})
	case "stream.packets":
		if e.Row == nil || int(e.Row.Stay) >= len(r.stays) {
			return errors.New("packets of a stream that did not come")
		}
		s := r.stays[e.Row.Stay]
		s.rows = append(s.rows, e.Row.row)
	}
	return nil
}

// leave ends the stay of a stream that is in the room.
func (r *remix) leave(who joiner.Stream, at int64) {
	for _, s := range r.stays {
		if s.left < 0 && s.stream.ID == who.ID && s.stream.User.ID == who.User.ID {
			s.left = at
			return
		}
	}
}

func (r *remix) read(name string) ([]byte, error) {
	f, _, err := r.browser.Open(r.ctx, path.Join(r.prefix, name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
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
