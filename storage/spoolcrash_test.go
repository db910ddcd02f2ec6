package storage_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"mixdown/storage"

	"pgregory.net/rapid"
)

// promise is what a run had been told before it died.
type promise struct {
	done      map[string][]string // key: buckets, Commit returned
	attempted map[string][]string // Commit was called and did not return well
	versions  map[string]int      // of manifests, by bucket: Put returned
	tried     int                 // latest version that Put was called with
}

func content(key string) string { return strings.Repeat(key+" ", 50) }

func manifest(version int) string { return fmt.Sprintf(`{"version":%06d}`, version) }

// history does what a capture does, with uploads in between, until it is
// through or an operation of the disk fails. Everything runs in one goroutine,
// so that each operation of the disk is a point at which it can stop.
func history(t testing.TB, s *storage.Spool, u *storage.Uploader, actions []int) promise {
	p := promise{done: make(map[string][]string), attempted: make(map[string][]string), versions: make(map[string]int)}
	both, one := []string{"a", "b"}, []string{"a"}
	for i, action := range actions {
		key := fmt.Sprintf("room/call/mix/%06d.ogg", i)
		switch action {
		case 0, 1:
			buckets := both
			if action == 1 {
				buckets = one
			}
			p.attempted[key] = buckets
			if _, err := commit(s, key, content(key), buckets...); err != nil {
				return p
			}
			delete(p.attempted, key)
			p.done[key] = buckets
		case 2:
			p.tried++
			if _, err := s.Put("room/call/manifest.json", []byte(manifest(p.tried)), both); err != nil {
				return p
			}
			p.versions["a"], p.versions["b"] = p.tried, p.tried
		case 3:
			u.Step(t.Context(), "a")
		case 4:
			u.Step(t.Context(), "b")
		}
	}
	return p
}

// settle is the next process: it mends what is left over as a capture would,
// here by throwing it away and writing it again, and uploads everything.
func settle(t testing.TB, dir string, buckets map[string]storage.Bucket, p promise) (problems []string) {
	s, err := storage.OpenSpool(dir, discard())
	if err != nil {
		return []string{err.Error()}
	}
	defer s.Close()
	left, err := s.Leftovers("")
	must(t, err)
	for _, key := range left {
		f, err := s.OpenPart(key)
		must(t, err)
		must(t, f.Abort())
	}
	if q := s.Quarantined(); len(q) > 0 {
		problems = append(problems, fmt.Sprintf("quarantined: %q", q))
	}
	u := storage.NewUploader(s, buckets, storage.Options{})
	for name := range buckets {
		for u.Step(t.Context(), name) {
		}
		if stats := u.Stats()[name]; stats.Pending != 0 || stats.Failures != 0 {
			problems = append(problems, fmt.Sprintf("%s: %+v", name, stats))
		}
	}
	for key, want := range p.done {
		for _, b := range want {
			if got, ok := buckets[b].(*memory).get(key); !ok || got != content(key) {
				problems = append(problems, fmt.Sprintf("%s lacks %s, which was committed (%d bytes)", b, key, len(got)))
			}
		}
	}
	for key, want := range p.attempted {
		// A commit that was cut off is there for all its buckets or for none.
		there := 0
		for _, b := range want {
			got, ok := buckets[b].(*memory).get(key)
			if ok && got != content(key) {
				problems = append(problems, fmt.Sprintf("%s has a torn %s", b, key))
			}
			if ok {
				there++
			}
		}
		if there != 0 && there != len(want) || there > 0 && slices.Contains(left, key) {
			problems = append(problems, fmt.Sprintf("%s is in %d of %q, left over: %v", key, there, want, left))
		}
	}
	for b, version := range p.versions {
		got, _ := buckets[b].(*memory).get("room/call/manifest.json")
		if got < manifest(version) || got > manifest(p.tried) {
			problems = append(problems, fmt.Sprintf("%s has manifest %s, version %d was put", b, got, version))
		}
	}
	return problems
}

// stopAt runs a history until operation left of the disk, kills it, with the
// power if lossy, and checks what the next process makes of it.
func stopAt(t testing.TB, base string, actions []int, left int, lossy bool, lies func(op, name string) bool) (problems []string, ended bool) {
	dir, err := os.MkdirTemp(base, "s")
	must(t, err)
	defer os.RemoveAll(dir)
	c := &crash{left: left}
	var pw *power
	if lossy {
		pw = newPower(t, dir)
		pw.lies = lies
		c.tap = pw.tap
	}
	buckets := map[string]storage.Bucket{"a": newMemory(), "b": newMemory()}
	p := promise{}
	s, err := storage.OpenSpoolWith(dir, discard(), c.fault)
	if err == nil {
		p = history(t, s, storage.NewUploader(s, buckets, storage.Options{}), actions)
		s.Close()
	}
	if lossy {
		dir = pw.cut()
		defer os.RemoveAll(dir)
	}
	return settle(t, dir, buckets, p), !c.dead
}

// TestSpoolCrashPoints stops one history after each of its disk operations.
func TestSpoolCrashPoints(t *testing.T) {
	actions := []int{0, 2, 3, 3, 4, 1, 2, 3, 4, 0, 2, 4, 3, 3}
	for _, lossy := range []bool{false, true} {
		base := memoryDir(t)
		for left := 0; ; left++ {
			problems, ended := stopAt(t, base, actions, left, lossy, nil)
			for _, p := range problems {
				t.Errorf("power cut %v, after %d operations: %s", lossy, left, p)
			}
			if ended {
				t.Logf("power cut %v: %d crash points", lossy, left)
				break
			}
		}
	}
}

// TestSpoolCrashPointsCatch is the control: with an fsync left out, the test
// above must find a loss.
func TestSpoolCrashPointsCatch(t *testing.T) {
	actions := []int{0, 1, 2}
	for name, lies := range map[string]func(op, name string) bool{
		"file":           func(op, name string) bool { return op == "sync" && strings.HasPrefix(name, "open/") },
		"small file":     func(op, name string) bool { return op == "sync" && strings.HasPrefix(name, "tmp/") },
		"queue folder":   func(op, name string) bool { return op == "syncdir" && strings.HasPrefix(name, "out/") },
		"top folder":     func(op, name string) bool { return op == "syncdir" && name == "." },
		"replace folder": func(op, name string) bool { return op == "syncdir" && strings.HasPrefix(name, "replace/") },
	} {
		base := memoryDir(t)
		caught := false
		for left := 0; !caught; left++ {
			problems, ended := stopAt(t, base, actions, left, true, lies)
			caught = len(problems) > 0
			if ended {
				break
			}
		}
		if !caught {
			t.Errorf("%s: nobody noticed that it is not synced", name)
		}
	}
}

func TestSpoolCrashProperty(t *testing.T) {
	base := memoryDir(t)
	rapid.Check(t, func(rt *rapid.T) {
		actions := rapid.SliceOfN(rapid.IntRange(0, 4), 1, 25).Draw(rt, "actions")
		left := rapid.SampledFrom([]int{20, 50, 100, 200, 1000}).Draw(rt, "magnitude") - rapid.IntRange(0, 20).Draw(rt, "less")
		lossy := rapid.Bool().Draw(rt, "power cut")
		if problems, _ := stopAt(t, base, actions, left, lossy, nil); len(problems) > 0 {
			rt.Fatalf("%s", strings.Join(problems, "\n"))
		}
	})
}
