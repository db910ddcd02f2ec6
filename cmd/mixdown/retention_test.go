package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mixdown/audit"
	"mixdown/capture"
	"mixdown/configs"
	"mixdown/retention"
	"mixdown/storage"
	"mixdown/storage/s3/s3test"
	"mixdown/storage/storagetest"
)

func withClasses(c *configs.Config) {
	c.Retention.Classes = map[string]configs.RetentionClass{
		"short": {Days: 7, Early: true}, "month": {Days: 30}, "worm": {Days: 1, Lock: "compliance"}, "kept": {Days: 1, Lock: "governance"},
	}
}

func retained(room, class string) map[string]any {
	return with(spec(room), "retention", map[string]any{"class": class})
}

// TestRetentionOverREST: what keeps a recording is told by its own code, and
// what nothing keeps is gone, with a certificate.
func TestRetentionOverREST(t *testing.T) {
	t.Parallel()
	h := startHere(t, withClasses)
	h.ask("PUT", "/v1/captures/x", retained("r", "century")).problem(422, "unknown_class")
	both := with(spec("r"), "retention", map[string]any{"class": "short", "days": 3})
	h.ask("PUT", "/v1/captures/x", both).problem(422, "invalid_capture")
	h.ask("PUT", "/v1/captures/x", retained("r", "worm")).problem(422, "lock_unsupported") // a folder is not WORM
	h.ask("POST", "/v1/captures?dryRun=true", retained("r", "worm")).problem(422, "lock_unsupported")

	h.ask("PUT", "/v1/captures/early", with(retained("r", "short"), "labels", map[string]string{"case": "A-17"})).ok(201)
	h.ask("PUT", "/v1/captures/late", retained("r", "month")).ok(201)
	h.ask("PUT", "/v1/captures/own", with(spec("other"), "retention", map[string]any{"days": 3})).ok(201)
	h.ask("PUT", "/v1/captures/ever", spec("r")).ok(201)
	h.ask("DELETE", "/v1/recordings/early", nil).problem(409, "recording_running")
	for _, id := range []string{"early", "late", "own", "ever"} {
		h.ask("POST", "/v1/captures/"+id+"/stop", nil).ok(200)
	}
	m := decode[storage.Manifest](h.ask("GET", "/v1/recordings/late", nil).ok(200))
	if r := m.Retention; r == nil || r.Class != "month" || r.Days != 30 || r.RetainUntil == nil || !r.RetainUntil.Equal(m.End.AddDate(0, 0, 30)) {
		t.Errorf("the manifest says %+v", m.Retention)
	}
	h.ask("DELETE", "/v1/recordings/late", nil).problem(409, "retention_not_over")
	h.ask("DELETE", "/v1/recordings/own", nil).problem(409, "retention_not_over")
	h.ask("DELETE", "/v1/recordings/none", nil).problem(404, "recording_not_found")

	hold := map[string]any{"selector": map[string]any{"label": "case=A-17"}, "reason": "letter of 3 March"}
	h.ask("PUT", "/v1/holds/h1", hold).ok(201)
	h.ask("PUT", "/v1/holds/h1", hold).ok(200)
	h.ask("PUT", "/v1/holds/h1", map[string]any{"selector": map[string]any{"all": true}, "reason": "x"}).problem(409, "hold_conflict")
	h.ask("PUT", "/v1/holds/h2", map[string]any{"selector": map[string]any{}, "reason": "x"}).problem(422, "invalid_hold")
	if a := h.ask("DELETE", "/v1/recordings/early", nil).problem(409, "recording_held"); !strings.Contains(string(a.body), "h1") {
		t.Errorf("the hold is not named: %s", a.body)
	}
	h.ask("POST", "/v1/recordings/early/erase", map[string]any{"userID": "ann", "reason": "x"}).problem(409, "recording_held")
	st := decode[retention.Standing](h.ask("GET", "/v1/recordings/early/retention", nil).ok(200))
	if st.Class != "short" || !slices.Equal(st.Holds, []string{"h1"}) || st.RetainUntil == nil || st.Extended {
		t.Errorf("it stands %+v", st)
	}
	h.ask("DELETE", "/v1/holds/h1", nil).ok(204)
	h.ask("DELETE", "/v1/holds/h1", nil).problem(404, "hold_not_found")

	before := h.files("r/early")
	c := decode[retention.Certificate](h.ask("DELETE", "/v1/recordings/early?reason=asked+for", nil).ok(200))
	var listed []string
	for _, o := range c.Objects {
		listed = append(listed, o.Key)
	}
	slices.Sort(listed)
	if !slices.Equal(listed, before) || c.Cause != retention.Requested || c.By != "admin" || c.Reason != "asked for" || len(before) < 3 {
		t.Errorf("the certificate: %+v; there was %v", c, before)
	}
	if left := h.files("r/early"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if _, err := os.Stat(filepath.Join(h.config.Data, "captures", "early")); !os.IsNotExist(err) {
		t.Errorf("the capture's own folder: %v", err)
	}
	h.gone(t, c)
	h.ask("DELETE", "/v1/recordings/ever", nil).ok(200) // nobody promised to keep it
	h.extended(t)
	h.acts(t)
}

// files lists a recording's files in local storage.
func (h *here) files(base string) (all []string) {
	h.t.Helper()
	root := filepath.Join(h.config.Data, "recordings")
	_ = filepath.WalkDir(filepath.Join(root, base), func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			key, _ := filepath.Rel(root, path)
			all = append(all, key)
		}
		return nil
	})
	slices.Sort(all)
	return all
}

