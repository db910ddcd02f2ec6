package storage_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"testing"

	"mixdown/storage"

	"pgregory.net/rapid"
)

// journalRun lives through a history on a disk that refuses the operations
// for which flaky is 0 and dies, with the power if lossy, after left of them.
// It compares what the next two processes read with what was promised.
func journalRun(t testing.TB, base string, actions, flaky []int, left int, lossy bool, lies func(op, name string) bool) (problem string, ended bool) {
	dir, err := os.MkdirTemp(base, "j")
	must(t, err)
	defer os.RemoveAll(dir)
	c := &crash{left: left}
	var p *power
	if lossy {
		p = newPower(t, dir)
		p.lies = lies
		c.tap = p.tap
	}
	step := 0
	j, err := storage.CreateJournalWith(dir, func(op, name string, b []byte) (int, error) {
		if step++; flaky[step%len(flaky)] == 0 {
			return len(b) / 3, syscall.EIO
		}
		return c.fault(op, name, b)
	})
	created := err == nil
	n, safe := 0, 0                      // records appended, confirmed
	confirmed := []string{""}            // checkpoints
	checkpoints := map[string]int{"": 0} // how many records precede each
	for i := 0; created && i < len(actions); i++ {
		switch actions[i] {
		default:
			must(t, j.Append(record(n)))
			n++
		case 0, 1:
			if j.Sync() == nil {
				safe = n
			}
		case 2:
			name := fmt.Sprint("c", i)
			checkpoints[name] = n
			if j.Rotate([]byte(name)) == nil {
				safe = n
				confirmed = append(confirmed, name)
			}
		case 4:
			if j.Write() == nil && !lossy {
				safe = n // from a kill
			}
		case 3:
			if len(confirmed) > 1 {
				j.Cut(oldest(confirmed[1])) // a half-done cut has cut the first already
				confirmed = confirmed[1:]
			}
		}
	}
	if lossy {
		dir = p.cut()
		defer os.RemoveAll(dir)
	}
	for left := range reopenings {
		dir = dieOpening(t, dir, left, lossy)
		defer os.RemoveAll(dir)
	}
	again, err := storage.OpenJournal(dir)
	if !created {
		return "", !c.dead // nothing was promised; it must only not panic
	}
	if err != nil {
		return err.Error(), !c.dead
	}
	defer again.Close()
	for round := range 2 {
		for _, c := range confirmed {
			got, _, err := replayed(t, again, oldest(c))
			from := checkpoints[c]
			if err != nil || from+len(got) < safe || from+len(got) > n || !slices.Equal(got, span(from, from+len(got))) {
				return fmt.Sprintf("round %d from %q: replayed %v, %v; safe are %d of %d records", round, c, got, err, safe, n), false
			}
			safe = from + len(got)
			n = safe
		}
		// The next process goes on where this one stopped.
		must(t, again.Append(record(n)))
		n++
		safe++
		must(t, again.Sync())
	}
	return "", !c.dead
}

// reopenings is more operations than opening a journal takes.
const reopenings = 9

// dieOpening lets a process die, with the power if lossy, after left operations
// of opening a journal, in the middle of the next. It returns what is left.
func dieOpening(t testing.TB, dir string, left int, lossy bool) string {
	c := &crash{left: left}
	var p *power
	if lossy {
		p = newPower(t, dir)
		entries, err := os.ReadDir(dir)
		must(t, err)
		for _, e := range entries { // all that survived the last cut is durable
			p.tap("sync", e.Name())
		}
		c.tap = p.tap
	}
	if j, err := storage.OpenJournalWith(dir, c.fault); err == nil {
		if left < 3 {
			t.Fatalf("it opens with %d operations", left)
		}
		j.Close() // which has nothing to write
	}
	if !lossy {
		return dir
	}
	defer p.release()
	return p.cut()
}

func TestJournalCrashPoints(t *testing.T) {
	base := memoryDir(t)
	actions := []int{9, 9, 0, 9, 2, 9, 4, 0, 9, 4, 9, 4, 9, 0, 9, 4, 2, 9, 3, 9, 4, 0, 2, 2, 9, 3, 0, 9, 4}
	for _, lossy := range []bool{false, true} {
		for _, flaky := range [][]int{{1}, {1, 1, 1, 1, 1, 1, 1, 0}, {1, 1, 1, 1, 1, 0, 0, 1, 1}} {
			for left := 0; ; left++ {
				problem, ended := journalRun(t, base, actions, flaky, left, lossy, nil)
				if problem != "" {
					t.Errorf("power cut %v, after %d operations: %s", lossy, left, problem)
				}
				if ended || left > 1000 {
					break
				}
			}
		}
	}
}

// TestJournalCrashPointsCatch is the control: with an fsync left out, the
// test above must find a loss.
func TestJournalCrashPointsCatch(t *testing.T) {
	base := memoryDir(t)
	actions := []int{9, 0, 9, 2, 9, 0, 9, 0}
	for _, op := range []string{"sync", "syncdir"} {
		caught := false
		for left := 0; !caught; left++ {
			problem, ended := journalRun(t, base, actions, []int{1}, left, true, func(o, _ string) bool { return o == op })
			if caught = problem != ""; ended {
				break
			}
		}
		if !caught {
			t.Errorf("nobody noticed that %s does nothing", op)
		}
	}
}

func TestJournalProperty(t *testing.T) {
	base := memoryDir(t)
	rapid.Check(t, func(rt *rapid.T) {
		actions := rapid.SliceOfN(rapid.IntRange(0, 9), 1, 60).Draw(rt, "actions")
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0)) // evenly, unlike rapid
		flaky := make([]int, 50)
		for i := range flaky {
			flaky[i] = r.IntN(15)
		}
		left := r.IntN(150)
		if problem, _ := journalRun(t, base, actions, flaky, left, rapid.Bool().Draw(rt, "power cut"), nil); problem != "" {
			rt.Fatal(problem)
		}
	})
}
