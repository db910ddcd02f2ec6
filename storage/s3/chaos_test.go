package s3_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"mixdown/storage"
	"mixdown/storage/storagetest"
)

// TestChaos sends a spool through a network that answers half of the requests
// with errors, resets or not at all although they were carried out: at the
// end every object is there once, whole, and nothing waits.
func TestChaos(t *testing.T) {
	server := storagetest.StartS3(t)
	f := newFaulty(t, server)
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(3, 4))
	chaos := func(w http.ResponseWriter, q *http.Request, forward http.Handler) {
		mu.Lock()
		fate := r.IntN(10)
		mu.Unlock()
		switch fate {
		case 0:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 1:
			io.Copy(io.Discard, q.Body)
			w.WriteHeader(http.StatusInternalServerError)
		case 2:
			panic(http.ErrAbortHandler)
		case 3, 4:
			forward.ServeHTTP(httptest.NewRecorder(), q)
			panic(http.ErrAbortHandler)
		default:
			forward.ServeHTTP(w, q)
		}
	}
	f.spoil.Store(&chaos)
	c := config(server)
	c.Endpoint = f.URL
	s, err := storage.OpenSpool(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	u := storage.NewUploader(s, map[string]storage.Bucket{"s3": open(t, c)}, storage.Options{
		Backoff: func(int) time.Duration { return time.Millisecond },
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- u.Run(ctx) }()
	want := make(map[string]string)
	for i := range 15 {
		key := fmt.Sprintf("room/call/mix/%06d.ogg", i)
		want[key] = strings.Repeat(key, 100)
		file, err := s.Create(key)
		if err == nil {
			_, err = io.WriteString(file, want[key])
		}
		if err == nil {
			_, err = file.Commit([]string{"s3"})
		}
		if err != nil {
			t.Fatal(err)
		}
		want["room/call/manifest.json"] = fmt.Sprint(i)
		if _, err := s.Put("room/call/manifest.json", fmt.Append(nil, i), []string{"s3"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := u.Drain(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	stats := u.Stats()["s3"]
	t.Logf("%d failed attempts, %d requests", stats.Failures, f.requests.Load())
	if stats.Conflicts != 0 || stats.Failures < 10 {
		t.Errorf("%+v", stats)
	}
	direct := open(t, config(server))
	for o, err := range direct.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		r, _, err := direct.Open(t.Context(), o.Key)
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
