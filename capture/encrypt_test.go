package capture_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"filippo.io/age"

	"mixdown/capture"
	"mixdown/encoder"
	"mixdown/encoder/encodertest"
	"mixdown/mixer/pcm"
	"mixdown/storage"
	"mixdown/storage/crypt"
)

// customer has a private key that is nowhere on the disk.
type customer struct{ *age.X25519Identity }

func newCustomer(t testing.TB) customer {
	t.Helper()
	x, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return customer{x}
}

func (c customer) public() string { return c.Recipient().String() }

// unlock opens the keys of a recording.
func (c customer) unlock(t testing.TB, h *house, id string) *crypt.Ring {
	t.Helper()
	ring, err := crypt.Unlock(context.Background(), h.local, "r/"+id, crypt.Identities{c})
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// owner is who can open what h records from now on: to is the change of a spec
// that makes a capture theirs.
func (h *house) owner(c customer) (to func(*capture.Spec)) {
	h.who = &c
	return func(s *capture.Spec) { s.Encrypt = &capture.EncryptSpec{Recipients: []string{c.public()}} }
}

// clear is the name of a recording's file, or of what is in it if it is
// encrypted.
func (h *house) clear(m *storage.Manifest, name string) string {
	h.t.Helper()
	if m.Encryption == nil {
		return filepath.Join(h.data, "recordings", "r", m.ID, filepath.FromSlash(name))
	}
	if !strings.HasSuffix(name, storage.EncryptedExt) {
		name += storage.EncryptedExt
	}
	f, _, err := h.who.unlock(h.t, h, m.ID).Open(context.Background(), "r/"+m.ID+"/"+name)
	if err != nil {
		h.t.Fatal(err)
	}
	defer f.Close()
	raw, err := io.ReadAll(f)
	if err != nil {
		h.t.Fatal(err)
	}
	plain := filepath.Join(h.t.TempDir(), filepath.Base(crypt.Plain(name)))
	if err := os.WriteFile(plain, raw, 0o600); err != nil {
		h.t.Fatal(err)
	}
	return plain
}

func samplesOf(name string, r io.ReadSeeker) (int64, error) {
	return encoder.Samples(filepath.Ext(name)[1:], r)
}

// verify checks a recording, with the ring's keys if there is one.
func (h *house) verify(id string, ring *crypt.Ring) storage.Report {
	h.t.Helper()
	report, err := storage.Verify(context.Background(), h.local, "r/"+id, storage.VerifyOptions{Probe: ring.Probe(samplesOf)})
	if err != nil || !report.Intact || !report.Sealed {
		h.t.Errorf("verify %s: %v, %+v", id, err, report)
	}
	return report
}

// everything reads all that this process has on the disk below a folder, files
// that are open but have no name any more included.
func everything(t testing.TB, dir string) (all [][]byte) {
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
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range open {
		name := filepath.Join("/proc/self/fd", e.Name())
		if target, _ := os.Readlink(name); strings.HasPrefix(target, dir) && strings.HasSuffix(target, "(deleted)") {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, b)
		}
	}
	return all
}

// shows says whether some file holds any of the needles.
func shows(files [][]byte, needles [][]byte) bool {
	for _, f := range files {
		for _, n := range needles {
			if bytes.Contains(f, n) {
				return true
			}
		}
	}
	return false
}

