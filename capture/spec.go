package capture

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"mixdown/encoder"
	"mixdown/mixer"
	"mixdown/mixer/pcm"
)

// Spec is what a caller asks for: the body of PUT /v1/captures/{id}.
type Spec struct {
	Room      RoomSpec          `json:"room" doc:"The room to capture."`
	User      UserSpec          `json:"user,omitempty" doc:"Who the recorder is in the room."`
	Mix       MixSpec           `json:"mix,omitempty" doc:"What goes into the mix, and how loud."`
	Record    []RecordSpec      `json:"record,omitempty" doc:"The files to write."`
	Republish []RepublishSpec   `json:"republish,omitempty" doc:"The streams to publish the mix as."`
	Encrypt   *EncryptSpec      `json:"encrypt,omitempty" doc:"Encrypt the recording. Without it the daemon's configuration decides."`
	Limits    LimitSpec         `json:"limits,omitempty" doc:"When the capture ends by itself."`
	Tone      ToneSpec          `json:"tone,omitempty" doc:"What sounds in a pause of mode tone."`
	Labels    map[string]string `json:"labels,omitempty" doc:"Kept with the recording; searchable."`
	Retention RetentionSpec     `json:"retention,omitempty" doc:"How long the recording is kept; without it, as the configuration says."`
}

// RoomSpec names a room. System "mixdown" without a URL is the embedded room
// service.
type RoomSpec struct {
	System string `json:"system,omitempty" doc:"The room system: mixdown is our own, livekit a LiveKit server, whep a list of streams." default:"mixdown" example:"mixdown"`
	URL    string `json:"url,omitempty" doc:"Where the room system is; empty for the embedded one. Of livekit: a server of the configuration, by name or URL, empty if there is only one; or any other, with a token."`
	RoomID string `json:"roomID" doc:"The room." example:"standup"`
	Token  string `json:"token,omitempty" doc:"A login token for a room system elsewhere. Never shown again."`

	Streams []StreamSpec `json:"streams,omitempty" doc:"Of whep: the streams that are the room."`
}

// UserSpec is the recorder's user. Hidden is true unless it is set to false.
type UserSpec struct {
	UserID   string `json:"userID,omitempty" default:"recorder"`
	UserName string `json:"userName,omitempty" default:"Recorder"`
	Hidden   *bool  `json:"hidden,omitempty" doc:"Not listed, not counted, does not keep the room alive. True unless set to false."`
}

// MixSpec says what is mixed. Include, exclude and gains name streams or
// users.
type MixSpec struct {
	Channels int                `json:"channels,omitempty" enum:"1,2" default:"2"`
	Include  []string           `json:"include,omitempty" doc:"Stream or user ids; empty means all."`
	Exclude  []string           `json:"exclude,omitempty" doc:"Stream or user ids that are neither mixed nor recorded."`
	Gains    map[string]float64 `json:"gains,omitempty" doc:"Gain in dB by stream or user id, -120 (silence) to 24."`
	Mute     []string           `json:"mute,omitempty" doc:"Stream or user ids that are in no mix, but go on in their own files."`
	Solo     []string           `json:"solo,omitempty" doc:"Stream or user ids; while one of them is there, the mixes hear only those."`
	RampMS   int                `json:"rampMs,omitempty" doc:"How long a change of a gain takes." default:"20" minimum:"0"`
	Level    float64            `json:"level,omitempty" doc:"Loudness in LUFS to which speech in the mixes is levelled, as -23; 0 leaves it alone. The streams' own files are untouched." maximum:"0"`
}

// RecordSpec is one kind of file to write.
type RecordSpec struct {
	ID             string   `json:"id,omitempty" doc:"Names the output; made by the daemon if left out, as mix-ogg."`
	What           string   `json:"what" enum:"mix,streams,dual" doc:"The mix; one file for each stream; or a mix with some on the left and the others on the right."`
	Format         string   `json:"format,omitempty" enum:"ogg,wav,flac" default:"ogg"`
	SegmentSeconds int      `json:"segmentSeconds,omitempty" doc:"Length of a segment." default:"60" minimum:"0"`
	Storage        string   `json:"storage,omitempty" doc:"Where the files go: local, or a storage of the configuration." default:"local"`
	Bitrate        int      `json:"bitrate,omitempty" doc:"Of Opus, in bit/s." minimum:"0"`
	Left           []string `json:"left,omitempty" doc:"Of dual: the stream or user ids on the left."`
}

