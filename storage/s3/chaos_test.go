package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"mixdown/storage"
	"mixdown/storage/s3"
	"mixdown/storage/storagetest"
)

// TestFaultAtEachRequest lets each fault befall each request of the upload of
// a segment and of a manifest, the first, the second, …: afterwards both are
// there, once and whole, nothing was taken for a conflict, and nothing waits.
func TestFaultAtEachRequest(t *testing.T) {
	server := storagetest.StartS3(t)
	for _, name := range slices.Sorted(maps.Keys(faults)) {
		for at := range int64(5) {
			t.Run(fmt.Sprintf("%s at %d", name, at+1), func(t *testing.T) {
				t.Parallel()
				f := newFaulty(t, server)
				base := strings.ReplaceAll(t.Name(), " ", "-")
				var n atomic.Int64
				once := func(w http.ResponseWriter, r *http.Request, forward http.Handler) {
					if n.Add(1) == at+1 {
						faults[name](w, r, forward)
						return
					}
					forward.ServeHTTP(w, r)
				}
				f.spoil.Store(&once)
				c := config(server)
				c.Endpoint, c.Prefix = f.URL, base
				s, err := storage.OpenSpool(t.TempDir(), slog.New(slog.DiscardHandler))
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				u := impatient(s, open(t, c))
				want := map[string]string{"room/call/1.ogg": strings.Repeat("audio", 100), "room/call/manifest.json": `{"version":2}`}
				commit(t, s, "room/call/1.ogg", []byte(want["room/call/1.ogg"]))
				for _, version := range []string{`{"version":1}`, want["room/call/manifest.json"]} {
					if _, err := s.Put("room/call/manifest.json", []byte(version), []string{"s3"}); err != nil {
						t.Fatal(err)
					}
				}
				drained(t, u)
				if st := u.Stats()["s3"]; st.Conflicts != 0 || st.Pending != 0 || st.Uploaded != 2 {
					t.Errorf("%+v", st)
				}
				c.Endpoint = server.Endpoint
				holds(t, open(t, c), want)
			})
		}
	}
}

// TestLostAnswerThenAnotherChecksum: what answers tell of an object that is
// there already does not make a conflict of it.
func TestLostAnswerThenAnotherChecksum(t *testing.T) {
	server := storagetest.StartS3(t)
	f := newFaulty(t, server)
	var puts, heads atomic.Int64
	spoil := func(w http.ResponseWriter, r *http.Request, forward http.Handler) {
		switch {
		case r.Method == http.MethodPut && puts.Add(1) == 1:
			faults["answer lost"](w, r, forward)
		case r.Method == http.MethodHead && heads.Add(1) <= 2:
			faults["another checksum told"](w, r, forward)
		default:
			forward.ServeHTTP(w, r)
		}
	}
	f.spoil.Store(&spoil)
	c := config(server)
	c.Endpoint = f.URL
	s, err := storage.OpenSpool(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	u := impatient(s, open(t, c))
	commit(t, s, "room/call/1.ogg", []byte("audio"))
	drained(t, u)
	if st := u.Stats()["s3"]; st.Conflicts != 0 || st.Uploaded != 1 || puts.Load() < 2 {
		t.Errorf("%d puts, %+v", puts.Load(), st)
	}
	holds(t, open(t, config(server)), map[string]string{"room/call/1.ogg": "audio"})
}

// drained runs an uploader until nothing waits.
func drained(t *testing.T, u *storage.Uploader) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- u.Run(ctx) }()
	err := u.Drain(t.Context(), "")
	stop()
	if err = errors.Join(err, <-ended); err != nil {
		t.Fatal(err)
	}
}

// holds checks that a bucket has exactly these objects.
func holds(t *testing.T, b *s3.Bucket, want map[string]string) {
	t.Helper()
	want = maps.Clone(want)
	for o, err := range b.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		r, _, err := b.Open(t.Context(), o.Key)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err = errors.Join(err, r.Close()); err != nil || string(got) != want[o.Key] {
			t.Errorf("%s: %d bytes, %v", path.Base(o.Key), len(got), err)
		}
		delete(want, o.Key)
	}
	for key := range want {
		t.Errorf("%s is missing", key)
	}
}

// TestChaos sends a spool through a network in which half of the requests meet
// one of the faults: at the end every object is there once, whole, and nothing
// waits.
func TestChaos(t *testing.T) {
	server := storagetest.StartS3(t)
	f := newFaulty(t, server)
	names := slices.Sorted(maps.Keys(faults))
	// What takes its time is in TestFaultAtEachRequest.
	names = slices.DeleteFunc(names, func(n string) bool { return n == "never answers" || n == "one byte a second" })
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(3, 4))
	met := map[string]int{}
	chaos := func(w http.ResponseWriter, q *http.Request, forward http.Handler) {
		mu.Lock()
		fate := r.IntN(2 * len(names))
		if fate < len(names) {
			met[names[fate]]++
		}
		mu.Unlock()
		if fate >= len(names) {
			forward.ServeHTTP(w, q)
			return
		}
		faults[names[fate]](w, q, forward)
	}
	f.spoil.Store(&chaos)
	c := config(server)
	c.Endpoint = f.URL
	s, err := storage.OpenSpool(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	u := impatient(s, open(t, c))
	want := make(map[string]string)
	for i := range 40 {
		key := fmt.Sprintf("room/call/mix/%06d.ogg", i)
		want[key] = strings.Repeat(key, 100)
		commit(t, s, key, bytes.Repeat([]byte(key), 100))
		want["room/call/manifest.json"] = fmt.Sprint(i)
		if _, err := s.Put("room/call/manifest.json", fmt.Append(nil, i), []string{"s3"}); err != nil {
			t.Fatal(err)
		}
	}
	drained(t, u)
	stats := u.Stats()["s3"]
	t.Logf("%d failed attempts, %d requests, %v", stats.Failures, f.requests.Load(), met)
	if stats.Conflicts != 0 || stats.Failures < 20 {
		t.Errorf("%+v", stats)
	}
	holds(t, open(t, config(server)), want)
}
