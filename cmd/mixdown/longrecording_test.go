package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"mixdown/capture"
	"mixdown/configs"
	"mixdown/encoder"
	"mixdown/encoder/opus"
	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
	"mixdown/overview"
	"mixdown/storage"
)

// fabricated is a recording as a capture of any length would have left it, made
// in no time: packets that were encoded once are placed again and again.
type fabricated struct {
	id, room string
	length   time.Duration
	segment  time.Duration // 0 is one segment
	looks    bool          // it has an overview.json
	speakers []string
}

// toneEvery is how long each tone of a fabricated recording lasts; the n-th is
// hertz(n).
const toneEvery = 10 * time.Second

// hertz are whole periods in 20 ms, so that packets of a tone join.
func hertz(n int64) float64 { return []float64{400, 700, 1100, 1600}[n%4] }

// write puts the recording into a data folder.
func (f fabricated) write(t testing.TB, data string) {
	t.Helper()
	start := storage.At(time.Date(2026, 11, 23, 8, 15, 0, 0, time.UTC))
	end := storage.At(start.Add(f.length))
	m := &storage.Manifest{Format: storage.ManifestFormat, ID: f.id, Room: storage.Room{System: "mixdown", RoomID: f.room}, Start: start, End: &end, State: "complete"}
	dir := filepath.Join(data, "recordings", f.room, f.id)
	var tones [4][][]byte
	for n := range int64(4) {
		tones[n] = packetsOf(t, hertz(n))
	}
	rows := []folder{{storage.Output{ID: "mix-ogg", What: "mix", Format: "ogg", Storage: []string{"local"}, Channels: 1}, "mix", dir, m, t}}
	for _, user := range f.speakers {
		o := storage.Output{ID: "streams-ogg/" + user + "/" + user + "-mic", What: "streams", Format: "ogg", Storage: []string{"local"}, Channels: 1, UserID: user, StreamID: user + "-mic"}
		rows = append(rows, folder{o, "streams/" + user + "/" + user + "-mic", dir, m, t})
		stay := []storage.Presence{{Join: start, Leave: &end}}
		m.Users = append(m.Users, storage.User{UserID: user, UserName: user, Joins: stay})
		m.Streams = append(m.Streams, storage.Stream{StreamID: user + "-mic", UserID: user, Joins: stay})
	}
	for _, row := range rows {
		m.Outputs = append(m.Outputs, row.Output)
		out := encoder.NewOriginals(row, encoder.OriginalsConfig{Every: pcm.Samples(f.segment), Resume: -1})
		for frame := int64(0); frame < int64(f.length/pcm.FrameTime); frame++ {
			n := frame * int64(pcm.FrameTime) / int64(toneEvery)
			tone := tones[n%4]
			must(t, out.Write(frame*pcm.FrameSize, pcm.FrameSize, tone[frame%int64(len(tone))]))
		}
		must(t, out.Close(pcm.Samples(f.length)))
	}
	slices.SortStableFunc(m.Segments, func(a, b storage.Segment) int { return int(a.StartSample - b.StartSample) })
	m.Segments = chained(t, m.Segments)
	events := f.events(start)
	put := func(name string, b []byte) {
		must(t, os.WriteFile(filepath.Join(dir, name), b, 0o600))
		m.AppendFile(name, storage.Sealed{Size: int64(len(b)), SHA256: sha256.Sum256(b)})
	}
	put(storage.EventsName, events)
	if f.looks {
		o, err := overview.Digest(m, bytes.NewReader(events))
		must(t, err)
		b, err := o.Encode()
		must(t, err)
		put(storage.OverviewName, b)
	}
	manifest, _, err := storage.Seal(m, nil)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, storage.ManifestName), manifest, 0o600))
	saved, err := json.Marshal(map[string]any{
		"id": f.id, "state": capture.Complete, "start": start, "end": end,
		"spec": capture.Spec{Room: capture.RoomSpec{RoomID: f.room}, Record: []capture.RecordSpec{{What: "mix"}, {What: "streams"}}},
		"status": map[string]any{
			"id": f.id, "state": capture.Complete, "start": start, "end": end, "seconds": f.length.Seconds(), "room": map[string]any{"roomID": f.room},
			"record": []capture.RecordSpec{{What: "mix"}, {What: "streams"}},
		},
	})
	must(t, err)
	folder := filepath.Join(data, "captures", f.id)
	must(t, os.MkdirAll(folder, 0o700))
	must(t, os.WriteFile(filepath.Join(folder, "capture.json"), saved, 0o600))
}

