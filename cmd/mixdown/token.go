package main

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// tokenCommand is mixdown token.
type tokenCommand struct {
	Remote  remote        `embed:""`
	Room    string        `help:"Room." required:""`
	User    string        `help:"User." required:""`
	Publish bool          `help:"May publish, not only listen."`
	TTL     time.Duration `name:"ttl" help:"How long it is valid." default:"1h"`
}

// Run prints a token.
func (t *tokenCommand) Run(ctx context.Context, p process) error {
	c, err := t.Remote.connect(p)
	if err != nil {
		return err
	}
	var out struct{ Token string }
	err = c.call(ctx, http.MethodPost, "/v1/tokens", map[string]any{
		"roomID": t.Room, "userID": t.User, "publish": t.Publish, "ttlSeconds": int(t.TTL.Seconds()),
	}, &out)
	if err != nil {
		return err
	}
	fmt.Fprintln(p.stdout, out.Token)
	return nil
}
