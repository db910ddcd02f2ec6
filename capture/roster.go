package capture

import (
	"encoding/json"
	"slices"
	"time"

	"mixdown/storage"
)

// user notes that a user came or left.
func (t *timeline) user(came bool, at time.Duration, data []byte) {
	var rec userRecord
	if json.Unmarshal(data, &rec) != nil {
		return
	}
	when := t.archive.clock.utcAt(at)
	i := slices.IndexFunc(t.users, func(u storage.User) bool { return u.UserID == rec.User.ID })
	if i < 0 {
		i = len(t.users)
		t.users = append(t.users, storage.User{UserID: rec.User.ID, UserName: rec.User.Name})
	}
	u := &t.users[i]
	here := len(u.Joins) > 0 && u.Joins[len(u.Joins)-1].Leave == nil
	switch {
	case came && !here:
		u.Joins = append(slices.Clip(u.Joins), storage.Presence{Join: when})
		t.roster(at, "user.joined", "user", rec.User, "")
	case !came && here:
		u.Joins = slices.Clone(u.Joins) // a status may show the old one
		u.Joins[len(u.Joins)-1].Leave = &when
		t.roster(at, "user.left", "user", rec.User, "")
	}
}

// roster notes who came or left, and that it is to be told.
func (t *timeline) roster(at time.Duration, kind, what string, who any, reason string) {
	t.events.add(at, kind, who, reason)
	t.newsCount++
	details := map[string]any{what: who}
	if reason != "" {
		details["reason"] = reason
	}
	t.news = append(t.news, news{seriesRoom, t.newsCount, kind, at, details})
}