// chained gives segments that were put into another order their places in it.
func chained(t testing.TB, all []storage.Segment) []storage.Segment {
	t.Helper()
	var m storage.Manifest
	for _, s := range all {
		sum, err := hex.DecodeString(s.SHA256)
		must(t, err)
		must(t, m.Append(s, storage.Sealed{Size: s.Bytes, SHA256: [32]byte(sum)}))
	}
	return m.Segments
}

// events is the log of the recording: the speakers take turns, a spurt every ten
// seconds, and lose something now and then.
func (f fabricated) events(start storage.Time) []byte {
	var b bytes.Buffer
	add := func(at time.Duration, kind string, who any, more string) {
		w, _ := json.Marshal(who) // strings only
		fmt.Fprintf(&b, `{"at":%q,"sample":%d,"type":%q,"who":%s%s}`+"\n", storage.At(start.Add(at)), pcm.Samples(at), kind, w, more)
	}
	stream := func(user string) any {
		return map[string]any{"streamID": user + "-mic", "user": map[string]string{"userID": user, "userName": user}}
	}
	wave := func(at time.Duration, output string) {
		if f.looks { // 0.2 of full scale for ten seconds
			raw, _ := json.Marshal(bytes.Repeat([]byte{199}, 100))
			add(at, "wave", map[string]string{"output": output}, `,"peaks":`+string(raw))
		}
	}
	for _, user := range f.speakers {
		add(0, "stream.added", stream(user), "")
	}
	for at := time.Duration(0); at+toneEvery <= f.length; at += toneEvery {
		wave(at, "mix-ogg")
		for i, user := range f.speakers {
			if int(at/toneEvery)%len(f.speakers) == i {
				add(at, "talk.started", stream(user), "")
				add(at+9*time.Second, "talk.ended", stream(user), "")
				wave(at, "streams-ogg/"+user+"/"+user+"-mic")
			}
			for s := range 10 {
				second, missed := at+time.Duration(s)*time.Second, 0
				if i == 0 && s == 5 && int(at/toneEvery)%30 == 0 {
					missed = 400
				}
				add(second, "stream.quality", user+"-mic", fmt.Sprintf(`,"figures":{"stay":%d,"packets":%d,"lost":0,"late":0,"duplicates":0,"broken":0,"jitterMs":1.5,"driftPpm":0,"levelDb":-20,"talking":1,"missedMs":%d,"missedSample":%d}`,
					i, int(second/pcm.FrameTime), missed, pcm.Samples(second)))
			}
		}
	}
	return b.Bytes()
}

// packetsOf are a second of a tone as Opus packets of its middle.
func packetsOf(t testing.TB, hz float64) (all [][]byte) {
	t.Helper()
	enc, err := opus.NewEncoder(opus.EncoderConfig{Channels: 1, Bitrate: 24000, Complexity: 3})
	must(t, err)
	var f pcm.Frame
	source := pcmtest.Tone(hz, 0.2)
	for range 100 {
		var buf [1500]byte
		must(t, source.ReadFrame(&f))
		n, err := enc.Encode(&f, buf[:])
		must(t, err)
		all = append(all, bytes.Clone(buf[:n]))
	}
	return all[50:]
}

