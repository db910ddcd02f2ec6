package capture

import (
	"crypto/sha256"
	"fmt"
	"path"
	"slices"
	"time"

	"mixdown/mixer/pcm"
	"mixdown/storage"
)

// manifestEvery is how often the manifest of a running capture is stored
// again at most.
const manifestEvery = 5 * time.Second

// manifestPause is how long a manifest of n segments stands at least. In a room
// of 100 there are 144,000 after a day: 60 MB, which are written and uploaded
// whole, and should not be more than the audio.
func manifestPause(n int) time.Duration { return manifestEvery + time.Duration(n)*2*time.Millisecond }

// listed is what the stored manifest of a running capture says.
type listed struct {
	segments int
	keys     int
	at       time.Duration // of the last try to store it
	err      error         // of that
}

// manifest says what the recording is by now.
func (c *Capture) manifest() *storage.Manifest {
	t := c.timeline
	c.mu.Lock()
	state, ended := c.mu.state, c.mu.ended
	c.mu.Unlock()
	m := &storage.Manifest{
		Format:   storage.ManifestFormat,
		ID:       c.id,
		Room:     storage.Room{System: c.spec.Room.System, RoomID: c.spec.Room.RoomID},
		Start:    storage.At(c.clock.start),
		State:    string(state),
		Clock:    storage.Clock{Source: "system"},
		Users:    nonNil(t.users),
		Streams:  nonNil(t.storedStreams()),
		Segments: nonNil(t.archive.sealed.Segments),
		Ledger:   t.ledgers(),
		Quality:  t.qualities(),
		Labels:   c.settings.Load().Labels,
		Gaps:     t.archive.declared(t.frame * pcm.FrameSize),

		Encryption: t.archive.encryption.stored(),
	}
	if m.Labels == nil {
		m.Labels = map[string]string{}
	}
	if !ended.IsZero() {
		end := storage.At(ended)
		m.End = &end
	}
	m.Retention = c.Retention()
	m.Outputs = []storage.Output{}
	for _, p := range t.archive.outputs {
		m.Outputs = append(m.Outputs, c.durable(p.output, p.end))
	}
	slices.SortFunc(m.Outputs, func(a, b storage.Output) int { return compareIDs(a.ID, b.ID) })
	return m
}

func nonNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// Retention is how long the recording is kept, counted from its end; nil is
// for ever.
func (c *Capture) Retention() *storage.Retention {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.retention == nil {
		return nil
	}
	r := *c.retention
	if !c.mu.ended.IsZero() {
		until := storage.At(c.mu.ended.AddDate(0, 0, r.Days))
		r.RetainUntil = &until
	}
	return &r
}

// refreshManifest stores the manifest again when segments were sealed since. A
// new key does not wait: what is encrypted with it can be opened by the manifest
// alone.
func (c *Capture) refreshManifest(at time.Duration) error {
	archive := c.timeline.archive
	n, keys := len(archive.sealed.Segments), len(archive.encryption.keys)
	pause := manifestPause(n)
	if keys != c.listed.keys || c.listed.err != nil {
		pause = manifestEvery
	}
	if n == c.listed.segments && keys == c.listed.keys || at < c.listed.at+pause {
		return c.listed.err
	}
	c.listed.at, c.listed.err = at, c.saveManifest()
	if c.listed.err == nil {
		c.listed.segments, c.listed.keys = n, keys
	}
	return c.listed.err
}

// saveManifest stores the manifest of a recording that is not sealed yet.
func (c *Capture) saveManifest() error {
	buckets := c.Storages()
	if len(buckets) == 0 {
		return nil
	}
	b, err := c.manifest().Encode()
	if err != nil {
		return err
	}
	if _, err := c.env.Spool.Put(path.Join(c.Base(), storage.ManifestName), b, buckets); err != nil {
		return fmt.Errorf("store the manifest: %w", err)
	}
	return nil
}

// seal stores the event log, the final manifest and its signature.
func (c *Capture) seal(state State) error {
	buckets := c.Storages()
	if len(buckets) == 0 {
		return nil
	}
	name, sealed, err := c.sealEvents(buckets)
	if err != nil {
		return err
	}
	m := c.manifest()
	m.State = string(state)
	m.AppendFile(name, sealed)
	if err := c.sealOverview(m, buckets); err != nil {
		return err
	}
	manifest, signature, err := storage.Seal(m, c.env.Key)
	if err != nil {
		return err
	}
	c.sealedAs(m.Sealed, sha256.Sum256(manifest))
	if _, err := c.env.Spool.Put(path.Join(c.Base(), storage.ManifestName), manifest, buckets); err != nil {
		return fmt.Errorf("store the manifest: %w", err)
	}
	if signature == nil {
		return nil
	}
	if _, err := c.env.Spool.Put(path.Join(c.Base(), storage.SignatureName), signature, buckets); err != nil {
		return fmt.Errorf("store the signature: %w", err)
	}
	return nil
}

// sealEvents stores the event log and says under which name.
func (c *Capture) sealEvents(buckets []string) (name string, sealed storage.Sealed, err error) {
	if err := c.timeline.archive.catchUp(); err != nil { // a key file of an earlier try, which is made once
		return "", storage.Sealed{}, err
	}
	events, err := c.timeline.events.reader()
	if err != nil {
		return "", storage.Sealed{}, err
	}
	name, write, err := c.timeline.archive.document(storage.EventsName, events)
	if err != nil {
		return "", storage.Sealed{}, err
	}
	sealed, err = c.env.Spool.PutFrom(path.Join(c.Base(), name), write, buckets)
	if err != nil {
		return "", storage.Sealed{}, fmt.Errorf("store %s: %w", name, err)
	}
	return name, sealed, nil
}

// storedStreams lists the streams with their stays.
func (t *timeline) storedStreams() []storage.Stream {
	var all []storage.Stream
	for _, s := range t.streams {
		id, user := s.rec.Stream.ID, s.rec.Stream.User.ID
		i := slices.IndexFunc(all, func(o storage.Stream) bool { return o.StreamID == id && o.UserID == user })
		if i < 0 {
			i = len(all)
			all = append(all, storage.Stream{StreamID: id, UserID: user})
		}
		all[i].Joins = append(all[i].Joins, s.stay())
	}
	return all
}

// qualities are the receiver's figures of each stream's last stay.
func (t *timeline) qualities() map[string]map[string]float64 {
	all := map[string]map[string]float64{}
	for _, s := range t.streams {
		all[s.key()] = s.figures()
	}
	return all
}

// stay is when the stream was in the room.
func (s *stream) stay() storage.Presence {
	p := storage.Presence{Join: s.t.archive.clock.utcAt(s.joined)}
	if s.left >= 0 {
		left := s.t.archive.clock.utcAt(s.left)
		p.Leave = &left
	}
	return p
}
