// Package access says who may do what over REST: API keys, their roles, and
// the rooms they are for.
//
// It stands beside package api, which asks it with every request. It knows no
// HTTP. A key is shown once, when it is made; only its hash is kept.
package access

import (
	"context"
	"path"
	"slices"
)

// Right is the permission that an operation needs.
type Right string

// The rights.
const (
	SeeCaptures   Right = "captures.see"      // state, levels, ledger: nothing that was said
	RunCaptures   Right = "captures.run"      // start, stop, pause, change
	Listen        Right = "captures.listen"   // hear the live mix
	SeeRecordings Right = "recordings.see"    // list, manifest, verify
	Play          Right = "recordings.play"   // the files
	Dispose       Right = "recordings.manage" // retention, holds, erasure, deletion
	SeeRooms      Right = "rooms.see"
	Moderate      Right = "rooms.moderate" // throw out users and streams
	MintTokens    Right = "tokens.mint"
	SeeRules      Right = "rules.see"
	SetRules      Right = "rules.set"
	SeeEvents     Right = "events.see"
	SetWebhooks   Right = "webhooks.set"
	SeeAudit      Right = "audit.see"
	Operate       Right = "operations" // capacity, spool, metrics, storages
	SetKeys       Right = "keys.set"
	Any           Right = "any" // every key: who am I, the public signing keys
)

// Role is a name for the rights of one kind of person or program.
type Role string

// The roles. A key may have several.
const (
	Operator   Role = "operator"   // runs captures, hears nothing
	Reviewer   Role = "reviewer"   // listens and plays
	Exporter   Role = "exporter"   // takes files away
	Compliance Role = "compliance" // retention, holds, erasure
	Auditor    Role = "auditor"    // sees what was done, hears nothing
	Admin      Role = "admin"      // everything, and makes keys
)

var rights = map[Role][]Right{
	Operator: {SeeCaptures, RunCaptures, SeeRecordings, SeeRooms, Moderate, MintTokens,
		SeeRules, SetRules, SeeEvents, Operate},
	Reviewer:   {SeeCaptures, Listen, SeeRecordings, Play, SeeRooms, SeeEvents},
	Exporter:   {SeeRecordings, Play, SeeEvents},
	Compliance: {SeeCaptures, SeeRecordings, Dispose, SeeRules, SeeEvents, SeeAudit},
	Auditor:    {SeeCaptures, SeeRecordings, SeeRules, SeeEvents, SeeAudit},
}

// Roles lists all roles.
func Roles() []Role { return []Role{Operator, Reviewer, Exporter, Compliance, Auditor, Admin} }

// Principal is who makes a request.
type Principal struct {
	ID    string   // of the key; "admin" for the daemon's own
	Name  string   // what whoever made the key called it
	Roles []Role   //
	Rooms []string // patterns as path.Match has them; none means all rooms
}

// Has says whether one of the roles has the right.
func (p Principal) Has(r Right) bool {
	if slices.Contains(p.Roles, Admin) || r == Any {
		return p.ID != ""
	}
	return slices.ContainsFunc(p.Roles, func(role Role) bool { return slices.Contains(rights[role], r) })
}

// Everywhere says that the key is not bound to rooms.
func (p Principal) Everywhere() bool { return len(p.Rooms) == 0 }

// In says whether the key is good for a room.
func (p Principal) In(roomID string) bool {
	return p.Everywhere() || slices.ContainsFunc(p.Rooms, func(pattern string) bool {
		ok, err := path.Match(pattern, roomID)
		return ok && err == nil
	})
}

// Rights lists what the principal may do.
func (p Principal) Rights() []Right {
	all := []Right{SeeCaptures, RunCaptures, Listen, SeeRecordings, Play, Dispose, SeeRooms, Moderate, MintTokens,
		SeeRules, SetRules, SeeEvents, SetWebhooks, SeeAudit, Operate, SetKeys}
	return slices.DeleteFunc(all, func(r Right) bool { return !p.Has(r) })
}

type key struct{}

// With notes in a context who makes the request.
func With(ctx context.Context, p Principal) context.Context { return context.WithValue(ctx, key{}, p) }

// From is who makes the request; without anybody it is the daemon itself,
// which has no rights over REST.
func From(ctx context.Context) Principal {
	p, ok := ctx.Value(key{}).(Principal)
	if !ok {
		return Principal{Name: "mixdown"}
	}
	return p
}

// Actor is the name of who makes the request, for logs and audits.
func (p Principal) Actor() string {
	switch {
	case p.ID == "":
		return p.Name
	case p.Name == "" || p.Name == p.ID:
		return p.ID
	}
	return p.Name + " (" + p.ID + ")"
}
