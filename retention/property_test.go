package retention_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"mixdown/retention"
	"mixdown/storage"
)

// model is what a person would say about every recording.
type model struct {
	*bed
	t      *rapid.T
	there  map[string][]string  // by recording: its objects when it ended
	until  map[string]time.Time // by recording: kept until; zero: for ever
	early  map[string]bool      // may go before
	asked  map[string]bool      // somebody asked for it
	holds  map[string]retention.Selector
	number int
}

// deletion is asked before every deletion: is it allowed?
func (m *model) deletion(bucket, key string) error {
	id := strings.Split(key, "/")[1]
	if _, err := m.buckets[bucket].Stat(m.bed.t.Context(), key); errors.Is(err, fs.ErrNotExist) {
		return m.mayCrash() // gone before a crash: nothing is taken away
	}
	r, ok := m.Get(id)
	if !ok {
		m.t.Fatalf("%s: deleted of a recording that was through", key)
	}
	for name, s := range m.holds {
		if s.Selects(r) {
			m.t.Fatalf("%s: deleted under hold %s", key, name)
		}
	}
	switch until := m.until[id]; {
	case r.End.IsZero():
		m.t.Fatalf("%s: deleted while it runs", key)
	case r.Policy == nil && !m.asked[id]:
		m.t.Fatalf("%s: deleted, though it is to be kept for ever", key)
	case time.Now().Before(until) && !(m.early[id] && m.asked[id]):
		m.t.Fatalf("%s: deleted %s before its time", key, time.Until(until))
	case m.pending[bucket] > 0:
		m.t.Fatalf("%s: deleted while files wait for %s", key, bucket)
	}
	return m.mayCrash()
}

func (m *model) mayCrash() error {
	if m.crash == nil {
		return nil
	}
	return m.crash("bucket")
}

func (m *model) some(label string) (id string, ok bool) {
	ids := []string{}
	for _, r := range m.All() {
		ids = append(ids, r.ID)
	}
	if len(ids) == 0 {
		return "", false
	}
	slices.Sort(ids)
	return rapid.SampledFrom(ids).Draw(m.t, label), true
}

func (m *model) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"record": func(t *rapid.T) {
			m.number++
			id := fmt.Sprintf("c%d", m.number)
			class := rapid.SampledFrom([]string{"", "short", "month", "legal"}).Draw(t, "class")
			storages := rapid.SampledFrom([][]string{{"local"}, {"local", "far"}}).Draw(t, "storages")
			r := m.record(id, rapid.SampledFrom([]string{"desk", "hall 1"}).Draw(t, "room"), class, 0, storages...)
			m.early[id] = r.Policy != nil && r.Policy.Early
		},
		"stop": func(*rapid.T) {
			id, ok := m.some("recording")
			if r, _ := m.Get(id); !ok || !r.End.IsZero() {
				return
			}
			m.stop(id)
			r, _ := m.Get(id)
			m.there[id] = m.objects(r.Base + "/")
			if r.Policy != nil && r.Policy.RetainUntil.After(m.until[id]) {
				m.until[id] = r.Policy.RetainUntil.Time
			}
		},
		"hold": func(t *rapid.T) {
			s := retention.Selector{RoomID: rapid.SampledFrom([]string{"desk", "hall 1"}).Draw(t, "room")}
			if id, ok := m.some("recording"); ok && rapid.Bool().Draw(t, "one only") {
				s = rapid.SampledFrom([]retention.Selector{{RecordingID: id}, {UserID: "user-of-" + id}, {Label: "case=" + id}}).Draw(t, "selector")
			}
			name := fmt.Sprintf("h%d", len(m.holds)+m.number*100)
			if _, ok := m.holds[name]; ok {
				return
			}
			if _, _, err := m.keeper.PlaceHold(retention.Hold{ID: name, Selector: s, Reason: "r"}); err != nil {
				t.Fatal(err)
			}
			m.holds[name] = s
		},
		"release": func(t *rapid.T) {
			if len(m.holds) == 0 {
				return
			}
			name := rapid.SampledFrom(slices.Sorted(maps.Keys(m.holds))).Draw(t, "hold")
			delete(m.holds, name)
			if err := m.keeper.ReleaseHold(name, "admin"); err != nil {
				t.Fatal(err)
			}
		},
		"extend": func(t *rapid.T) {
			id, ok := m.some("recording")
			if !ok {
				return
			}
			until := time.Now().Add(time.Duration(rapid.IntRange(-10, 60).Draw(t, "days")) * 24 * time.Hour).Truncate(time.Second)
			st, err := m.keeper.Extend(m.bed.t.Context(), id, until, 0)
			switch c := code(err); {
			case err == nil:
				m.until[id] = st.RetainUntil.Time
				m.early[id] = m.early[id] && !st.Extended
				if st.RetainUntil.Before(until) {
					t.Fatalf("extended to %s, kept until %s", until, st.RetainUntil)
				}
			case c == retention.Shorter && until.Before(m.until[id]), c == retention.Disposed:
			default:
				t.Fatalf("extend: %v", err)
			}
		},
		"ask": func(t *rapid.T) {
			id, ok := m.some("recording")
			if !ok {
				return
			}
			was := m.asked[id]
			m.asked[id] = true
			_, err := m.keeper.Dispose(m.bed.t.Context(), id, "ann", "asked for")
			switch {
			case errors.Is(err, errCrash):
				m.restart()
			case code(err) != "":
				if st, _ := m.keeper.Standing(id); !st.Disposing {
					m.asked[id] = was
				}
			case err != nil && !errors.Is(err, storage.ErrLocked):
				t.Fatal(err)
			}
		},
		"time": func(t *rapid.T) {
			time.Sleep(time.Duration(rapid.IntRange(1, 20*24).Draw(t, "hours")) * time.Hour)
		},
		"to the second": func(t *rapid.T) {
			if id, ok := m.some("recording"); ok && m.until[id].After(time.Now()) {
				time.Sleep(time.Until(m.until[id]) - time.Duration(rapid.IntRange(0, 1).Draw(t, "before"))*time.Millisecond)
			}
			m.round()
		},
		"uploads": func(t *rapid.T) {
			if m.keeper.Stats().Disposing == 0 { // nothing comes once a disposal has begun
				m.pending["far"] = rapid.IntRange(0, 1).Draw(t, "pending")
			}
		},
		"round": func(*rapid.T) { m.round() },
		"crash": func(t *rapid.T) {
			left := rapid.IntRange(0, 12).Draw(t, "steps")
			m.crash = func(string) error {
				if left--; left < 0 {
					return errCrash
				}
				return nil
			}
			if rapid.Bool().Draw(t, "when something is over") {
				time.Sleep(100 * 24 * time.Hour)
			}
			m.round()
			m.crash = nil
			m.restart()
		},
		"": m.check,
	}
}

