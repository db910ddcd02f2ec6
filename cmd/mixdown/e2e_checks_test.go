package main

import (
	"fmt"
	"math"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mixdown/capture"
	"mixdown/configs"
	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
	"mixdown/storage/file"
)

// near fails the test unless two instants are within a tolerance.
func (m *meeting) near(what string, got, want time.Time, tolerance time.Duration) {
	m.t.Helper()
	off := got.Sub(want)
	if off.Abs() > tolerance {
		m.t.Errorf("%s: %s, %+.1f ms off", what, got.Format("15:04:05.000"), off.Seconds()*1000)
		return
	}
	m.t.Logf("%-32s %+6.1f ms", what, off.Seconds()*1000)
}

func (m *meeting) checkManifest() {
	t, man := m.t, m.manifest
	if m.status.State != capture.Complete || man.State != "complete" || man.End == nil || man.Sealed == nil {
		t.Errorf("state %s (%s), in the manifest %s, end %v", m.status.State, m.status.Reason, man.State, man.End)
	}
	if len(man.Outputs) != 5 || len(man.Streams) != 4 || man.Labels["case"] != "A-17" {
		t.Errorf("outputs %s, %d streams, labels %v", outputs(man), len(man.Streams), man.Labels)
	}
	for _, o := range man.Outputs {
		if !slices.Equal(o.Storage, []string{"local", "archive"}) {
			t.Errorf("%s is in %v", o.ID, o.Storage)
		}
	}
	var names []string
	for _, u := range man.Users {
		names = append(names, u.UserID)
		if u.UserID == "bea" && len(u.Joins) == 1 && u.Joins[0].Leave != nil {
			leave, last := u.Joins[0].Leave, m.bea.instant(m.bea.end.Load()-1)
			if leave.Before(last) || leave.After(m.stopped[0]) { // to 20 ms it is checked with the durations
				t.Errorf("bea left at %s; their last packet was sent at %s, and the stop was asked for at %s", leave, last, m.stopped[0])
			}
		}
	}
	if slices.Sort(names); !slices.Equal(names, []string{"alice", "ann", "bea", "bob", "listener"}) {
		t.Errorf("users %v", names)
	}
	for key, l := range man.Ledger {
		if l["lost"] > 0 || l["concealed"] > 200 || l["recorderDown"] > 0 {
			t.Errorf("the ledger of %s: %v", key, l)
		}
	}
	if m.status.Live.LatencyP50MS <= 0 || m.status.Live.LatencyP50MS > 1000 {
		t.Errorf("live latency %+v", m.status.Live)
	}
}

// notBefore is an instant, or when the person was in the room if that is later.
func (p *person) notBefore(at time.Time) time.Time {
	if first := p.instant(p.first.Load() - 1); first.After(at) {
		return first
	}
	return at
}

// checkTones: each tone is where it was spoken, in the mix and alone.
func (m *meeting) checkTones() {
	const tolerance = 20 * time.Millisecond
	annFrom, beaFrom := m.ann.begin.Add(annSilent), m.bea.begin.Add(beaSilent)
	annTo := annFrom.Add(annSounds)
	annFrom, beaFrom = m.ann.notBefore(annFrom), m.bea.notBefore(beaFrom)
	for _, c := range []struct {
		output   string
		hz       float64
		from, to time.Time
	}{
		{"mix-ogg", annHz, annFrom, annTo},
		{ownOf("ann"), annHz, annFrom, annTo},
		{"mix-ogg", beaHz, beaFrom, m.bea.instant(m.bea.end.Load())},
		{ownOf("bea"), beaHz, beaFrom, m.bea.instant(m.bea.end.Load())},
	} {
		from, to, ok := sounds(m.tracks[c.output], c.hz)
		if !ok {
			m.t.Errorf("%s: no tone of %.0f Hz", c.output, c.hz)
			continue
		}
		name := fmt.Sprintf("%s %.0f Hz", c.output, c.hz)
		m.near(name+" begins", m.trackZero[c.output].Add(from), c.from, tolerance)
		m.near(name+" ends", m.trackZero[c.output].Add(to), c.to, tolerance)
	}
	for user, hz := range map[string]float64{"ann": annHz, "bea": beaHz} {
		own := m.tracks[ownOf(user)]
		from, to, _ := sounds(own, hz)
		middle := own[pcm.Samples(from+500*time.Millisecond):pcm.Samples(to-500*time.Millisecond)]
		whole, only := level(middle), pcmtest.Level(frames(middle), hz)
		if whole-only > 0.2 || whole < -16 {
			m.t.Errorf("%s's own file has %.2f dB, of which the tone is %.2f dB", user, whole, only)
		}
	}
}

