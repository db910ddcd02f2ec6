package crypt_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"pgregory.net/rapid"

	"mixdown/storage"
	"mixdown/storage/crypt"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tool runs a program that scripts/install.sh installs.
func tool(t testing.TB, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}

// customer makes an identity file with age-keygen; text is its public key.
func customer(t testing.TB) (file, text string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "customer.key")
	tool(t, "age-keygen", "-o", file)
	return file, strings.TrimSpace(tool(t, "age-keygen", "-y", file))
}

// TestToolAge: what is encrypted here opens with Debian's age and nothing
// else: the customer's key opens the key file, that opens the segment.
func TestToolAge(t *testing.T) {
	file, text := customer(t)
	to, err := crypt.ParseRecipients([]string{text})
	must(t, err)
	public, wrapped, err := to.NewKey()
	must(t, err)
	plain := make([]byte, 200_000)
	_, _ = rand.Read(plain)
	sealed, err := crypt.EncryptBytes(plain, public)
	must(t, err)
	if bytes.Contains(sealed, plain[:32]) {
		t.Fatal("it is not encrypted")
	}
	dir := t.TempDir()
	key, segment, stream := filepath.Join(dir, "mic.age"), filepath.Join(dir, "1.ogg.age"), filepath.Join(dir, "mic.key")
	must(t, os.WriteFile(key, wrapped, 0o600))
	must(t, os.WriteFile(segment, sealed, 0o600))
	tool(t, "age", "-d", "-i", file, "-o", stream, key)
	if got := tool(t, "age", "-d", "-i", stream, segment); got != string(plain) {
		t.Errorf("%d bytes came back, %d went in", len(got), len(plain))
	}
	other, _ := customer(t)
	for _, wrong := range []string{file, other} {
		if exec.CommandContext(t.Context(), "age", "-d", "-i", wrong, segment).Run() == nil {
			t.Errorf("the segment opens with %s", wrong)
		}
	}
}

func TestRecipients(t *testing.T) {
	_, text := customer(t)
	secret, err := age.GenerateX25519Identity()
	must(t, err)
	hybrid, err := age.GenerateHybridIdentity()
	must(t, err)
	for _, bad := range []string{"", "age1", text + "q", strings.ToUpper(text[:20]), "ssh-ed25519 AAAA", text + "\n" + text, "age1yubikey1qwerty", secret.String()} {
		_, err := crypt.ParseRecipients([]string{text, bad})
		if err == nil {
			t.Errorf("%q is taken for a public key", bad)
		} else if strings.Contains(err.Error(), "SECRET-KEY-1") {
			t.Errorf("the error tells a private key: %v", err)
		}
	}
	if _, err := crypt.ParseRecipients([]string{text, hybrid.Recipient().String()}); err == nil {
		t.Error("a key that a quantum computer opens lies beside one that it does not")
	}
	second, err := age.GenerateX25519Identity()
	must(t, err)
	r, err := crypt.ParseRecipients([]string{" " + text + "\n", second.Recipient().String()})
	must(t, err)
	if got := r.Strings(); len(got) != 2 || got[0] != text {
		t.Errorf("recipients %q", got)
	}
	if _, _, err := (crypt.Recipients{}).NewKey(); err == nil {
		t.Error("a key was made for nobody")
	}
	_, wrapped, err := r.NewKey()
	must(t, err)
	if _, err := age.Decrypt(bytes.NewReader(wrapped), second); err != nil {
		t.Errorf("the second recipient: %v", err)
	}
	if r, err = crypt.ParseRecipients([]string{hybrid.Recipient().String()}); err != nil {
		t.Fatal(err)
	}
	if _, wrapped, err = r.NewKey(); err != nil {
		t.Fatal(err)
	}
	if _, err := age.Decrypt(bytes.NewReader(wrapped), hybrid); err != nil {
		t.Errorf("a hybrid recipient: %v", err)
	}
}