// gone: the recording is told apart from one that never was, and its
// certificate can be checked.
func (h *here) gone(t *testing.T, c retention.Certificate) {
	for _, call := range [][2]string{
		{"GET", "/v1/recordings/early"}, {"GET", "/v1/recordings/early/files/manifest.json"}, {"POST", "/v1/recordings/early/verify"},
		{"DELETE", "/v1/recordings/early"}, {"GET", "/v1/recordings/early/retention"},
	} {
		h.ask(call[0], call[1], nil).problem(410, "recording_disposed")
	}
	h.ask("PUT", "/v1/captures/early", spec("r")).problem(410, "recording_disposed")
	encoded := h.ask("GET", "/v1/recordings/early/disposal", nil).ok(200).body
	signature := h.ask("GET", "/v1/recordings/early/disposal/signature", nil).ok(200).body
	public, err := os.ReadFile(filepath.Join(h.config.Data, "keys", "signing.pub"))
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := retention.VerifyCertificate(encoded, signature, []string{strings.TrimSpace(string(public))})
	if err != nil || got.ID != "early" || !got.At.Equal(c.At.Time) {
		t.Errorf("certificate of %s at %s: %v", got.ID, got.At, err)
	}
	if _, _, err := retention.VerifyCertificate([]byte(strings.Replace(string(encoded), "asked for", "expired", 1)), signature, []string{strings.TrimSpace(string(public))}); err == nil {
		t.Error("a changed certificate verifies")
	}
	eventually(t, "the certificate is in the storage", 10*time.Second, func() bool {
		b, err := os.ReadFile(filepath.Join(h.config.Data, "recordings", "r", "early.disposed.json"))
		return err == nil && string(b) == string(encoded)
	})
	list := func(query string) (ids []string) {
		page := decode[struct{ Recordings []struct{ ID, State string } }](h.ask("GET", "/v1/recordings?"+query, nil).ok(200))
		for _, r := range page.Recordings {
			ids = append(ids, r.ID+" "+r.State)
		}
		slices.Sort(ids)
		return ids
	}
	if got := list(""); !slices.Equal(got, []string{"ever complete", "late complete", "own complete"}) {
		t.Errorf("recordings: %v", got)
	}
	if got := list("disposed=true"); !slices.Equal(got, []string{"early disposed"}) {
		t.Errorf("disposed: %v", got)
	}
	if got := list("disposed=true&label=" + url.QueryEscape("case=B")); len(got) > 0 {
		t.Errorf("disposed under another label: %v", got)
	}
}