// checkVoices: each voice is in its own file, alone, and in the mix at the
// same time.
func (m *meeting) checkVoices() {
	mix := m.tracks["mix-ogg"]
	mixBand := voiceBand(mix)
	for user, other := range map[string]string{"alice": "bob", "bob": "alice"} {
		own := m.tracks[ownOf(user)]
		itself, stranger := alike(own, m.voices[user]), alike(own, m.voices[other])
		m.t.Logf("%s's file is %.2f %s and %.2f %s", user, itself, user, stranger, other)
		if itself < 0.8 || stranger > 0.5 {
			m.t.Errorf("%s's file is %.2f their voice and %.2f the other's", user, itself, stranger)
		}
		for _, hz := range []float64{annHz, beaHz} {
			if l := pcmtest.Level(frames(own), hz); l > -45 {
				m.t.Errorf("%s's file has %.0f Hz at %.0f dB", user, hz, l)
			}
		}
		shift := m.trackZero[ownOf(user)].Sub(m.trackZero["mix-ogg"])
		band := voiceBand(own)
		// Short pieces: while a page on a busy machine is late, the mix is brought
		// back to time by bending it a little, the own file by its next pause.
		const reach, length = coarse / 2, coarse / 2
		for block := 3 * coarse; block+4*coarse <= len(band) && block <= 11*coarse; block += 4 * coarse {
			at := loudest(band, block, block+4*coarse, length)
			expected := at + int(shift.Seconds()*coarse)
			if expected < reach || expected+length+reach > len(mixBand) {
				continue
			}
			found, likeness := find(band[at:at+length], mixBand[expected-reach:expected+length+reach])
			off := float64(found-reach) * 1000 / coarse
			m.t.Logf("%s at %.1f s is in the mix %+.1f ms off, likeness %.2f", user, float64(at)/coarse, off, likeness)
			if math.Abs(off) > 20 || likeness < 0.3 {
				m.t.Errorf("%s at %.1f s is in the mix %+.1f ms off, likeness %.2f", user, float64(at)/coarse, off, likeness)
			}
		}
	}
}

// checkDurations: what the files hold is as long as it took.
func (m *meeting) checkDurations() {
	const tolerance = 20 * time.Millisecond
	man := m.manifest
	mix := pcm.Duration(int64(len(m.tracks["mix-ogg"])))
	m.near("end of the mix", man.Start.Add(mix), man.End.Time, tolerance)
	if man.Start.Before(m.asked[0].Add(-tolerance)) || man.Start.After(m.asked[1].Add(tolerance)) {
		m.t.Errorf("the recording starts at %s, it was asked for from %s to %s", man.Start, m.asked[0], m.asked[1])
	}
	if man.End.Before(m.stopped[0].Add(-tolerance)) || man.End.After(m.stopped[1].Add(tolerance)) {
		m.t.Errorf("the recording ends at %s, the stop took from %s to %s", man.End, m.stopped[0], m.stopped[1])
	}
	for _, s := range man.Streams {
		id := "streams-ogg/" + s.Key()
		end := m.trackZero[id].Add(pcm.Duration(int64(len(m.tracks[id]))))
		left := man.End.Time
		if leave := s.Joins[len(s.Joins)-1].Leave; leave != nil {
			left = leave.Time
		}
		m.near("end of "+s.Key(), end, left, tolerance)
		// What was said before the recorder came is kept from its start on. Those
		// who come later may need a while to connect; they are looked at below.
		late := m.trackZero[id].Sub(s.Joins[0].Join.Time)
		browser := s.UserID == "alice" || s.UserID == "bob"
		if m.trackZero[id].Before(man.Start.Time) || browser && late > time.Second {
			m.t.Errorf("%s begins %s after the stream", id, late)
		}
	}
	m.near("bea's file begins", m.trackZero[ownOf("bea")], m.bea.instant(m.bea.first.Load()-1), tolerance)
	m.near("ann's file begins", m.trackZero[ownOf("ann")], m.ann.instant(m.ann.first.Load()-1), tolerance)
}

// checkStorages: both storages hold the same, and both can be proved.
func (m *meeting) checkStorages() {
	t := m.t
	local, err := file.Open(filepath.Join(m.config.Data, "recordings"))
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	archive, err := openBucket(configs.Network{}, m.config.Storages["archive"])
	if err != nil {
		t.Fatal(err)
	}
	here, there := content(t, local, "standup/call/"), content(t, archive, "standup/call/")
	if len(here) < len(m.manifest.Segments)+3 {
		t.Errorf("there are %d files for %d segments", len(here), len(m.manifest.Segments))
	}
	for key := range here {
		if there[key] != here[key] {
			t.Errorf("%s is not in the bucket as it is on disk", key)
		}
	}
	if len(there) != len(here) {
		t.Errorf("%d objects in the bucket, %d files on disk", len(there), len(here))
	}
	config := writeConfig(t, m.config)
	keys := filepath.Join(m.config.Data, "keys", "signing.pub")
	for _, at := range []string{m.dir, "s3://" + m.s3.Bucket + "/calls/standup/call"} {
		if code, out, errs := command(t, "verify", at, "--public-key", keys, "--config", config); code != exitOK {
			t.Errorf("verify %s: exit %d\n%s%s", at, code, out, errs)
		}
	}
	check := call[struct{ Intact bool }](t, m.client, http.MethodPost, "/v1/recordings/call/verify", nil)
	if !check.Intact {
		t.Error("the API does not find the recording intact")
	}
}

// checkTools: ffprobe opens every segment, has nothing to complain about and
// finds its end where it is. (Its format=duration counts the pre-roll, which
// it skips like every player.)
func (m *meeting) checkTools() {
	for _, s := range m.manifest.Segments {
		out := tool(m.t, "ffprobe", "-v", "warning", "-show_entries", "packet=pts_time,duration_time", "-of", "csv=p=0", filepath.Join(m.dir, filepath.FromSlash(s.Path)))
		packets := strings.Fields(out)
		var at, length float64
		if _, err := fmt.Sscanf(strings.TrimSuffix(packets[len(packets)-1], ","), "%g,%g", &at, &length); err != nil {
			m.t.Errorf("ffprobe says of %s: %s", s.Path, out)
			continue
		}
		if off := at + length - pcm.Duration(s.Samples).Seconds(); math.Abs(off) > 0.001 {
			m.t.Errorf("ffprobe finds the end of %s at %.3f s, want %.3f s", s.Path, at+length, pcm.Duration(s.Samples).Seconds())
		}
	}
}