// TestEncrypted: while an encrypted capture runs, after it was interrupted and
// gone on, and when it is sealed, no byte on the disk is of a packet that was
// received or a sample that was written; the customer reads all of it, and it
// is the same as in the clear.
func TestEncrypted(t *testing.T) {
	t.Parallel()
	a, b := newVoice(t, "a-mic", 400), newVoice(t, "b-mic", 1000)
	who := newCustomer(t)
	synctest.Test(t, func(t *testing.T) {
		data := t.TempDir()
		s := newStage()
		secret := func(c *capture.Config) { c.Encryption.Host = crypt.NewHost(filepath.Join(data, "keys", "host.key")) }
		h := open(t, data, s, secret)
		s.enter("a-mic", "ann", 1)
		s.enter("b-mic", "bob", 2)
		spec := func(s *capture.Spec) {
			s.Record = append(s.Record, capture.RecordSpec{What: "streams", Format: "wav", SegmentSeconds: 7})
		}
		h.start("plain", spec)
		h.start("c1", spec, func(s *capture.Spec) { s.Encrypt = &capture.EncryptSpec{Recipients: []string{who.public()}} })
		var packets [][]byte
		for _, v := range []*voice{a, b} {
			for i := 0; i < len(v.packets); i += 7 { // they repeat every second
				packets = append(packets, v.packets[i][:32])
			}
		}
		var seen [][]byte
		for i := range 8 {
			done := make(chan struct{})
			go func() { defer close(done); a.speak(s, 3*time.Second) }()
			b.speak(s, 3*time.Second)
			<-done
			if i == 4 {
				h.stop()
				h = open(t, data, s, secret)
			}
			synctest.Wait()
			seen = append(seen, private(t, data)...)
		}
		for _, id := range []string{"plain", "c1"} {
			c, err := h.captures.Get(id)
			if err == nil {
				err = c.Stop(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		seen = append(seen, private(t, data)...)

		plain := h.recording("plain")
		var samples [][]byte
		for _, m := range plain.Segments {
			raw, err := os.ReadFile(filepath.Join(data, "recordings", "r", "plain", filepath.FromSlash(m.Path)))
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(m.Path, ".wav") {
				for off := len(raw) / 4; off < len(raw)*3/4; off += len(raw) / 8 {
					samples = append(samples, raw[off:off+64])
				}
			} else if !shows([][]byte{raw}, packets) {
				t.Error("the search finds no packets where they are in the clear")
			}
		}
		if shows(seen, packets) || shows(seen, samples) {
			t.Error("audio is readable on the disk")
		}

		if report := h.verify("c1", nil); len(report.Notes) == 0 {
			t.Error("verify does not say that the audio was not opened")
		}
		ring := who.unlock(t, h, "c1")
		if report := h.verify("c1", ring); strings.Contains(strings.Join(report.Notes, " "), "not opened") {
			t.Errorf("verify with the identity: %v", report.Notes)
		}
		same(t, h, ring)
		if left, _ := filepath.Glob(filepath.Join(data, "captures", "c1", "*")); len(left) != 2 {
			t.Errorf("left of an ended capture: %v", left)
		}
	})
}

// private reads what the daemon has of the encrypted capture.
func private(t testing.TB, data string) (all [][]byte) {
	for _, dir := range []string{"captures/c1", "recordings/r/c1", "spool/open/r/c1", "spool/out/local/r/c1", "spool/tmp"} {
		if _, err := os.Stat(filepath.Join(data, dir)); err == nil {
			all = append(all, everything(t, filepath.Join(data, dir))...)
		}
	}
	return all
}

// same compares the encrypted recording with the one in the clear: the same
// samples under every output.
func same(t testing.TB, h *house, ring *crypt.Ring) {
	t.Helper()
	recording, err := storage.ReadRecording(context.Background(), h.local, "r/c1")
	if err != nil {
		t.Fatal(err)
	}
	m := recording.Manifest
	if m.Encryption == nil || len(m.Encryption.Keys) != 4 { // two streams, the mix, the events
		t.Fatalf("encryption of the manifest: %+v", m.Encryption)
	}
	for _, seg := range m.Segments {
		if !strings.HasSuffix(seg.Path, storage.EncryptedExt) {
			t.Errorf("%s is not encrypted", seg.Path)
		}
		f, _, err := ring.Open(context.Background(), "r/c1/"+seg.Path)
		if err != nil {
			t.Errorf("%s: %v", seg.Path, err)
			continue
		}
		n, err := samplesOf(crypt.Plain(seg.Path), f)
		if err != nil || n != seg.Samples {
			t.Errorf("%s has %d samples, %v; want %d", seg.Path, n, err, seg.Samples)
		}
		f.Close()
	}
	var again frames
	if err := capture.Remix(context.Background(), ring, "r/c1", capture.MixSpec{}, encoder.Config{Format: "wav"}, &again); err != nil {
		t.Fatal(err)
	}
	got, compared := again.all(t), 0
	for _, seg := range m.Segments {
		if seg.Output != "mix-wav" || seg.StartSample+seg.Samples > 15*pcm.Rate {
			continue // after the restart decoders and limiter began anew
		}
		f, _, err := ring.Open(context.Background(), "r/c1/"+seg.Path)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		want, err := encodertest.Decode(".wav", raw)
		if err != nil {
			t.Fatal(err)
		}
		first := seg.StartSample / pcm.FrameSize
		for n := int64(0); int64(len(want)) >= (n+1)*pcm.FrameSize; n++ {
			if pcm.Frame(want[n*pcm.FrameSize:(n+1)*pcm.FrameSize]) != got[first+n] {
				t.Fatalf("mixed again, frame %d differs from %s", first+n, seg.Path)
			}
			compared++
		}
	}
	if compared < 9*50 {
		t.Errorf("only %d frames could be compared", compared)
	}
	if err := capture.Remix(context.Background(), h.local, "r/c1", capture.MixSpec{}, encoder.Config{Format: "wav"}, &again); !errors.Is(err, storage.ErrUnopened) {
		t.Errorf("mixing again without a key: %v", err)
	}
}

// TestRecipients: a capture without a usable public key is refused where one is
// needed, and what the configuration asks for is done.
func TestRecipients(t *testing.T) {
	mine, theirs := newCustomer(t), newCustomer(t)
	for _, c := range []struct {
		name    string
		config  capture.Encryption
		spec    *capture.EncryptSpec
		refused string // field; "" if it starts
		to      int
	}{
		{"nothing asked", capture.Encryption{}, nil, "", 0},
		{"asked, no key", capture.Encryption{}, &capture.EncryptSpec{}, "encrypt.recipients", 0},
		{"asked, no such key", capture.Encryption{}, &capture.EncryptSpec{Recipients: []string{theirs.public(), "age1nothing"}}, "encrypt.recipients[1]", 0},
		{"a private key", capture.Encryption{}, &capture.EncryptSpec{Recipients: []string{theirs.String()}}, "encrypt.recipients[0]", 0},
		{"required, no key", capture.Encryption{Required: true}, nil, "encrypt.recipients", 0},
		{"required, own key", capture.Encryption{Required: true}, &capture.EncryptSpec{Recipients: []string{theirs.public()}}, "", 1},
		{"configured", capture.Encryption{Recipients: []string{mine.public()}}, nil, "", 1},
		{"both", capture.Encryption{Recipients: []string{mine.public()}}, &capture.EncryptSpec{Recipients: []string{theirs.public(), mine.public()}}, "", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := t.TempDir()
			h := open(t, data, newStage(), func(config *capture.Config) {
				config.Encryption = c.config
				config.Encryption.Host = crypt.NewHost(filepath.Join(data, "host.key"))
			})
			_, _, err := h.captures.Start("c1", capture.Spec{
				Room: capture.RoomSpec{RoomID: "r"}, Record: []capture.RecordSpec{{What: "mix"}}, Encrypt: c.spec,
			})
			var wrong *capture.SpecError
			switch {
			case c.refused == "" && err != nil:
				t.Fatalf("refused: %v", err)
			case c.refused == "":
				raw, err := os.ReadFile(filepath.Join(data, "captures", "c1", "capture.json"))
				if err != nil || bytes.Count(raw, []byte("age1")) < c.to || (c.to == 0) != !bytes.Contains(raw, []byte("age1")) {
					t.Errorf("%v; %s", err, raw)
				}
			case !errors.As(err, &wrong) || wrong.Problems[0].Field != c.refused || strings.Contains(err.Error(), "AGE-SECRET-KEY-1"):
				t.Errorf("%v, want it refused for %s", err, c.refused)
			}
		})
	}
}

// TestHostKeyAway: without the host's key an interrupted capture is left as it
// is, and goes on when the key is back.
func TestHostKeyAway(t *testing.T) {
	v, who := newVoice(t, "", 400), newCustomer(t)
	synctest.Test(t, func(t *testing.T) {
		data := t.TempDir()
		key := filepath.Join(data, "keys", "host.key")
		secret := func(c *capture.Config) {
			c.Encryption = capture.Encryption{Recipients: []string{who.public()}, Host: crypt.NewHost(key)}
		}
		s := newStage()
		s.enter("voice", "ann", 1)
		h := open(t, data, s, secret)
		var spec capture.Spec
		h.start("c1", func(s *capture.Spec) { spec = *s })
		synctest.Wait()
		v.id = "voice"
		v.speak(s, 8*time.Second)
		h.stop()
		if err := os.Rename(key, key+".away"); err != nil {
			t.Fatal(err)
		}
		h = open(t, data, s, secret)
		c, created, err := h.captures.Start("c1", spec)
		if err != nil || created {
			t.Fatalf("the same again: created %v, %v", created, err)
		}
		if st := c.Status(); st.State != capture.Interrupted || !strings.Contains(st.Trouble, "host.key") {
			t.Errorf("a capture that cannot be read: %s, trouble %q", st.State, st.Trouble)
		}
		if err := c.Patch([]byte(`{"labels":{"while":"away"}}`), "op"); err != nil {
			t.Error(err)
		}
		if err := os.Rename(key+".away", key); err != nil {
			t.Fatal(err)
		}
		time.Sleep(31 * time.Second)
		if err := c.Patch([]byte(`{"labels":{"too":"late"}}`), "op"); !errors.Is(err, capture.ErrNotRunning) {
			t.Errorf("a change of what was replaced: %v", err)
		}
		if c, err = h.captures.Get("c1"); err != nil {
			t.Fatal(err)
		}
		v.speak(s, 4*time.Second)
		if err := c.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if st := c.Status(); st.Trouble != "" || st.Labels["while"] != "away" {
			t.Errorf("in the end: %+v", st)
		}
		ring := who.unlock(t, h, "c1")
		h.verify("c1", ring)
		var mix frames
		if err := capture.Remix(t.Context(), ring, "r/c1", capture.MixSpec{}, encoder.Config{Format: "wav"}, &mix); err != nil {
			t.Fatal(err)
		}
		near(t, "the voice", heard(mix.all(t), 0, 400), [][2]int64{{0, 8000}, {39000, 43000}}, 40)
	})
}
