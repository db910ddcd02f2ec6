package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// unknown are members that are null while there is nothing to say: instants
// and figures. A list or an object is empty instead.
var unknown = map[string]bool{"end": true, "leave": true, "downSince": true, "hoursLeft": true, "retainUntil": true}

// TestNoNullLists: no answer holds null where a list or an object belongs, so
// that programs can go through what they get.
func TestNoNullLists(t *testing.T) {
	t.Parallel()
	h := startHere(t)
	h.join("r", "ann", tone(t, 440))
	h.ask("PUT", "/v1/captures/bare", spec("r")).ok(201) // without labels
	h.ask("PUT", "/v1/captures/ended", spec("r")).ok(201)
	eventually(t, "the capture hears ann", 20*time.Second, func() bool {
		return strings.Contains(string(h.ask("GET", "/v1/captures/ended", nil).body), `"recording"`)
	})
	h.ask("POST", "/v1/captures/ended/stop", nil).ok(200)
	h.ask("PUT", "/v1/rules/all", map[string]any{"rooms": []string{"team-*"}, "capture": map[string]any{"record": spec("r")["record"]}}).ok(201)
	h.ask("PUT", "/v1/holds/h", map[string]any{"selector": map[string]any{"roomID": "x"}, "reason": "y"}).ok(201)
	seen := 0
	for id, op := range h.operations() {
		path := strings.NewReplacer("{id}", "ended", "{roomID}", "r", "{path...}", "manifest.json").Replace(op[1])
		if op[0] != "GET" || strings.Contains(path, "{") || strings.HasPrefix(id, "listen") || strings.HasSuffix(path, "/meters") {
			continue
		}
		a := h.ask("GET", path, nil, "Accept", "application/json")
		var v any
		if a.status != 200 || json.Unmarshal(a.body, &v) != nil {
			continue
		}
		seen++
		for _, at := range nulls(v, "") {
			if name := at[strings.LastIndex(at, ".")+1:]; !unknown[name] {
				t.Errorf("%s: %s is null", a.call, at)
			}
		}
	}
	if seen < 15 {
		t.Errorf("only %d answers were looked at", seen)
	}
}

// nulls are the places of all nulls in a JSON value.
func nulls(v any, at string) (all []string) {
	switch v := v.(type) {
	case nil:
		return []string{at}
	case []any:
		for _, e := range v {
			all = append(all, nulls(e, at)...)
		}
	case map[string]any:
		for name, e := range v {
			all = append(all, nulls(e, at+"."+name)...)
		}
	}
	return all
}
