package main

import (
	"io"
	"net/http"
	"testing"
	"time"

	"mixdown/access"
)

// TestRevokedKeyHearsNothingMore: with a key ends what somebody listens to and
// follows with it.
func TestRevokedKeyHearsNothingMore(t *testing.T) {
	t.Parallel()
	h := startHere(t)
	h.join("r", "ann", tone(t, 440))
	h.ask("PUT", "/v1/captures/a", spec("r")).ok(201)
	made := h.makeKey([]access.Role{access.Reviewer, access.Auditor})
	time.Sleep(2 * time.Second)
	ended := make(chan string, 3)
	paths := []string{"/v1/captures/a/live", "/v1/events", "/v1/meters?capture=a"}
	for _, path := range paths {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.at.site()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+made.Key)
		req.Header.Set("Accept", "text/event-stream")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if _, err := io.ReadFull(resp.Body, make([]byte, 8)); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v", path, resp.Status, err)
		}
		go func() {
			_, _ = io.Copy(io.Discard, resp.Body)
			ended <- path
		}()
	}
	select {
	case path := <-ended:
		t.Fatalf("%s ends with a good key", path)
	case <-time.After(2 * time.Second):
	}
	h.ask("DELETE", "/v1/api-keys/"+made.ID, nil).ok(204)
	late := time.After(10 * time.Second)
	for range paths {
		select {
		case <-ended:
		case <-late:
			t.Fatal("what was begun with a revoked key goes on")
		}
	}
	h.ask("POST", "/v1/captures/a/stop", nil)
}