// RepublishSpec is one stream that carries the mix.
type RepublishSpec struct {
	StreamID string   `json:"streamID,omitempty" doc:"The stream in the room; with whip only the name of this entry, made by the daemon if left out."`
	WHIP     string   `json:"whip,omitempty" doc:"Publish there by WHIP (RFC 9725), not in the room. It is shown: put secrets into token." example:"https://media.example.org/stage/whip"`
	Token    string   `json:"token,omitempty" doc:"Bearer token for whip. Never shown again."`
	Bitrate  int      `json:"bitrate,omitempty" default:"48000" minimum:"0"`
	Channels int      `json:"channels,omitempty" enum:"1,2" doc:"As those of the mix if left out."`
	Only     []string `json:"only,omitempty" doc:"Stream ids that are heard; empty means all."`
	Except   []string `json:"except,omitempty" doc:"Stream ids that are not heard: a mix-minus."`
}

// RetentionSpec says how long the recording is kept: by a class of the
// configuration, or for days of its own.
type RetentionSpec struct {
	Class string `json:"class,omitempty" doc:"A class of the configuration."`
	Days  int    `json:"days,omitempty" doc:"Days from the recording's end, without a lock." minimum:"0" maximum:"36500"`
}

func (r RetentionSpec) check(add func(field, format string, args ...any)) {
	if r.Class != "" && r.Days != 0 {
		add("retention", "give a class or days, not both")
	}
	if r.Days < 0 || r.Days > 36500 {
		add("retention.days", "must be 0 to 36500")
	}
}

// LimitSpec ends a capture by itself; zero means the default.
type LimitSpec struct {
	MaxSeconds  int `json:"maxSeconds,omitempty" doc:"Longest capture." default:"14400" minimum:"0"`
	IdleSeconds int `json:"idleSeconds,omitempty" doc:"Ends after so long without any stream." default:"300" minimum:"0"`
}

// The defaults of a [Spec].
const (
	defaultUserID         = "recorder" // followed by the capture's id in the room
	defaultSegmentSeconds = 60
	defaultMixBitrate     = 64000
	defaultMaxSeconds     = 14400
	defaultIdleSeconds    = 300
	defaultRampMS         = 20
)

// SpecError says what is wrong with a [Spec], field by field.
type SpecError struct{ Problems []Problem }

// Problem is one wrong field.
type Problem struct{ Field, Text string }

func (e *SpecError) Error() string {
	var all []string
	for _, p := range e.Problems {
		all = append(all, p.Field+": "+p.Text)
	}
	return strings.Join(all, "; ")
}

func (e *SpecError) add(field, format string, args ...any) {
	e.Problems = append(e.Problems, Problem{field, fmt.Sprintf(format, args...)})
}

var (
	captureIDRule = regexp.MustCompile(`^[0-9A-Za-z_-]{1,64}$`)
	streamIDRule  = regexp.MustCompile(`^[0-9A-Za-z_-]{1,256}$`)
)

// withDefaults returns the spec with every omitted field set, so that two
// bodies that mean the same compare equal.
func (s Spec) withDefaults() Spec {
	s = s.filled()
	nameOutputs(s.Record, nil, nil)
	return s
}