// extended: only longer.
func (h *here) extended(t *testing.T) {
	patch := func(body map[string]any) answer {
		return h.ask("PATCH", "/v1/recordings/late", map[string]any{"retention": body, "reason": "authority"})
	}
	st := decode[retention.Standing](patch(map[string]any{"days": 60}).ok(200))
	if !st.Extended || time.Until(st.RetainUntil.Time) < 59*24*time.Hour {
		t.Errorf("extended to 60 days: %+v", st)
	}
	patch(map[string]any{"days": 59}).problem(409, "retention_shorter")
	patch(map[string]any{"until": time.Now()}).problem(409, "retention_shorter")
	patch(map[string]any{}).problem(422, "invalid_request")
	patch(map[string]any{"days": 60}).ok(200)
}

// acts: all of this is in the audit log, which verifies; a flood of wrong keys
// is told, too.
func (h *here) acts(t *testing.T) {
	h.askAs("wrong", "DELETE", "/v1/recordings/late", nil).problem(401, "unauthorized")
	log := decode[struct {
		Entries []audit.Entry
		Head    audit.Head
	}](h.ask("GET", "/v1/audit?limit=10000", nil).ok(200))
	count := map[string]int{}
	for _, e := range log.Entries {
		if e.Of != 0 {
			count[e.Operation+" "+e.Object+" "+e.Outcome]++
		}
		if e.Actor != "admin" && e.Actor != audit.Daemon && e.Operation != "request" || e.At.IsZero() {
			t.Errorf("who: %+v", e)
		}
	}
	for want, n := range map[string]int{
		"delete-recording /v1/recordings/early recording_held":     1,
		"delete-recording /v1/recordings/early ok":                 1,
		"delete-recording /v1/recordings/early recording_disposed": 1,
		"dispose early ok":                                                     1,
		"put-hold /v1/holds/h1 ok":                                             2,
		"delete-hold /v1/holds/h1 ok":                                          1,
		"put-capture /v1/captures/x unknown_class":                             1,
		"verify-recording /v1/recordings/early/verify recording_disposed":      1,
		"get-file /v1/recordings/early/files/manifest.json recording_disposed": 1,
		"patch-recording /v1/recordings/late retention_shorter":                2,
		"request DELETE /v1/recordings/late unauthorized":                      1,
	} {
		if count[want] != n {
			t.Errorf("%q is in the log %d times, not %d", want, count[want], n)
		}
	}
	a := h.ask("GET", "/v1/audit/export", nil).ok(200)
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	if err := os.WriteFile(file, a.body, 0o600); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(h.config.Data, "keys", "signing.pub")
	if code, out, errs := command(t, "audit", "verify", file, "--public-key", key); code != exitOK || !strings.Contains(out, "intact") {
		t.Errorf("audit verify: exit %d: %s%s", code, out, errs)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(a.body), "recording_held", "ok", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := command(t, "audit", "verify", file, "--public-key", key); code != exitFailed || !strings.Contains(out, "broken") {
		t.Errorf("audit verify of a changed log: exit %d: %s", code, out)
	}
	if receipt := a.header.Get("Mixdown-Audit"); len(strings.Fields(receipt)) != 2 {
		t.Errorf("receipt %q", receipt)
	}
	for want, n := range map[string]int{"hold.placed": 1, "hold.released": 1, "recording.disposed": 2, "retention.extended": 1} {
		eventually(t, fmt.Sprint(n, " events ", want), 5*time.Second, func() bool { // shown once they are durable
			page := decode[struct {
				Events []struct{ Type string }
			}](h.ask("GET", "/v1/events?limit=1000&type="+want, nil).ok(200))
			return len(page.Events) == n
		})
	}
}

// TestObjectLock: against a server whose locks nobody can lift.
func TestObjectLock(t *testing.T) {
	t.Parallel()
	server := storagetest.StartS3(t)
	s3test.MakeLockingBucket(t, server, "worm")
	store := func(bucket string) configs.Storage {
		return configs.Storage{
			Type: "s3", Endpoint: "http://" + server.Endpoint, Region: server.Region, Bucket: bucket,
			AccessKey: server.AccessKey, SecretKey: server.SecretKey, PathStyle: true,
		}
	}
	h := startHere(t, withClasses, func(c *configs.Config) {
		c.Storages = map[string]configs.Storage{"worm": store("worm"), "plain": store(server.Bucket)}
	})
	into := func(storage, class string) map[string]any {
		return with(retained("r", class), "record", []any{map[string]any{"what": "mix", "segmentSeconds": 1, "storage": storage}})
	}
	for _, class := range []string{"worm", "kept"} {
		if a := h.ask("PUT", "/v1/captures/c", into("plain", class)).problem(422, "lock_unsupported"); !strings.Contains(string(a.body), "storage plain") {
			t.Errorf("the storage is not named: %s", a.body)
		}
	}
	h.ask("PUT", "/v1/captures/c", into("plain", "month")).ok(201) // asks for no lock
	h.ask("PUT", "/v1/captures/l", into("worm", "worm")).ok(201)
	h.join("r", "ann", tone(t, 440))
	eventually(t, "a second is sealed", 30*time.Second, func() bool {
		st := decode[capture.Status](h.ask("GET", "/v1/captures/l", nil).ok(200))
		return len(st.Outputs) > 0 && st.Outputs[0].Segments > 0
	})
	h.ask("PATCH", "/v1/captures/l", map[string]any{"record": []any{
		map[string]any{"what": "mix", "segmentSeconds": 1, "storage": "worm"}, map[string]any{"what": "streams", "storage": "plain"},
	}}).problem(422, "lock_unsupported")
	st := decode[capture.Status](h.ask("POST", "/v1/captures/l/stop", nil).ok(200))
	h.ask("POST", "/v1/captures/c/stop", nil).ok(200)
	eventually(t, "all is uploaded", 20*time.Second, func() bool { n, _ := h.spool.Pending("worm", ""); return n == 0 })
	bucket, err := openBucket(configs.Network{}, store("worm"))
	if err != nil {
		t.Fatal(err)
	}
	locks := func() map[string]storage.Lock {
		all := map[string]storage.Lock{}
		for o, err := range bucket.List(t.Context(), "r/l/") {
			if err != nil {
				t.Fatal(err)
			}
			if all[o.Key], err = bucket.Lock(t.Context(), o.Key); err != nil {
				t.Fatal(err)
			}
		}
		return all
	}
	day := st.End.AddDate(0, 0, 1)
	for key, l := range locks() {
		if strings.HasPrefix(key, "r/l/mix/") && (l.Mode != storage.Compliance || l.Until.Before(day.Add(-time.Minute))) {
			t.Errorf("%s came with %s", key, l)
		}
	}
	h.keeper.Round(t.Context()) // what Run does every minute
	// A time stamp may come long after.
	if _, err := h.spool.Put("r/l/manifest.json.tsr", []byte("late"), []string{"worm"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what came late is uploaded", 20*time.Second, func() bool { n, _ := h.spool.Pending("worm", ""); return n == 0 })
	h.keeper.Round(t.Context())
	all := locks()
	if len(all) < 5 {
		t.Errorf("locked are %v", all)
	}
	want := storage.Lock{Mode: storage.Compliance, Until: day}
	for key, l := range all {
		if !l.Covers(want) {
			t.Errorf("%s has %s, want %s", key, l, want)
		}
		if err := bucket.Delete(t.Context(), key); err == nil {
			t.Errorf("%s could be deleted", key)
		}
	}
	standing := decode[retention.Standing](h.ask("GET", "/v1/recordings/l/retention", nil).ok(200))
	if k := standing.Locks["worm"]; k.Mode != storage.Compliance || k.Until == nil || k.Until.Before(day.Truncate(time.Millisecond)) {
		t.Errorf("it stands %+v", standing)
	}
	m := decode[storage.Manifest](h.ask("GET", "/v1/recordings/l", nil).ok(200))
	if m.Retention == nil || m.Retention.Locks["worm"] != storage.Compliance {
		t.Errorf("the manifest says %+v", m.Retention)
	}
	h.ask("PATCH", "/v1/recordings/l", map[string]any{"retention": map[string]any{"days": 2}}).ok(200)
	want.Until = st.End.AddDate(0, 0, 2)
	for key, l := range locks() {
		if !l.Covers(want) {
			t.Errorf("after the extension %s has %s", key, l)
		}
	}
	h.ask("PATCH", "/v1/recordings/l", map[string]any{"retention": map[string]any{"days": 1}}).problem(409, "retention_shorter")
	h.ask("DELETE", "/v1/recordings/l", nil).problem(409, "retention_not_over")
	raw, _ := json.Marshal(locks())
	t.Logf("kept: %s", raw)
}
