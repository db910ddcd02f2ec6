package capture_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"mixdown/capture"
)

// ext4Image is a file system in a file that can lose its power.
type ext4Image struct {
	t          testing.TB
	image, dir string
	mounted    bool
}

// newImage makes one, or skips the test where the machine does not let it.
func newImage(t testing.TB, options ...string) *ext4Image {
	t.Helper()
	e := &ext4Image{t: t, image: filepath.Join(t.TempDir(), "disk"), dir: filepath.Join(t.TempDir(), "mounted")}
	if os.Geteuid() != 0 {
		t.Skip("skipped: a file system can be cut off by root only; TestSpoolCrashPoints and TestJournalCrashPoints cut a simulated one")
	}
	if err := os.Mkdir(e.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(e.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(e.image, 96<<20); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", append(options, "-q", e.image)...).CombinedOutput(); err != nil {
		t.Skipf("skipped: no ext4 can be made here (mkfs.ext4: %v: %s); the simulated disk of package storage is cut instead", err, out)
	}
	if err := e.mount(); err != nil {
		t.Skipf("skipped: no image can be mounted here (%v); the simulated disk of package storage is cut instead", err)
	}
	t.Cleanup(func() {
		if e.mounted {
			e.unmount()
		}
	})
	return e
}

// mount mounts the image; without auto_da_alloc, which makes up for programs
// that forget an fsync before a rename.
func (e *ext4Image) mount() error {
	out, err := exec.Command("mount", "-o", "loop,noauto_da_alloc", e.image, e.dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("mount: %w: %s", err, out)
	}
	e.mounted = true
	return nil
}

func (e *ext4Image) unmount() {
	e.t.Helper()
	if out, err := exec.Command("umount", e.dir).CombinedOutput(); err != nil {
		e.t.Fatalf("umount: %v: %s", err, out)
	}
	e.mounted = false
}

// cut cuts the power: what the file system has not made durable is gone, its
// own journal too.
func (e *ext4Image) cut() {
	e.t.Helper()
	const (
		shutdown   = 0x8004587d // EXT4_IOC_SHUTDOWN, _IOR('X', 125, u32)
		noLogFlush = uint32(2)  // EXT4_GOING_FLAGS_NOLOGFLUSH
	)
	f, err := os.Open(e.dir)
	if err != nil {
		e.t.Fatal(err)
	}
	defer f.Close()
	flags := noLogFlush
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), shutdown, uintptr(unsafe.Pointer(&flags))); errno != 0 {
		e.t.Fatalf("cut the power: %v", errno)
	}
}

// emptyFiles lists files of no content under a final name.
func (e *ext4Image) emptyFiles() (empty []string) {
	e.t.Helper()
	err := filepath.WalkDir(e.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(e.dir, path)
		for _, growing := range []string{".part", ".journal", ".jsonl", "/lock"} {
			if strings.HasSuffix(rel, growing) {
				return nil // files that grow where they are
			}
		}
		if strings.Contains(rel, "/tmp/") || strings.HasPrefix(filepath.Base(rel), ".") {
			return nil // never had a final name
		}
		if info, err := d.Info(); err == nil && info.Size() == 0 {
			empty = append(empty, rel)
		}
		return nil
	})
	if err != nil {
		e.t.Fatal(err)
	}
	return empty
}

// TestPowerCut cuts the power of a real ext4 at random moments while four
// streams are recorded on it: nothing that was called durable is missing, and
// no file is empty under its final name.
func TestPowerCut(t *testing.T) {
	cuts, each, long := 20, 5, os.Getenv("MIXDOWN_SOAK") != ""
	if raced || testing.Short() {
		cuts = 5
	}
	e := newImage(t)
	k := newKilled(t, filepath.Join(e.dir, "data"))
	for n := range cuts {
		if n%each == 0 {
			k.begin(n / each)
		}
		finish := n%each == each-1
		k.record(finish, func(r *recorder) {
			if finish {
				for r.board.Stopping.Load() == 0 {
					<-time.After(time.Millisecond)
				}
				<-time.After(k.moment(200 * time.Millisecond))
			} else {
				<-time.After(200*time.Millisecond + k.moment(1500*time.Millisecond))
				if long && n == 0 {
					<-time.After(35 * time.Second) // over two checkpoints
				}
			}
			before := r.board.life().durable
			e.cut()
			r.kill()
			for i := range before { // what it claims without a disk counts for nothing
				r.board.Durable[i].Store(before[i])
			}
		})
		e.unmount()
		if err := e.mount(); err != nil {
			t.Fatal(err)
		}
		if empty := e.emptyFiles(); len(empty) > 0 {
			t.Errorf("after cut %d these files are empty: %q", n+1, empty)
		}
		k.remember()
		if finish || n == cuts-1 {
			k.finish()
		}
	}
	k.check()
}

// TestFullFileSystem: a real ext4 has no inode left, or no block, for 20 s; then
// the recording is written as if nothing had been.
func TestFullFileSystem(t *testing.T) {
	v := newVoice(t, "", 400)
	for what, fill := range map[string]func(testing.TB, string){
		"inodes": func(t testing.TB, dir string) {
			for n := 0; os.WriteFile(filepath.Join(dir, fmt.Sprint(n)), nil, 0o600) == nil; n++ {
			}
		},
		"blocks": func(t testing.TB, dir string) {
			f, err := os.Create(filepath.Join(dir, "filler"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			for _, size := range []int{1 << 20, 1 << 12, 1} {
				for err = nil; err == nil; {
					_, err = f.Write(make([]byte, size))
				}
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			e := newImage(t, "-N", "400")
			t.Setenv("TMPDIR", e.dir) // of the house
			t.Run("full", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h, c, talk := openTalk(t, v, what == "inodes")
					talk(12 * time.Second)
					dir := filepath.Join(e.dir, "filler")
					if err := os.Mkdir(dir, 0o700); err != nil {
						t.Fatal(err)
					}
					fill(t, dir)
					talk(20 * time.Second)
					if st := c.Status(); st.State != capture.Recording || !strings.Contains(st.Trouble, "no space left") {
						t.Errorf("while it is full: %s, trouble %q", st.State, st.Trouble)
					}
					if err := os.RemoveAll(dir); err != nil {
						t.Fatal(err)
					}
					talk(15 * time.Second)
					if st := c.Status(); st.State != capture.Recording || st.Trouble != "" {
						t.Errorf("after it: %s, trouble %q", st.State, st.Trouble)
					}
					if err := c.Stop(t.Context()); err != nil {
						t.Fatal(err)
					}
					h.checkVoice(c, talk(0))
				})
			})
		})
	}
}