// folder is an encoder.Store of one output in a folder.
type folder struct {
	storage.Output
	path, dir string
	m         *storage.Manifest
	t         testing.TB
}

// Create implements encoder.Store.
func (o folder) Create(s encoder.Segment) (encoder.File, error) {
	name := filepath.Join(o.dir, o.path, o.name(s))
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, err
	}
	return os.Create(name)
}

func (o folder) name(s encoder.Segment) string { return fmt.Sprintf("%06d.ogg", s.Index) }

// Commit implements encoder.Store.
func (o folder) Commit(file encoder.File, s encoder.Segment) error {
	f := file.(*os.File)
	defer f.Close()
	b, err := os.ReadFile(f.Name())
	if err != nil {
		return err
	}
	return o.m.Append(storage.Segment{
		Path: o.path + "/" + o.name(s), Output: o.ID, Index: s.Index, StartSample: s.Start, Samples: s.Samples,
		Start: storage.AtSample(storage.At(time.Date(2026, 11, 23, 8, 15, 0, 0, time.UTC)), s.Start),
	}, storage.Sealed{Size: int64(len(b)), SHA256: sha256.Sum256(b)})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestOverviewOverREST: recordings from before there were overviews are
// measured, a changed overview is not believed, and what nobody may see is not
// shown.
func TestOverviewOverREST(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	old := fabricated{id: "old", room: "desk", length: 2 * time.Minute, segment: 30 * time.Second, speakers: []string{"ann", "bob"}}
	old.write(t, data)
	forged := old
	forged.id, forged.looks = "forged", true
	forged.write(t, data)
	path := filepath.Join(data, "recordings/desk/forged", storage.OverviewName)
	raw, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, bytes.Replace(raw, []byte(`"talk":[[`), []byte(`"talk":[[1,2],[`), 1), 0o600))

	h := startHere(t, func(c *configs.Config) { c.Data = data })
	for _, id := range []string{"old", "forged"} {
		o := decode[overview.Overview](h.ask("GET", "/v1/recordings/"+id+"/overview", nil).ok(200))
		if len(o.Waves) != 3 || len(o.Lanes) != 2 || o.Length != 120_000 || len(o.Lanes[0].Talk) != 6 || len(o.Unmeasured) > 0 {
			t.Fatalf("%s: %+v", id, o)
		}
		for _, w := range o.Waves {
			if id == "forged" {
				break
			}
			// The tone is everywhere in each, whatever the log says.
			for i, b := range w.Peaks {
				if a := overview.Amplitude(b); math.Abs(a-0.2) > 0.06 {
					t.Fatalf("%s: %s is %.2f at part %d of %d", id, w.Output, a, i, len(w.Peaks))
				}
			}
		}
	}
	if report := decode[struct{ Intact bool }](h.ask("POST", "/v1/recordings/forged/verify", nil).ok(200)); report.Intact {
		t.Error("a recording whose overview was changed is intact")
	}
	near := decode[overview.Overview](h.ask("GET", "/v1/recordings/old/overview?from=25&to=35&points=50", nil).ok(200))
	if near.From != 25_000 || near.To != 35_000 || len(near.Waves[0].Peaks) != 50 {
		t.Errorf("from %d to %d, %d peaks", near.From, near.To, len(near.Waves[0].Peaks))
	}
	h.ask("GET", "/v1/recordings/old/overview?from=9&to=3", nil).problem(422, "invalid_request")
	h.ask("GET", "/v1/recordings/old/overview?points=0", nil).problem(422, "invalid_request")
	h.ask("GET", "/v1/recordings/none/overview", nil).problem(404, "recording_not_found")
	h.ask("PUT", "/v1/captures/runs", spec("desk")).ok(201)
	eventually(t, "it runs", 20*time.Second, func() bool { return h.ask("GET", "/v1/recordings/runs", nil).status == 200 })
	h.ask("GET", "/v1/recordings/runs/overview", nil).problem(409, "recording_not_sealed")
}