// filled is withDefaults but for the names of outputs.
func (s Spec) filled() Spec {
	setDefault(&s.Room.System, "mixdown")
	setDefault(&s.User.UserID, defaultUserID)
	setDefault(&s.User.UserName, "Recorder")
	if s.User.Hidden == nil {
		hidden := true
		s.User.Hidden = &hidden
	}
	setDefault(&s.Mix.Channels, 2)
	setDefault(&s.Mix.RampMS, defaultRampMS)
	setDefault(&s.Tone.Hz, 440)
	setDefault(&s.Tone.LevelDB, -30)
	setDefault(&s.Tone.EveryMS, 2000)
	setDefault(&s.Tone.LengthMS, 200)
	s.Record = slices.Clone(s.Record)
	for i := range s.Record {
		r := &s.Record[i]
		setDefault(&r.Format, "ogg")
		setDefault(&r.SegmentSeconds, defaultSegmentSeconds)
		setDefault(&r.Storage, LocalStorage)
		if r.What != "streams" && r.Format == "ogg" {
			setDefault(&r.Bitrate, defaultMixBitrate)
		}
	}
	s.Republish = slices.Clone(s.Republish)
	nameTargets(s.Republish)
	for i := range s.Republish {
		setDefault(&s.Republish[i].Bitrate, 48000)
		setDefault(&s.Republish[i].Channels, s.Mix.Channels)
	}
	setDefault(&s.Limits.MaxSeconds, defaultMaxSeconds)
	setDefault(&s.Limits.IdleSeconds, defaultIdleSeconds)
	s.Labels = maps.Clone(s.Labels)
	return s
}

func setDefault[T comparable](v *T, d T) {
	if zero := *new(T); *v == zero {
		*v = d
	}
}

// check returns a *SpecError naming every wrong field, or nil. The spec has
// its defaults; env knows what exists.
func (s Spec) check(env *Config) error {
	systems, storages := slices.Sorted(maps.Keys(env.Systems)), env.Storages
	var e SpecError
	add := e.add
	if s.Room.RoomID == "" || len(s.Room.RoomID) > 128 {
		add("room.roomID", "needs 1 to 128 characters")
	}
	if !slices.Contains(systems, s.Room.System) {
		add("room.system", "%q is not known; known are %s", s.Room.System, strings.Join(systems, ", "))
	}
	if len(s.User.UserID) > 64 {
		add("user.userID", "is longer than 64 bytes")
	}
	if len(s.Record) == 0 && len(s.Republish) == 0 {
		add("record", "nothing to do: ask for at least one of record and republish")
	}
	for i, r := range s.Record {
		at := fmt.Sprintf("record[%d].", i)
		if !slices.Contains([]string{"mix", "streams", "dual"}, r.What) {
			add(at+"what", "%q is not one of mix, streams, dual", r.What)
		}
		if (r.What == "dual") != (len(r.Left) > 0) {
			add(at+"left", "says who is on the left of a dual recording, and of no other")
		}
		if _, ok := encoder.Ext(r.Format); !ok {
			add(at+"format", "%q is not one of ogg, wav, flac", r.Format)
		}
		if !slices.Contains(storages, r.Storage) {
			add(at+"storage", "%q is not configured; configured are %s", r.Storage, strings.Join(storages, ", "))
		}
		if r.SegmentSeconds < 1 || r.SegmentSeconds > 86400 {
			add(at+"segmentSeconds", "must be 1 to 86400")
		}
		if r.ID != "" && r.number() == 0 {
			add(at+"id", "%q is made by the daemon; leave it out", r.ID)
		}
		if slices.ContainsFunc(s.Record[:i], func(o RecordSpec) bool { return o.ID == r.ID && !o.same(r) }) {
			add(at+"id", "%q is another output's", r.ID)
		}
		if r.Bitrate != 0 && (r.Bitrate < 6000 || r.Bitrate > 510000) {
			add(at+"bitrate", "must be 6000 to 510000 bit/s")
		}
	}
	seen := map[string]bool{}
	for i, r := range s.Republish {
		at := fmt.Sprintf("republish[%d].", i)
		if !streamIDRule.MatchString(r.StreamID) {
			add(at+"streamID", "needs 1 to 256 of 0-9 A-Z a-z _ -")
		}
		if seen[r.StreamID] {
			add(at+"streamID", "%q is published twice", r.StreamID)
		}
		seen[r.StreamID] = true
		s.checkTarget(at, r, env, add)
		if r.Bitrate < 6000 || r.Bitrate > 510000 {
			add(at+"bitrate", "must be 6000 to 510000 bit/s")
		}
		if r.Channels != 1 && r.Channels != 2 {
			add(at+"channels", "must be 1 or 2")
		}
	}
	if slices.ContainsFunc(s.tokens(), func(t *string) bool { return *t == redactedToken }) {
		add("token", "%q is what is shown instead of a token: send the token, or change what has it by PATCH", redactedToken)
	}
	s.Room.check(env, add)
	s.Mix.check(add)
	s.Tone.check(add)
	s.Retention.check(add)
	if len(e.Problems) > 0 {
		return &e
	}
	return nil
}

