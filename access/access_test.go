package access_test

import (
	"net/netip"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/access"
)

func TestThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var th access.Throttle
		attacker, neighbour := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8:0:1::1")
		for range 19 {
			th.Denied(attacker)
		}
		th.Allowed(attacker) // the row is broken
		for i := range 20 {
			if th.Wait(attacker) > 0 {
				t.Fatalf("paused after %d wrong keys", i)
			}
			th.Denied(netip.AddrFrom16(attacker.As16()).Next()) // the same network
			attacker = attacker.Next()
		}
		if w := th.Wait(attacker); w != time.Minute {
			t.Errorf("after 20 wrong keys the pause is %s", w)
		}
		if th.Wait(neighbour) > 0 {
			t.Error("another network is paused")
		}
		time.Sleep(time.Minute)
		if th.Wait(attacker) > 0 {
			t.Error("the pause does not end")
		}
		for range 100 {
			th.Denied(netip.MustParseAddr("::ffff:127.0.0.1"))
		}
		if th.Wait(netip.MustParseAddr("127.0.0.1")) > 0 {
			t.Error("loopback is paused")
		}
		for i := range 1 << 16 { // a flood of addresses takes bounded memory and locks nobody out for ever
			th.Denied(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
		}
	})
}

func TestPrincipals(t *testing.T) {
	for _, c := range []struct {
		p    access.Principal
		room string
		in   bool
	}{
		{access.Principal{}, "any", true},
		{access.Principal{Rooms: []string{"team-*"}}, "team-a", true},
		{access.Principal{Rooms: []string{"team-*"}}, "a-team-a", false},
		{access.Principal{Rooms: []string{"a", "b"}}, "b", true},
		{access.Principal{Rooms: []string{"["}}, "[", false}, // nothing by a broken pattern
		{access.Principal{Rooms: []string{"*"}}, "a/b", false},
	} {
		if got := c.p.In(c.room); got != c.in {
			t.Errorf("%v in %q: %v", c.p.Rooms, c.room, got)
		}
	}
	if (access.Principal{}).Has(access.Any) {
		t.Error("nobody has a right")
	}
	if n := len(access.Principal{ID: "a", Roles: []access.Role{access.Admin}}.Rights()); n != 16 {
		t.Errorf("an admin has %d rights", n)
	}
	if (access.Principal{ID: "a", Roles: []access.Role{access.Operator}}).Has(access.Play) {
		t.Error("an operator may play")
	}
}

func TestFind(t *testing.T) {
	keys, err := access.Open(filepath.Join(t.TempDir(), "keys.json"), "the admin's")
	if err != nil {
		t.Fatal(err)
	}
	k, secret, err := keys.Make(access.Key{Name: "n", Roles: []access.Role{access.Auditor}}, "test")
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []string{"", "mxd_", secret[:len(secret)-1], secret + "x", "mxd_" + k.ID + "_", "mxd_none_x", " the admin's"} {
		if p, ok := keys.Find(wrong); ok {
			t.Errorf("%q is the key of %v", wrong, p)
		}
	}
	if p, ok := keys.Find(secret); !ok || p.ID != k.ID {
		t.Errorf("found %v %v", p, ok)
	}
	if p, ok := keys.Find("the admin's"); !ok || !p.Has(access.SetKeys) {
		t.Errorf("found %v %v", p, ok)
	}
}
