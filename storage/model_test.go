package storage_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"mixdown/storage"

	"pgregory.net/rapid"
)

// moody is a bucket whose next answer a test decides. With "die" the process
// dies at that instant: after the object was stored and before anybody heard
// of it, or after it was verified and before the file was let go.
type moody struct {
	*memory
	onPut, onStat string
	kill          func()
}

var errMood = errors.New("not now")

func (m *moody) Put(ctx context.Context, key string, r io.ReadSeeker, o storage.PutOptions) error {
	mood := m.onPut
	m.onPut = ""
	if mood == "refuse" {
		return errMood
	}
	if err := m.memory.Put(ctx, key, r, o); err != nil {
		return err
	}
	switch mood {
	case "lose":
		return errMood
	case "die":
		m.kill()
		return errMood
	}
	return nil
}

func (m *moody) Stat(ctx context.Context, key string) (storage.Object, error) {
	o, err := m.memory.Stat(ctx, key)
	mood := m.onStat
	m.onStat = ""
	switch mood {
	case "refuse":
		return storage.Object{}, errMood
	case "lie":
		o.SHA256[0] ^= 1
	case "die":
		m.kill()
	}
	return o, err
}

// life is one capture over many lives of the process, as a model: what it has
// sealed and noted, and what it has put.
type life struct {
	t       *rapid.T
	tb      testing.TB
	base    string
	dir     string
	disk    *crash
	power   *power
	spool   *storage.Spool
	up      *storage.Uploader
	buckets map[string]*moody

	noted    map[string][]string // segments in the capture's list, and their buckets
	segments int
	version  int // of the manifest: last put
	promised int // and the last for which Put returned
	deaths   int
}

func (l *life) dead() bool { return l.disk.dead }

// begin starts a process over the folder, and does what a capture does first:
// what it has noted and not published is published, what it has not noted is
// rendered again under the same name.
func (l *life) begin() {
	l.disk = &crash{left: 1 << 30}
	l.power = newPower(l.tb, l.dir)
	l.power.adopt()
	l.disk.tap = l.power.tap
	var err error
	l.spool, err = storage.OpenSpoolWith(l.dir, discard(), l.disk.fault)
	l.must(err)
	if q := l.spool.Quarantined(); len(q) > 0 {
		l.t.Fatalf("quarantined: %q", q)
	}
	buckets := map[string]storage.Bucket{}
	for name, b := range l.buckets {
		b.onPut, b.onStat = "", ""
		b.kill = func() { l.disk.dead = true }
		buckets[name] = b
	}
	l.up = storage.NewUploader(l.spool, buckets, storage.Options{})
	left, err := l.spool.Leftovers("")
	l.must(err)
	for _, key := range left {
		f, err := l.spool.OpenPart(key)
		l.must(err)
		targets, noted := l.noted[key]
		if !noted {
			l.must(f.Abort())
			continue
		}
		_, err = f.Seal()
		l.must(err)
		l.must(f.Publish(targets))
	}
}

func (l *life) must(err error) {
	if err != nil {
		l.t.Fatalf("%v", err)
	}
}

// end ends a process; with the power, only what was synced is there after.
func (l *life) end(withPower bool) {
	l.must(l.spool.Close())
	if withPower {
		old := l.dir
		l.dir = l.power.cut()
		l.must(os.RemoveAll(old))
	} else {
		l.power.release()
	}
	l.deaths++
}

// seal writes a segment as a capture does: seal, note, publish.
func (l *life) seal(targets []string) {
	key := fmt.Sprintf("room/call/mix/%06d.ogg", l.segments)
	f, err := l.spool.Create(key)
	if err != nil {
		return
	}
	defer f.Close()
	if _, err := f.Write([]byte(content(key))); err != nil {
		return
	}
	if _, err := f.Seal(); err != nil {
		return
	}
	l.segments++
	l.noted[key] = targets // the list is synced before the next line
	_ = f.Publish(targets) // a failure is the end of this life, or made up for by the next
}

