package main

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"mixdown/capture"
	"mixdown/completeness"
	"mixdown/rules"
	"mixdown/storage"
)

// TestRules: a room that a rule matches is recorded by itself, from its first
// packet, and the API says why it is and another is not.
func TestRules(t *testing.T) {
	t.Parallel()
	h := startHere(t)
	rule := map[string]any{
		"rooms": []string{"team-*"}, "labels": map[string]string{"kind": "team"},
		"capture": map[string]any{
			"record":    []any{map[string]any{"what": "streams"}},
			"republish": []any{map[string]any{"streamID": "{roomID}-mix"}},
			"limits":    map[string]any{"idleSeconds": 2},
		},
	}
	first := decode[rules.Rule](h.ask("PUT", "/v1/rules/teams", rule).ok(201))
	if again := decode[rules.Rule](h.ask("PUT", "/v1/rules/teams", rule).ok(200)); first.Version != 1 || again.Version != 1 {
		t.Errorf("versions %d, %d", first.Version, again.Version)
	}
	// What is told can be set: the console's form does that.
	told := decode[map[string]any](h.ask("GET", "/v1/rules/teams", nil).ok(200))
	for _, made := range []string{"id", "version", "changedAt", "changedBy"} {
		if told[made] == nil {
			t.Errorf("the rule has no %s: %v", made, told)
		}
		delete(told, made)
	}
	if again := decode[rules.Rule](h.ask("PUT", "/v1/rules/teams", told).ok(200)); again.Version != 1 {
		t.Errorf("what was told is version %d", again.Version)
	}
	explain := func(query string) rules.Decision {
		t.Helper()
		return decode[rules.Decision](h.ask("GET", "/v1/rules/explain?"+query, nil).ok(200))
	}
	ann := h.join("team-a", "ann", tone(t, 440))
	h.join("board", "bob", tone(t, 550))
	var d rules.Decision
	eventually(t, "the rule captures the room", 10*time.Second, func() bool {
		d = explain("room=team-a")
		return d.Capture != "" && d.Verdicts[0].Result == rules.Recorded
	})
	var other rules.Decision
	eventually(t, "the other room is open", 10*time.Second, func() bool {
		other = explain("room=board")
		return other.Open
	})
	if other.Verdicts[0].Result != rules.OtherRoom || !strings.Contains(other.Verdicts[0].Because, "team-*") {
		t.Errorf("the other room: %+v", other)
	}
	eventually(t, "the mix is published", 10*time.Second, func() bool {
		return strings.Contains(string(h.ask("GET", "/v1/rooms/team-a", nil).body), `"team-a-mix"`)
	})
	time.Sleep(time.Second)
	between := time.Now()
	ann.leave()
	var st capture.Status
	eventually(t, "the capture is complete", 15*time.Second, func() bool {
		st = decode[capture.Status](h.ask("GET", "/v1/captures/"+d.Capture, nil).ok(200))
		return st.State == capture.Complete
	})
	if st.Labels["kind"] != "team" || st.Labels[rules.Label] != "teams" {
		t.Errorf("labels %v", st.Labels)
	}
	var m storage.Manifest
	eventually(t, "the manifest is sealed", 10*time.Second, func() bool {
		m = decode[storage.Manifest](h.ask("GET", "/v1/recordings/"+d.Capture, nil).ok(200))
		return m.Sealed != nil
	})
	if l := m.Ledger["ann/ann-mic"]; l["received"] < 500 || l["lost"] != 0 {
		t.Errorf("ledger of the only stream: %v", l)
	}
	past := explain("room=team-a&at=" + url.QueryEscape(between.UTC().Format(time.RFC3339Nano)))
	if past.Capture != d.Capture || past.Verdicts[0].Result != rules.Recorded || past.Verdicts[0].Version != 1 {
		t.Errorf("the past: %+v", past)
	}
	report := decode[completeness.Report](h.ask("GET", "/v1/completeness", nil).ok(200))
	verdicts := map[string]string{}
	for _, s := range report.Sessions {
		verdicts[s.RoomID] = s.Verdict
	}
	if verdicts["team-a"] != "complete" || verdicts["board"] != "unrecorded" || len(verdicts) != 2 {
		t.Errorf("completeness: %v, %+v", verdicts, report.Sessions)
	}
	for _, s := range report.Sessions {
		if s.RoomID == "board" && (len(s.Streams[0].Missing) != 1 || !strings.Contains(s.Streams[0].Missing[0].Why, "no rule matches")) {
			t.Errorf("why board is missing: %+v", s.Streams[0].Missing)
		}
	}
	if page := h.ask("GET", "/v1/completeness/page", nil).ok(200); !strings.Contains(string(page.body), "board") || !strings.HasPrefix(page.header.Get("Content-Type"), "text/html") {
		t.Errorf("page: %s %s", page.header, page.body)
	}
	h.ask("GET", "/v1/rules/explain?room=never&at=2020-01-01T00:00:00Z", nil).problem(404, "no_decision")
	h.ask("GET", "/v1/rules/explain", nil).problem(422, "invalid_request")
	h.ask("PUT", "/v1/rules/bad", map[string]any{"rooms": []string{"["}, "capture": rule["capture"]}).problem(422, "invalid_rule")
	h.ask("PUT", "/v1/rules/bad", map[string]any{"rooms": []string{"*"}, "capture": map[string]any{}}).problem(422, "invalid_capture")
	h.ask("PUT", "/v1/rules/bad", map[string]any{"rooms": []string{"*"}, "capture": map[string]any{"recrod": 1}}).problem(422, "invalid_request")
	seen := h.ask("GET", "/v1/rules/teams", nil).ok(200).header.Get("ETag")
	h.ask("PUT", "/v1/rules/teams", rule, "If-None-Match", "*").problem(412, "rule_changed")
	changed := h.ask("PUT", "/v1/rules/teams", with(rule, "priority", 3), "If-Match", seen).ok(200).header.Get("ETag")
	if changed == seen || seen == "" {
		t.Errorf("tags %s and %s", seen, changed)
	}
	h.ask("PUT", "/v1/rules/teams", with(rule, "priority", 4), "If-Match", seen).problem(412, "rule_changed")
	h.ask("PUT", "/v1/rules/teams", with(rule, "priority", 4), "If-Match", `""`).problem(412, "rule_changed")
	weak := h.ask("PUT", "/v1/rules/teams", with(rule, "priority", 4), "If-Match", seen+", W/"+changed).ok(200).header.Get("ETag")
	h.ask("PUT", "/v1/rules/teams", with(rule, "priority", 5), "If-Match", strings.TrimSuffix(weak, `"`)+`-gzip"`).ok(200)
	h.ask("DELETE", "/v1/rules/teams", nil).ok(204)
	h.ask("PUT", "/v1/rules/teams", rule, "If-Match", "*").problem(412, "rule_changed")
	h.ask("GET", "/v1/rules/teams", nil).problem(404, "rule_not_found")
	h.ask("DELETE", "/v1/rules/teams", nil).problem(404, "rule_not_found")
}
