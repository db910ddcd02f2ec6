package main

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mixdown/capture"
	"mixdown/encoder/encodertest"
	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
	"mixdown/storage"
)

// customerKey makes an age identity as a customer would.
func customerKey(t testing.TB) (file, public string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "customer.key")
	tool(t, "age-keygen", "-o", file)
	return file, strings.TrimSpace(tool(t, "age-keygen", "-y", file))
}

// TestEncryptedKilledErased: a daemon that encrypts is killed in the middle
// and goes on; the files open with age; ann is erased: what she said is gone
// with her keys, what bob said is there, and the recording verifies all along.
func TestEncryptedKilledErased(t *testing.T) {
	t.Parallel()
	identity, public := customerKey(t)
	d := newChild(t)
	d.env = []string{"MIXDOWN_ENCRYPTION_RECIPIENTS=" + public, "MIXDOWN_ENCRYPTION_REQUIRED=true"}
	d.start()
	voices := map[string][]sound{"ann": tone(t, 400), "bob": tone(t, 1000)}
	people := map[float64]*person{}
	for hz, user := range map[float64]string{400: "ann", 1000: "bob"} {
		people[hz] = join(t, "http://"+d.http, "r", user, voices[user], minter(d.data))
	}
	spec := capture.Spec{Room: capture.RoomSpec{RoomID: "r"}, Record: []capture.RecordSpec{
		{What: "mix", Format: "wav", SegmentSeconds: 5}, {What: "streams", Format: "ogg", SegmentSeconds: 5},
	}}
	call[capture.Status](t, d.client(), http.MethodPut, "/v1/captures/c1", spec)
	heardBoth(t, d)
	<-time.After(4 * time.Second)
	told, killed := sent(people), time.Now()
	d.end(syscall.SIGKILL)
	noPackets(t, d.data, voices)
	d.start()
	heardBoth(t, d)
	<-time.After(2 * time.Second)
	if st := call[capture.Status](t, d.client(), http.MethodPost, "/v1/captures/c1/stop", nil); st.State != capture.Complete {
		t.Fatalf("stopped: %s %s", st.State, st.Reason)
	}
	noPackets(t, d.data, voices)
	dir := filepath.Join(d.data, "recordings", "r", "c1")
	m := call[storage.Manifest](t, d.client(), http.MethodGet, "/v1/recordings/c1", nil)
	openWithAge(t, dir, identity, m)
	intact(t, d, dir, identity)
	clear := decrypted(t, dir, identity)
	for hz, output := range map[float64]string{400: "streams-ogg/ann/ann-mic", 1000: "streams-ogg/bob/bob-mic"} {
		for _, output := range []string{output, "mix-wav"} {
			frames, start := readOutput(t, clear, plain(m), output)
			if missing := earlier(killed, told[hz]).Sub(lastHeard(frames, start, hz, killed)); missing > time.Second {
				t.Errorf("%s misses %s of %.0f Hz before the kill", output, seconds(missing), hz)
			}
		}
	}

	if code, _, errs := command(t, "erase", dir, "--user", "carl", "--reason", "x", "--data", d.data); code == exitOK || !strings.Contains(errs, "carl") {
		t.Errorf("erase of a stranger: exit %d, %s", code, errs)
	}
	before, err := os.ReadFile(filepath.Join(dir, "keys", "streams", "ann", "ann-mic.age"))
	if err != nil {
		t.Fatal(err)
	}
	waiting := filepath.Join(d.data, "spool", "out", "far", "r", "c1", "keys", "mix.age")
	if err := os.MkdirAll(filepath.Dir(waiting), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(waiting, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := command(t, "erase", dir, "--user", "ann", "--reason", "x", "--data", d.data)
	if code == exitOK || !strings.Contains(errs, waiting) {
		t.Errorf("erase while a key is on its way: exit %d\n%s%s", code, out, errs)
	}
	if err := os.RemoveAll(filepath.Join(d.data, "spool", "out", "far")); err != nil {
		t.Fatal(err)
	}
	code, out, errs = command(t, "erase", dir, "--user", "ann", "--reason", "request 17", "--identity", identity, "--data", d.data)
	if code != exitOK {
		t.Fatalf("erase: exit %d\n%s%s", code, out, errs)
	}
	intact(t, d, dir, identity)
	if shown := call[verifyAnswer](t, d.client(), http.MethodPost, "/v1/recordings/c1/verify", nil); !shown.Intact {
		t.Errorf("the daemon's verify: %+v", shown)
	}
	for _, b := range everyFile(t, d.data) {
		if bytes.Contains(b, before[len(before)-32:]) {
			t.Error("ann's key is still somewhere")
		}
	}
	gone(t, dir, identity)
	// Repeating does no harm; a key that comes back from a backup is noticed.
	if code, out, errs := command(t, "erase", dir, "--user", "ann", "--reason", "request 17", "--identity", identity, "--data", d.data); code != exitOK {
		t.Errorf("erase again: exit %d\n%s%s", code, out, errs)
	}
	if err := os.MkdirAll(filepath.Join(dir, "keys", "streams", "ann"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "keys", "streams", "ann", "ann-mic.age"), before, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := command(t, "verify", dir); code != exitFailed || !strings.Contains(out, "ann-mic.age") {
		t.Errorf("verify with a key that is back: exit %d\n%s", code, out)
	}
}

type verifyAnswer struct {
	Intact   bool
	Problems []storage.Problem
}

// everyFile reads all files below a folder.
func everyFile(t testing.TB, dir string) (all [][]byte) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(name)
		all = append(all, b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// noPackets searches the data folder for what was said.
func noPackets(t testing.TB, data string, voices map[string][]sound) {
	t.Helper()
	for _, b := range everyFile(t, data) {
		for user, packets := range voices {
			for _, p := range packets {
				if bytes.Contains(b, p.payload[:24]) {
					t.Fatalf("a packet of %s is readable on the disk", user)
				}
			}
		}
	}
}

// openWithAge opens one segment of each output with the tool age alone.
func openWithAge(t testing.TB, dir, identity string, m storage.Manifest) {
	t.Helper()
	tmp := t.TempDir()
	for i, k := range m.Encryption.Keys {
		key := filepath.Join(tmp, string(rune('a'+i)))
		tool(t, "age", "-d", "-i", identity, "-o", key, filepath.Join(dir, k.Path))
		for _, o := range m.Outputs {
			if o.Key != k.Path {
				continue
			}
			for _, s := range m.Segments {
				if s.Output == o.ID {
					audio := filepath.Join(tmp, filepath.Base(strings.TrimSuffix(s.Path, ".age")))
					tool(t, "age", "-d", "-i", key, "-o", audio, filepath.Join(dir, s.Path))
					tool(t, "ffprobe", "-v", "error", audio)
					break
				}
			}
		}
		if k.Of == storage.KeyOfEvents {
			if events := tool(t, "age", "-d", "-i", key, filepath.Join(dir, "events.jsonl.age")); !strings.Contains(events, "stream.added") {
				t.Errorf("events: %.200s", events)
			}
		}
	}
}

// intact verifies a recording with and without the identity.
func intact(t testing.TB, d *child, dir, identity string) {
	t.Helper()
	for _, args := range [][]string{{}, {"--identity", identity}} {
		args = append([]string{"verify", dir, "--public-key", filepath.Join(d.data, "keys", "signing.pub")}, args...)
		if code, out, errs := command(t, args...); code != exitOK || len(args) == 4 && !strings.Contains(out, "not opened") {
			t.Errorf("%v: exit %d\n%s%s", args, code, out, errs)
		}
	}
}

// decrypted writes a recording in the clear.
func decrypted(t testing.TB, dir, identity string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "clear")
	if code, out, errs := command(t, "decrypt", dir, "--identity", identity, "--out", to); code != exitOK {
		t.Fatalf("decrypt: exit %d\n%s%s", code, out, errs)
	}
	return to
}

// plain is a manifest with the names that decrypt gives.
func plain(m storage.Manifest) storage.Manifest {
	for i := range m.Segments {
		m.Segments[i].Path = strings.TrimSuffix(m.Segments[i].Path, ".age")
	}
	return m
}

// gone checks that nothing of ann opens with what is left, and all of bob
// does.
func gone(t testing.TB, dir, identity string) {
	t.Helper()
	var keys []string
	tmp := t.TempDir()
	err := filepath.WalkDir(filepath.Join(dir, "keys"), func(name string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			key := filepath.Join(tmp, string(rune('a'+len(keys))))
			tool(t, "age", "-d", "-i", identity, "-o", key, name)
			keys = append(keys, "-i", key)
		}
		return err
	})
	if err != nil || len(keys) != 6 { // bob, events, the new mix
		t.Fatalf("%d keys are left: %v", len(keys)/2, err)
	}
	opens := map[string]bool{}
	segments, err := filepath.Glob(filepath.Join(dir, "*", "*.age"))
	if err != nil {
		t.Fatal(err)
	}
	streams, err := filepath.Glob(filepath.Join(dir, "streams", "*", "*", "*.age"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(segments, streams...) {
		if strings.HasPrefix(name, filepath.Join(dir, "keys")) {
			continue
		}
		group := strings.Split(strings.TrimPrefix(name, dir+"/"), "/")
		args := append([]string{"-d", "-o", filepath.Join(tmp, "out"), "-i", identity}, append(keys, name)...)
		if exec.CommandContext(t.Context(), "age", args...).Run() == nil {
			opens[strings.Join(group[:min(len(group)-1, 2)], "/")] = true
		} else if id := strings.Join(group[:min(len(group)-1, 2)], "/"); opens[id] {
			t.Errorf("%s does not open", name)
		}
	}
	if opens["mix"] || opens["streams/ann"] || !opens["mix-v2"] || !opens["streams/bob"] {
		t.Errorf("what opens with the keys that are left: %v", opens)
	}
	clear := decrypted(t, dir, identity)
	mix, err := filepath.Glob(filepath.Join(clear, "mix-v2", "*.wav"))
	if err != nil || len(mix) < 2 {
		t.Fatalf("new mix: %v %v", mix, err)
	}
	ann, bob := 0, 0
	for _, name := range mix {
		samples, err := encodertest.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for ; len(samples) >= pcm.FrameSize; samples = samples[pcm.FrameSize:] {
			f := pcm.Frame(samples[:pcm.FrameSize])
			if pcmtest.FrameLevel(&f, 400) > -50 {
				ann++
			}
			if pcmtest.FrameLevel(&f, 1000) > -30 {
				bob++
			}
		}
	}
	if ann > 6 { // a frame in which bob sets in or breaks off has a little of everything
		t.Errorf("ann is in %d frames of the new mix", ann)
	}
	if bob < 200 {
		t.Errorf("bob is heard in %d frames of the new mix", bob)
	}
}