func (l *life) put() {
	l.version++
	if _, err := l.spool.Put("room/call/manifest.json", []byte(manifest(l.version)), []string{"a", "b"}); err == nil {
		l.promised = l.version
	}
}

// check lets everything arrive and compares the buckets with the model.
func (l *life) check() {
	l.end(false)
	l.begin()
	for name, b := range l.buckets {
		for l.up.Step(l.tb.Context(), name) {
		}
		if st := l.up.Stats()[name]; st.Pending != 0 || st.Failures != 0 {
			l.t.Fatalf("%s after %d deaths: %+v", name, l.deaths, st)
		}
		for key, targets := range l.noted {
			got, ok := b.get(key)
			if ok && got != content(key) || !ok && slices.Contains(targets, name) {
				l.t.Fatalf("%s has %d bytes of %s, which was sealed for %q", name, len(got), key, targets)
			}
		}
		for _, key := range b.keys() {
			if _, ok := l.noted[key]; !ok && key != "room/call/manifest.json" {
				l.t.Fatalf("%s has %s, which nobody sealed", name, key)
			}
		}
		if got, _ := b.get("room/call/manifest.json"); got < manifest(l.promised) && l.promised > 0 || got > manifest(l.version) {
			l.t.Fatalf("%s has manifest %q, version %d was promised and %d is the last", name, got, l.promised, l.version)
		}
	}
	aside, err := l.spool.Aside()
	l.must(err)
	if len(aside.Conflicts)+len(aside.Quarantine) > 0 {
		l.t.Fatalf("set aside: %+v", aside)
	}
}

// TestSpoolModel lives a capture through any row of: sealing, manifests,
// uploads with every mood of a bucket, files handed to a backup, and deaths of
// the process or the power at any operation of the disk and between storing,
// verifying and letting go. In the end everything sealed is in its buckets,
// once and whole, and nothing else is.
func TestSpoolModel(t *testing.T) {
	base := memoryDir(t)
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(base, "m")
		must(t, err)
		l := &life{t: rt, tb: t, base: base, dir: dir, noted: map[string][]string{}, buckets: map[string]*moody{"a": {memory: newMemory()}, "b": {memory: newMemory()}}}
		l.begin()
		defer func() {
			l.power.release()
			_ = l.spool.Close()
			_ = os.RemoveAll(l.dir)
		}()
		alive := func(f func(*rapid.T)) func(*rapid.T) {
			return func(rt *rapid.T) {
				if l.dead() {
					rt.Skip("dead")
				}
				f(rt)
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"seal": alive(func(rt *rapid.T) {
				l.seal(rapid.SampledFrom([][]string{{"a"}, {"b"}, {"a", "b"}}).Draw(rt, "for"))
			}),
			"manifest": alive(func(*rapid.T) { l.put() }),
			"upload": alive(func(rt *rapid.T) {
				b := rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "to")
				l.buckets[b].onPut = rapid.SampledFrom([]string{"", "", "", "refuse", "lose", "die"}).Draw(rt, "put")
				l.buckets[b].onStat = rapid.SampledFrom([]string{"", "", "", "refuse", "lie", "die"}).Draw(rt, "stat")
				l.up.Step(t.Context(), b)
			}),
			"back up":  alive(func(*rapid.T) { l.up.HandOver("a", "b") }),
			"die soon": alive(func(rt *rapid.T) { l.disk.left = rapid.IntRange(0, 12).Draw(rt, "operations") }),
			"restart": func(rt *rapid.T) {
				l.end(rapid.Bool().Draw(rt, "power cut"))
				l.begin()
			},
		})
		l.check()
	})
}

// adopt takes what is in the folder for durable: an earlier life left it.
func (p *power) adopt() {
	err := filepath.WalkDir(p.dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(p.dir, name)
		if err != nil {
			return err
		}
		if e.IsDir() {
			p.tap("syncdir", rel)
		} else {
			p.tap("sync", rel)
		}
		return nil
	})
	if err != nil {
		p.t.Fatal(err)
	}
}