// TestScratch compares a scratch file with plain memory, whatever is written
// where.
func TestScratch(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		s, err := crypt.NewScratch(dir)
		must(t, err)
		defer s.Close()
		var want []byte
		for range rapid.IntRange(1, 12).Draw(rt, "writes") {
			p := rapid.SliceOfN(rapid.Byte(), 0, 2000).Draw(rt, "bytes")
			if rapid.Bool().Draw(rt, "append") {
				_, err = s.Write(p)
				want = append(want, p...)
			} else {
				off := rapid.IntRange(0, len(want)).Draw(rt, "at")
				_, err = s.WriteAt(p, int64(off))
				want = append(want[:off], append(bytes.Clone(p), want[min(len(want), off+len(p)):]...)...)
			}
			must(t, err)
			if rapid.IntRange(0, 5).Draw(rt, "cut") == 0 {
				want = want[:rapid.IntRange(0, len(want)).Draw(rt, "to")]
				must(t, s.Truncate(int64(len(want))))
			}
			got, err := io.ReadAll(s.Reader())
			if err != nil || !bytes.Equal(got, want) || s.Size() != int64(len(want)) {
				rt.Fatalf("%d bytes, %v; want %d", len(got), err, len(want))
			}
		}
	})
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestScratchKept: a file under a kept key is read by the next process, and
// its bytes on the disk say nothing.
func TestScratchKept(t *testing.T) {
	dir := t.TempDir()
	host := crypt.NewHost(filepath.Join(dir, "keys", "host.key"))
	key, err := host.Keep(filepath.Join(dir, "key.age"))
	must(t, err)
	name := filepath.Join(dir, "events")
	s, err := crypt.OpenScratch(name, key)
	must(t, err)
	text := strings.Repeat("ann says nothing at all; ", 100)
	_, err = io.WriteString(s, text)
	must(t, errors.Join(err, s.Close()))
	raw, err := os.ReadFile(name)
	must(t, err)
	if bytes.Contains(raw, []byte("ann says")) {
		t.Error("it is readable on the disk")
	}
	key, err = crypt.NewHost(filepath.Join(dir, "keys", "host.key")).Load(filepath.Join(dir, "key.age"))
	must(t, err)
	if s, err = crypt.OpenScratch(name, key); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got := make([]byte, len(text))
	if _, err := s.ReadAt(got, 0); err != nil || string(got) != text {
		t.Errorf("%v, %.40q", err, got)
	}
}

func TestHostKey(t *testing.T) {
	dir := t.TempDir()
	file, kept := filepath.Join(dir, "run", "host.key"), filepath.Join(dir, "key.age")
	_, err := crypt.NewHost(file).Keep(kept)
	must(t, err)
	info, err := os.Stat(file)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the host key has mode %v", info.Mode())
	}
	tool(t, "age-keygen", "-y", file) // an identity file like any other
	must(t, os.Rename(file, file+".away"))
	if _, err := crypt.NewHost(file).Load(kept); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without the host key: %v", err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("loading made another host key")
	}
	_, err = crypt.NewHost(file).Keep(filepath.Join(dir, "other.age"))
	must(t, err)
	if _, err := crypt.NewHost(file).Load(kept); err == nil || !strings.Contains(err.Error(), "put back") {
		t.Errorf("with another host key: %v", err)
	}
	must(t, os.WriteFile(file, []byte("no key\n"), 0o600))
	if _, err := crypt.NewHost(file).Load(kept); err == nil {
		t.Error("a broken host key opens something")
	}
}

// TestJournal: what a journal under a key holds is read back by who has the
// key, after a crash too, and by nobody else; the disk shows neither records
// nor checkpoints nor how long they are.
func TestJournal(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	key := crypt.Key{1}
	j, err := storage.CreateJournal(dir)
	must(t, err)
	j.Encrypt(key.Journal())
	spoken := []byte("spoken words, as Opus would have them")
	for i := range 300 {
		must(t, j.Append(storage.Record{Kind: 1, Stream: 2, At: int64(i), Data: spoken[:i%len(spoken)+1]}))
		if i%10 == 9 {
			must(t, j.Sync())
		}
		if i%100 == 99 {
			must(t, j.Rotate(fmt.Appendf(nil, "checkpoint after %d: %s", i, spoken)))
		}
	}
	must(t, j.Append(storage.Record{Kind: 1, At: 300, Data: make([]byte, storage.MaxRecord)}))
	must(t, j.Sync()) // and is killed
	err = filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		for _, words := range []string{"spoken", "checkpoint"} {
			if bytes.Contains(b, []byte(words)) {
				t.Errorf("%s holds %q", name, words)
			}
		}
		return err
	})
	must(t, err)

	again, err := storage.OpenJournal(dir)
	must(t, err)
	again.Encrypt(key.Journal())
	next := int64(100)
	checkpoint, err := again.Replay(func(c []byte) bool { return bytes.HasPrefix(c, []byte("checkpoint after 99")) }, func(r storage.Record) error {
		if want := spoken[:int(next)%len(spoken)+1]; r.At != next || next < 300 && !bytes.Equal(r.Data, want) {
			t.Fatalf("record at %d with %d bytes instead of the one at %d", r.At, len(r.Data), next)
		}
		next++
		return nil
	})
	if err != nil || next != 301 || !bytes.Contains(checkpoint, spoken) {
		t.Errorf("replayed up to %d, checkpoint %q: %v", next, checkpoint, err)
	}
	must(t, again.Cut(func(c []byte) bool { return bytes.HasPrefix(c, []byte("checkpoint after 199")) }))

	all := func([]byte) bool { return true }
	none := func(storage.Record) error { t.Error("a record opened"); return nil }
	for name, c := range map[string]storage.Cipher{"no key": nil, "another key": crypt.Key{2}.Journal()} {
		j, err := storage.OpenJournal(dir)
		must(t, err)
		j.Encrypt(c)
		if _, err := j.Replay(all, none); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("with %s: %v", name, err)
		}
		must(t, j.Close())
	}
}
