package retention_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"mixdown/retention"
	"mixdown/storage"
)

// killAt makes the test binary dispose of a recording and kill itself with
// SIGKILL before its n-th step.
const killAt = "RETENTION_KILL_AT"

func TestMain(m *testing.M) {
	if n, err := strconv.Atoi(os.Getenv(killAt)); err == nil {
		os.Exit(dieDisposing(os.Getenv("RETENTION_DIR"), n))
	}
	os.Exit(m.Run())
}

// child is a testing.TB for a process that is no test.
type child struct {
	testing.TB
	cleanups []func()
}

func (c *child) Helper()                   {}
func (c *child) Cleanup(f func())          { c.cleanups = append(c.cleanups, f) }
func (c *child) Context() context.Context  { return context.Background() }
func (c *child) Fatal(args ...any)         { fmt.Fprintln(os.Stderr, args...); os.Exit(3) }
func (c *child) Fatalf(f string, a ...any) { c.Fatal(fmt.Sprintf(f, a...)) }

// dieDisposing opens what the test has prepared and runs a round.
func dieDisposing(dir string, n int) int {
	b := newBed(&child{}, dir, "local", "far")
	b.recs["c1"] = ended
	step := func(string) error {
		if n--; n < 0 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		return nil
	}
	b.crash = step
	b.deletes = func(string, string) error { return step("bucket") }
	b.keeper.Round(context.Background())
	return 0
}

// ended is a recording whose time is over since long.
var ended = overdue()

func overdue() retention.Recording {
	r := retention.Recording{ID: "c1", Base: "desk/c1", Storages: []string{"local", "far"}, Users: []string{"ann"}}
	r.Room.RoomID = "desk"
	r.Start, r.End = at(10).Time.AddDate(-5, 0, 0), at(11).Time.AddDate(-5, 0, 0)
	until := storage.At(r.End.AddDate(0, 0, 7))
	r.Policy = &storage.Retention{Days: 7, RetainUntil: &until}
	return r
}

// TestKilledDisposing kills a disposal before each of its steps: the next life
// carries it to its end, and the certificate lists what there was before the
// first.
func TestKilledDisposing(t *testing.T) {
	killed := 0
	for n := 0; ; n++ {
		dir := memoryDir(t)
		b := newBed(t, dir, "local", "far")
		for _, name := range ended.Storages {
			for _, path := range []string{"mix/000001-a.ogg", "streams/ann/mic/000001-a.ogg", "manifest.json"} {
				b.store(name, ended.Base+"/"+path, false)
			}
		}
		objects := b.objects(ended.Base + "/")
		b.audit.Close()
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), killAt+"="+strconv.Itoa(n), "RETENTION_DIR="+dir)
		cmd.Stderr = os.Stderr
		err := cmd.Run()
		if err == nil {
			break // there was no n-th step
		}
		if s, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || s.Signal() != syscall.SIGKILL {
			t.Fatalf("step %d: %v", n, err)
		}
		killed++
		next := newBed(t, dir, "local", "far")
		next.recs["c1"] = ended
		next.keeper.Round(t.Context())
		if left := next.objects(ended.Base + "/"); len(left) > 0 {
			t.Errorf("killed before step %d: left are %v", n, left)
		}
		next.certified(t, ended, objects)
		if _, err := os.Stat(dir + "/disposals/c1.plan"); !os.IsNotExist(err) {
			t.Errorf("killed before step %d: the plan is still there: %v", n, err)
		}
	}
	if killed < 15 {
		t.Errorf("only %d steps", killed)
	}
	t.Logf("killed before each of %d steps", killed)
}
