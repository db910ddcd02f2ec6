package storage

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// ManifestFormat is the format member of every manifest.
const ManifestFormat = "mixdown.recording/1"

// Names of the files of a recording that are not segments.
const (
	ManifestName  = "manifest.json"
	SignatureName = "manifest.json.sig"
	TimeStampName = "manifest.json.tsr" // of a time stamping authority (RFC 3161), about manifest.json
	EventsName    = "events.jsonl"
	OverviewName  = "overview.json" // what the recording looks like; made of EventsName
)

const sampleRate = 48000

// Manifest says what a recording is; it is the content of manifest.json.
type Manifest struct {
	Format string `json:"format"` // ManifestFormat
	ID     string `json:"id"`     // the recording's and its capture's
	Room   Room   `json:"room"`
	Start  Time   `json:"start"` // the instant of sample 0
	End    *Time  `json:"end"`   // null while the capture runs
	State  string `json:"state"` // of the capture
	Clock  Clock  `json:"clock"`

	Outputs  []Output   `json:"outputs"`
	Users    []User     `json:"users"`
	Streams  []Stream   `json:"streams"`
	Segments []Segment  `json:"segments"` // in the order of sealing, which is the order of the chain
	Gaps     []Gap      `json:"gaps,omitempty"`
	Files    []Document `json:"files,omitempty"` // other files that are final, as events.jsonl

	Ledger  map[string]Ledger             `json:"ledger"`  // by Stream.Key
	Quality map[string]map[string]float64 `json:"quality"` // by Stream.Key: figures of the receiver
	Labels  map[string]string             `json:"labels"`

	Retention  *Retention  `json:"retention,omitempty"`  // nil: kept for ever
	Encryption *Encryption `json:"encryption,omitempty"` // nil: in the clear

	Rebuilt *Rebuilt  `json:"rebuilt,omitempty"` // nil: made by the capture itself
	Sealed  *SealMark `json:"sealed,omitempty"`
}

// Retention is how long a recording is kept, as decided at its start. What
// becomes of it after the seal, an extension or a hold, is not in the manifest.
type Retention struct {
	Class       string              `json:"class,omitempty"` // of the configuration; "" if the days are the capture's own
	Days        int                 `json:"days"`            // from the end of the recording
	RetainUntil *Time               `json:"retainUntil"`     // null while the capture runs
	Locks       map[string]LockMode `json:"locks,omitempty"` // by storage: how it keeps the objects
	Early       bool                `json:"early,omitempty"` // may be disposed of before, by request
}

// Room names the room that was recorded.
type Room struct {
	System string `json:"system"`
	RoomID string `json:"roomID"`
}

// Clock relates the capture's clock to UTC. Fields are nil where nothing is known.
type Clock struct {
	OffsetMS      *float64 `json:"offsetMs,omitempty"`      // UTC minus the machine's wall clock at Start
	UncertaintyMS *float64 `json:"uncertaintyMs,omitempty"` // half width of OffsetMS
	Source        string   `json:"source,omitempty"`        // as "system", "ntp"
}

// Output is one row of segments.
type Output struct {
	ID             string   `json:"id"`
	What           string   `json:"what"`             // mix, stream, dual
	Format         string   `json:"format"`           // ogg, wav, flac
	Storage        []string `json:"storage"`          // names of buckets
	Backup         []string `json:"backup,omitempty"` // buckets that got what one of those could not be given for long
	Channels       int      `json:"channels"`
	SegmentSeconds int      `json:"segmentSeconds"`
	StreamID       string   `json:"streamID,omitempty"`
	UserID         string   `json:"userID,omitempty"`
	Key            string   `json:"key,omitempty"` // path of the key file that opens its segments; "" in the clear

	// No kill and no power cut loses anything of the output before this
	// sample of the recording, which is the instant DurableTo.
	DurableSample int64 `json:"durableSample"`
	DurableTo     *Time `json:"durableTo,omitempty"`
}

// Presence is one stay, of a user in the room or of a stream in the air.
type Presence struct {
	Join  Time  `json:"join"`
	Leave *Time `json:"leave"` // null while present
}

// User is somebody who was in the room.
type User struct {
	UserID   string     `json:"userID"`
	UserName string     `json:"userName"`
	Joins    []Presence `json:"joins"`
}

// Stream is what a user published.
type Stream struct {
	StreamID string     `json:"streamID"`
	UserID   string     `json:"userID"`
	Joins    []Presence `json:"joins"`
}

// Key is the stream's name in Ledger and Quality: userID/streamID.
func (s Stream) Key() string { return s.UserID + "/" + s.StreamID }

// Segment is one sealed audio file.
type Segment struct {
	Path        string `json:"path"`   // below the recording's folder, slash-separated
	Output      string `json:"output"` // an Output's ID
	Index       int    `json:"index"`  // 1, 2, 3 … within the output
	Start       Time   `json:"start"`  // of the first sample
	StartSample int64  `json:"startSample"`
	Samples     int64  `json:"samples"` // instants, not values: the same for mono and stereo
	Bytes       int64  `json:"bytes"`
	SHA256      string `json:"sha256"` // hex
	Chain       string `json:"chain"`  // hex, see [Manifest.Append]
}

// Gap declares that an output has no audio between two segments, as after a
// pause of mode skip.
type Gap struct {
	Output      string `json:"output"`
	StartSample int64  `json:"startSample"`
	Samples     int64  `json:"samples"`
	Reason      string `json:"reason"`
}

// Document is a file of the recording that is not a segment.
type Document struct {
	Path   string `json:"path"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"` // hex
}

