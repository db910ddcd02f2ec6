package audit_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mixdown/audit"
	"mixdown/storage"
)

func withStop(t testing.TB, stop <-chan struct{}) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-stop
		cancel()
	}()
	return ctx
}

// mutate changes a file of lines in a way that somebody might.
func mutate(t *rapid.T, b []byte) []byte {
	lines := slices.DeleteFunc(strings.SplitAfter(string(b), "\n"), func(s string) bool { return s == "" })
	i := rapid.IntRange(0, len(lines)-1).Draw(t, "line")
	j := rapid.IntRange(0, len(lines)-1).Draw(t, "other line")
	switch rapid.SampledFrom([]string{"bit", "remove", "swap", "double", "cut lines", "cut", "insert", "space", "newline"}).Draw(t, "mutation") {
	case "bit":
		out := bytes.Clone(b)
		at := rapid.IntRange(0, len(out)-1).Draw(t, "byte")
		out[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		return out
	case "remove":
		lines = slices.Delete(lines, i, i+1)
	case "swap":
		lines[i], lines[j] = lines[j], lines[i]
	case "double":
		lines = slices.Insert(lines, j, lines[i])
	case "cut lines":
		lines = lines[:i]
	case "cut":
		return b[:rapid.IntRange(0, len(b)-1).Draw(t, "length")]
	case "insert":
		return slices.Insert(bytes.Clone(b), rapid.IntRange(0, len(b)).Draw(t, "at"), rapid.Byte().Draw(t, "byte"))
	case "space": // the same to a reader of JSON
		lines[i] = strings.Replace(lines[i], `,"`, `, "`, 1)
	case "newline":
		lines[i] = strings.TrimSuffix(lines[i], "\n") + "\r\n"
	}
	return []byte(strings.Join(lines, ""))
}

// Whatever is changed, taken out, moved or cut off is found, in the folder and
// in an export.
func TestEveryMutationIsFound(t *testing.T) {
	dir, key := memoryDir(t), newKey(t)
	l := open(t, dir, key)
	l.SetStretch(4 << 10)
	acts(t, l, 40)
	var b bytes.Buffer
	if err := l.Export(&b, 0); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, dir, key); r.Entries != 80 || len(r.Problems)+len(r.Notes) > 0 {
		t.Fatalf("untouched: %+v", r)
	}
	export := b.Bytes()
	if r, err := audit.VerifyExport(bytes.NewReader(export), key.PublicKeys()); err != nil || r.Entries != 80 || len(r.Problems)+len(r.Notes) > 0 {
		t.Fatalf("untouched: %+v, %v", r, err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil || len(files) < 3 {
		t.Fatalf("%v, %v", files, err)
	}
	files = append(files, filepath.Join(dir, "checkpoint"))
	rapid.Check(t, func(t *rapid.T) {
		if changed := mutate(t, export); !bytes.Equal(changed, export) {
			if r, err := audit.VerifyExport(bytes.NewReader(changed), key.PublicKeys()); err == nil && len(r.Problems) == 0 {
				t.Fatalf("the export is intact to verify: %+v", r)
			}
		}
		file := rapid.SampledFrom(files).Draw(t, "file")
		good, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		defer os.WriteFile(file, good, 0o600)
		changed := mutate(t, good)
		if bytes.Equal(changed, good) {
			return
		}
		if err := os.WriteFile(file, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		// A piece of a line at the end is what a crash leaves, and is noted.
		if r, err := audit.VerifyDir(dir, key.PublicKeys()); err == nil && len(r.Problems)+len(r.Notes) == 0 {
			t.Fatalf("the log is intact to verify: %+v", r)
		}
	})
	for _, file := range files { // whole files, too
		if err := os.Rename(file, file+"~"); err != nil {
			t.Fatal(err)
		}
		if r := verify(t, dir, key); len(r.Problems) == 0 {
			t.Errorf("%s is not missed", filepath.Base(file))
		}
		if err := os.Rename(file+"~", file); err != nil {
			t.Fatal(err)
		}
	}
}

// A log under another key is another log.
func TestForeignKey(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	l := open(t, dir, key)
	acts(t, l, 2)
	var b bytes.Buffer
	if err := l.Export(&b, 0); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	foreign := newKey(t)
	if r := verify(t, dir, foreign); len(r.Problems) != 1 || r.SignedBy != "" {
		t.Errorf("folder: %+v", r)
	}
	if r, err := audit.VerifyExport(bytes.NewReader(b.Bytes()), foreign.PublicKeys()); err != nil || len(r.Problems) != 1 {
		t.Errorf("export: %+v, %v", r, err)
	}
	if r, err := audit.VerifyExport(bytes.NewReader(b.Bytes()), nil); err != nil || len(r.Problems) != 0 || len(r.Notes) != 1 || r.SignedBy != "" {
		t.Errorf("without a key: %+v, %v", r, err)
	}
}

func FuzzVerifyExport(f *testing.F) {
	key, err := storage.LoadOrCreateKey(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	l := open(f, f.TempDir(), key)
	acts(f, l, 2)
	var b bytes.Buffer
	if err := l.Export(&b, 0); err != nil {
		f.Fatal(err)
	}
	good := b.Bytes()
	f.Add(good)
	f.Add([]byte(`{"checkpoint":"x"}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := audit.VerifyExport(bytes.NewReader(data), key.PublicKeys())
		if err == nil && len(r.Problems) == 0 && !bytes.Equal(data, good) {
			t.Errorf("something else is intact: %q", data)
		}
	})
}

// An act without a number, or with none that acts have, is found.
func TestNoSuchAct(t *testing.T) {
	dir, key := memoryDir(t), newKey(t)
	l := open(t, dir, key)
	acts(t, l, 3)
	var b bytes.Buffer
	if err := l.Export(&b, 0); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	good, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{`"seq":1,`: ``, `"seq":2,`: `"seq":0,`, `"seq":3,`: `"seq":-3,`} {
		for _, whole := range [][]byte{b.Bytes(), good} {
			if !bytes.Contains(whole, []byte(from)) {
				t.Fatalf("no %s in %s", from, whole)
			}
		}
		r, err := audit.VerifyExport(bytes.NewReader(bytes.Replace(b.Bytes(), []byte(from), []byte(to), 1)), key.PublicKeys())
		if err != nil || !strings.Contains(strings.Join(r.Problems, "\n"), "there is no act") {
			t.Errorf("%q for %q in an export: %+v, %v", to, from, r, err)
		}
		if err := os.WriteFile(files[0], bytes.Replace(good, []byte(from), []byte(to), 1), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := verify(t, dir, key); !strings.Contains(strings.Join(r.Problems, "\n"), "there is no act") {
			t.Errorf("%q for %q: %+v", to, from, r)
		}
	}
}