func (m *model) round() {
	ctx, cancel := context.WithCancel(m.bed.t.Context())
	defer cancel()
	m.keeper.Round(ctx)
}

// check compares what is there with what should be.
func (m *model) check(t *rapid.T) {
	for id, objects := range m.there {
		if _, ok := m.Get(id); ok {
			continue // may be in the middle
		}
		if left := m.objects(baseOf(objects)); len(left) > 0 {
			t.Fatalf("%s was disposed of, and there is still %v", id, left)
		}
	}
}

// baseOf is the folder of a recording's objects.
func baseOf(objects []string) string {
	parts := strings.Split(strings.Fields(objects[0])[1], "/")
	return parts[0] + "/" + parts[1] + "/"
}

// Whatever happens in whatever order, crashes included: nothing goes that is
// held, locked, not over or still running; in the end everything else does,
// and its certificate says what there was.
func TestRetentionByModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var failure any // rapid wants it on its own goroutine
		synctest.Test(t, func(t *testing.T) {
			defer func() { failure = recover() }()
			m := &model{
				bed: newBed(t, memoryDir(t), "local", "far"), t: rt, there: map[string][]string{}, until: map[string]time.Time{},
				early: map[string]bool{}, asked: map[string]bool{}, holds: map[string]retention.Selector{},
			}
			m.deletes = m.deletion
			rt.Repeat(m.actions())
			m.end(rt)
		})
		if failure != nil {
			panic(failure)
		}
	})
}

// end lets everything run out.
func (m *model) end(t *rapid.T) {
	for _, r := range m.All() {
		if r.End.IsZero() {
			m.stop(r.ID)
			ended, _ := m.Get(r.ID)
			m.there[r.ID] = m.objects(ended.Base + "/")
			if ended.Policy != nil && ended.Policy.RetainUntil.After(m.until[r.ID]) {
				m.until[r.ID] = ended.Policy.RetainUntil.Time
			}
		}
	}
	for name := range m.holds {
		delete(m.holds, name)
		if err := m.keeper.ReleaseHold(name, "admin"); err != nil {
			t.Fatal(err)
		}
	}
	m.pending["far"] = 0
	time.Sleep(200 * 24 * time.Hour)
	m.round()
	time.Sleep(time.Hour)
	m.round()
	disposed := 0
	for id, objects := range m.there {
		r, there := m.Get(id)
		if there {
			if r.Policy != nil {
				t.Fatalf("%s is still there", id)
			}
			if got := m.objects(r.Base + "/"); !slices.Equal(got, objects) {
				t.Fatalf("%s is to be kept for ever; there is %v of %v", id, got, objects)
			}
			continue
		}
		disposed++
		storages := map[string]bool{}
		for _, o := range objects {
			storages[strings.Fields(o)[0]] = true
		}
		rec := retention.Recording{ID: id, Base: strings.TrimSuffix(baseOf(objects), "/")}
		for name := range storages {
			rec.Storages = append(rec.Storages, name)
		}
		m.certified(t, rec, objects)
	}
	if n := m.published("recording.disposed"); n != disposed {
		t.Fatalf("%d recordings were disposed of, %d were told", disposed, n)
	}
	if st := m.keeper.Stats(); st.Disposing != 0 || st.Disposed != disposed || st.Troubled != 0 {
		t.Fatalf("%+v, want %d disposed", st, disposed)
	}
}