// SealMark closes a manifest; see [Seal].
type SealMark struct {
	At    Time   `json:"at"`
	Head  string `json:"head"`  // chain of the last segment; of none, 64 zeros
	KeyID string `json:"keyID"` // of the key that signed, name+hash; "" if unsigned
}

// Ledger says what became of a stream: milliseconds by class, and their sum
// under "span".
type Ledger map[string]int64

const ledgerSpan = "span"

// NewLedger converts samples at 48 kHz by class to milliseconds. Rounding is
// spread by largest remainder, so that the classes add up to the span exactly.
func NewLedger(samples map[string]int64) Ledger {
	const perMS = sampleRate / 1000
	classes := slices.Sorted(maps.Keys(samples))
	l := make(Ledger, len(classes)+1)
	var total, whole int64
	for _, c := range classes {
		total += samples[c]
		l[c] = samples[c] / perMS
		whole += l[c]
	}
	span := (total + perMS/2) / perMS
	slices.SortStableFunc(classes, func(a, b string) int { return int(samples[b]%perMS - samples[a]%perMS) })
	for i := 0; whole < span; i++ {
		l[classes[i]]++
		whole++
	}
	l[ledgerSpan] = span
	return l
}

// Sum adds up the classes.
func (l Ledger) Sum() (ms int64) {
	for class, n := range l {
		if class != ledgerSpan {
			ms += n
		}
	}
	return ms
}

// Append adds a sealed segment and sets its Bytes, SHA256 and Chain. It fails
// only if the chain of the last segment is no SHA-256, as a manifest that was
// read back from a damaged file may have it.
//
// The chain of a segment is SHA-256(previous chain ‖ SHA-256 of the file), 64
// bytes of input; the one before the first segment is 32 zero bytes.
func (m *Manifest) Append(s Segment, sealed Sealed) error {
	s.Bytes, s.SHA256 = sealed.Size, hex.EncodeToString(sealed.SHA256[:])
	previous, err := hex.DecodeString(m.Head())
	if err != nil || len(previous) != sha256.Size {
		return fmt.Errorf("append segment %s: the chain before it, %q, is no SHA-256", s.Path, m.Head())
	}
	s.Chain = chainAfter([32]byte(previous), sealed.SHA256)
	m.Segments = append(m.Segments, s)
	return nil
}

// AppendFile adds a final file that is not a segment.
func (m *Manifest) AppendFile(path string, sealed Sealed) {
	m.Files = slices.DeleteFunc(m.Files, func(d Document) bool { return d.Path == path })
	m.Files = append(m.Files, Document{Path: path, Bytes: sealed.Size, SHA256: hex.EncodeToString(sealed.SHA256[:])})
}

// Head is the chain of the last segment, in hex.
func (m *Manifest) Head() string {
	if len(m.Segments) == 0 {
		return strings.Repeat("0", 2*sha256.Size)
	}
	return m.Segments[len(m.Segments)-1].Chain
}

func chainAfter(previous, sum [32]byte) string {
	both := append(previous[:], sum[:]...)
	chain := sha256.Sum256(both)
	return hex.EncodeToString(chain[:])
}

// Encode gives the bytes of manifest.json. Empty lists are written as [], not
// as null.
func (m *Manifest) Encode() ([]byte, error) {
	full := *m
	full.Outputs = orEmpty(m.Outputs)
	full.Users = orEmpty(m.Users)
	full.Streams = orEmpty(m.Streams)
	full.Segments = orEmpty(m.Segments)
	if full.Ledger == nil {
		full.Ledger = map[string]Ledger{}
	}
	if full.Quality == nil {
		full.Quality = map[string]map[string]float64{}
	}
	if full.Labels == nil {
		full.Labels = map[string]string{}
	}
	b, err := json.MarshalIndent(full, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode manifest %s: %w", m.ID, err)
	}
	return append(b, '\n'), nil
}

func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// DecodeManifest reads manifest.json. Members it does not know are ignored,
// another format is an error. What it returns can be trusted to be well-formed
// only in so far as JSON is; [Verify] checks the rest.
func DecodeManifest(b []byte) (*Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("decode manifest: %w", err)
	}
	if m.Format != ManifestFormat {
		return nil, fmt.Errorf("decode manifest: format is %q, not %q", m.Format, ManifestFormat)
	}
	return &m, nil
}

// Time is an instant as manifests write it: RFC 3339, UTC, three decimals.
type Time struct{ time.Time }

const timeLayout = "2006-01-02T15:04:05.000Z"

// At is t to the nearest millisecond, in UTC.
func At(t time.Time) Time { return Time{t.UTC().Round(time.Millisecond)} }

// AtSample is the instant of sample n of a recording that starts at start.
func AtSample(start Time, n int64) Time {
	seconds, rest := n/sampleRate, n%sampleRate
	return At(start.Add(time.Duration(seconds)*time.Second + time.Duration(rest)*time.Second/sampleRate))
}

// String is the form that JSON has.
func (t Time) String() string { return t.UTC().Format(timeLayout) }

// MarshalJSON writes the form with three decimals.
func (t Time) MarshalJSON() ([]byte, error) {
	if y := t.UTC().Year(); y < 0 || y > 9999 {
		return nil, fmt.Errorf("year %d is outside RFC 3339", y)
	}
	return []byte(`"` + t.String() + `"`), nil
}

// UnmarshalJSON reads any RFC 3339 time.
func (t *Time) UnmarshalJSON(b []byte) error {
	var s time.Time
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	t.Time = s.UTC()
	return nil
}