func (m MixSpec) check(add func(field, format string, args ...any)) {
	for id, db := range m.Gains {
		if db < pcm.MinDB || db > mixer.MaxGain {
			add("mix.gains."+id, "must be %d to %d dB", pcm.MinDB, mixer.MaxGain)
		}
	}
	if m.Level != 0 && (m.Level < -40 || m.Level > -5) {
		add("mix.level", "must be -40 to -5 LUFS, or 0")
	}
	if m.Channels != 1 && m.Channels != 2 {
		add("mix.channels", "must be 1 or 2")
	}
	if m.RampMS < 0 || m.RampMS > 60000 {
		add("mix.rampMs", "must be 0 to 60000")
	}
}

func (t ToneSpec) check(add func(field, format string, args ...any)) {
	if t.Hz < 20 || t.Hz > 20000 {
		add("tone.hz", "must be 20 to 20000")
	}
	if t.LevelDB < -80 || t.LevelDB > -6 {
		add("tone.levelDb", "must be -80 to -6 dBFS")
	}
	if t.EveryMS < 100 || t.EveryMS > 600000 {
		add("tone.everyMs", "must be 100 to 600000")
	}
	if t.LengthMS < 40 || 2*t.LengthMS > t.EveryMS {
		add("tone.lengthMs", "must be 40 to half of everyMs")
	}
}

// wants says whether a stream takes part in the capture: streams that a
// capture publishes only if include names them.
func (m MixSpec) wants(streamID, userID string, published bool) bool {
	named := func(list []string) bool {
		return slices.Contains(list, streamID) || slices.Contains(list, userID)
	}
	if named(m.Exclude) {
		return false
	}
	if published {
		return slices.Contains(m.Include, streamID)
	}
	return len(m.Include) == 0 || named(m.Include)
}

// gain is the gain of a stream in dB; the stream's own entry wins.
func (m MixSpec) gain(streamID, userID string) float64 {
	if g, ok := m.Gains[streamID]; ok {
		return g
	}
	return m.Gains[userID]
}

func (l LimitSpec) max() time.Duration  { return time.Duration(l.MaxSeconds) * time.Second }
func (l LimitSpec) idle() time.Duration { return time.Duration(l.IdleSeconds) * time.Second }

// HasLabel says whether labels hold "name=value", or a name with any value.
func HasLabel(labels map[string]string, want string) bool {
	name, value, exact := strings.Cut(want, "=")
	have, ok := labels[name]
	return ok && (!exact || have == value)
}

// differences names the fields in which two specs differ, by their JSON
// names.
func differences(a, b Spec) []string {
	var names []string
	fa, fb := flatten(a), flatten(b)
	for k := range maps.Keys(fa) {
		if fa[k] != fb[k] {
			names = append(names, k)
		}
	}
	for k := range maps.Keys(fb) {
		if _, ok := fa[k]; !ok {
			names = append(names, k)
		}
	}
	slices.Sort(names)
	return names
}

func flatten(s Spec) map[string]string {
	b, _ := json.Marshal(s) // plain values
	var top any
	_ = json.Unmarshal(b, &top)
	out := map[string]string{}
	var walk func(prefix string, v any)
	walk = func(prefix string, v any) {
		m, ok := v.(map[string]any)
		if !ok {
			leaf, _ := json.Marshal(v)
			out[prefix] = string(leaf)
			return
		}
		for k, sub := range m {
			walk(strings.TrimPrefix(prefix+"."+k, "."), sub)
		}
	}
	walk("", top)
	return out
}
