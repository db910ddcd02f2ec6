package native_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/joiner"
	"mixdown/joiner/joinertest"
	"mixdown/rooms/roomstest"
)

// recovery is how soon after the link is back packets must arrive again.
const recovery = 3 * time.Second

// TestRecorderLinkCut: short cuts lose nothing, long ones are mended within 3 s
// of the link's return, and the others in the room hear nothing of it.
func TestRecorderLinkCut(t *testing.T) {
	for _, cut := range []time.Duration{time.Second, 10 * time.Second, time.Minute} {
		for _, offset := range []time.Duration{0, 700 * time.Millisecond, 1900 * time.Millisecond} {
			t.Run(fmt.Sprint(cut, " after ", offset), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					bed := roomstest.New(t)
					rec := join(t, bed, bed.Host(), bed.Login("standup", "recorder", true)).connected(t)
					ann := bed.Speaker("standup", "ann")
					ann.Say(3*time.Second + offset)
					before := ann.Frames()
					rec.host.Link.Cut(true)
					ann.Say(cut)
					rec.host.Link.Cut(false)
					back, backAt := ann.Frames(), time.Now()
					ann.Say(10 * time.Second)

					h := rec.Of(ann.StreamID)
					first := recoveredAt(h, backAt)
					if first > recovery {
						t.Errorf("recovered after %v", first)
					}
					t.Logf("recovered after %v", first)
					if cut <= time.Second {
						if missing := h.Missing(0, ann.Frames()-5); len(missing) > 0 {
							t.Errorf("missing %v", missing)
						}
					}
					if missing := h.Missing(0, before-5); len(missing) > 0 {
						t.Errorf("missing before the cut: %v", missing)
					}
					if missing := h.Missing(back+int64(recovery/joinertest.FrameTime), ann.Frames()-5); len(missing) > 0 {
						t.Errorf("missing after the recovery: %v", missing)
					}
					if i := slices.IndexFunc(rec.Take(), func(s string) bool { return strings.HasPrefix(s, "end") }); i >= 0 {
						t.Error("the stream was said to have ended")
					}
				})
			})
		}
	}
}

// recoveredAt says how long after back the first packet came that was sent
// after it.
func recoveredAt(h *joinertest.Heard, back time.Time) time.Duration {
	packets, _ := h.Received()
	for _, p := range packets {
		if p.At.After(back) {
			return p.At.Sub(back)
		}
	}
	return time.Hour
}

// TestPublisherLinkCut: a publisher that is back within 30 s was never away
// for the others; one that is away longer ends and begins anew.
func TestPublisherLinkCut(t *testing.T) {
	for _, cut := range []time.Duration{time.Second, 10 * time.Second, time.Minute} {
		t.Run(fmt.Sprint(cut), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bed := roomstest.New(t)
				rec := join(t, bed, bed.Host(), bed.Login("standup", "recorder", true)).connected(t)
				ann := bed.Speaker("standup", "ann")
				ann.Say(3 * time.Second)
				rec.Take()
				ann.Link.Cut(true)
				ann.Say(cut)
				ann.Link.Cut(false)
				back, backAt := ann.Frames(), time.Now()
				ann.Say(10 * time.Second)
				time.Sleep(100 * time.Millisecond)

				h := rec.Of(ann.StreamID)
				if first := recoveredAt(h, backAt); first > recovery {
					t.Errorf("recovered after %v", first)
				} else {
					t.Logf("recovered after %v", first)
				}
				if missing := h.Missing(back+int64(recovery/joinertest.FrameTime), ann.Frames()); len(missing) > 0 {
					t.Errorf("missing after the recovery: %v", missing)
				}
				lines := rec.Take()
				var want []string
				if cut == time.Minute {
					want = []string{"end ann-voice: heartbeat timeout", "- ann", "+ ann", "stream ann-voice"}
				}
				if !slices.Equal(lines, want) {
					t.Errorf("told %q, want %q", lines, want)
				}
				if h.Stray() > 0 {
					t.Errorf("%d packets after the end", h.Stray())
				}
				if cut == time.Second {
					if missing := h.Missing(0, ann.Frames()); len(missing) > 0 {
						t.Errorf("missing %v", missing)
					}
				}
			})
		})
	}
}

// TestMediaCut: only UDP is cut, signalling goes on.
func TestMediaCut(t *testing.T) {
	for _, cut := range []time.Duration{2 * time.Second, 25 * time.Second, 61 * time.Second, 62 * time.Second, 90 * time.Second} {
		t.Run(fmt.Sprint(cut), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bed := roomstest.New(t)
				rec := join(t, bed, bed.Host(), bed.Login("standup", "recorder", true)).connected(t)
				ann := bed.Speaker("standup", "ann")
				ann.Say(3 * time.Second)
				rec.host.Link.CutMedia(true)
				ann.Say(cut)
				rec.host.Link.CutMedia(false)
				backAt := time.Now()
				ann.Say(10 * time.Second)
				first := recoveredAt(rec.Of(ann.StreamID), backAt)
				t.Logf("recovered after %v", first)
				if first > recovery {
					t.Errorf("recovered after %v", first)
				}
			})
		})
	}
}

// TestSecondLogin: the same user elsewhere ends the first login for good.
func TestSecondLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bed := roomstest.New(t)
		first := join(t, bed, bed.Host(), bed.Login("standup", "recorder", true)).connected(t)
		second := join(t, bed, bed.Host(), bed.Login("standup", "recorder", true)).connected(t)
		if err := first.Leaves(t, time.Second); !errors.Is(err, joiner.ErrPermanent) {
			t.Errorf("the first login ended with %v", err)
		}
		if s, err := first.State(); s != joiner.Disconnected || err == nil {
			t.Errorf("the first login's state is %s, %v", s, err)
		}
		time.Sleep(time.Minute)
		if s, err := second.State(); s != joiner.Connected {
			t.Errorf("the second login's state is %s, %v", s, err)
		}
	})
}

// TestSecondLoginWhileAway: the first login comes back and must not throw the
// second out.
func TestSecondLoginWhileAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bed := roomstest.New(t)
		first := join(t, bed, bed.Host(), bed.Login("standup", "recorder", true)).connected(t)
		first.host.Link.Cut(true)
		time.Sleep(10 * time.Second)
		second := join(t, bed, bed.Host(), bed.Login("standup", "recorder", true)).connected(t)
		first.host.Link.Cut(false)
		if err := first.Leaves(t, 5*time.Second); !errors.Is(err, joiner.ErrPermanent) {
			t.Errorf("the first login ended with %v", err)
		}
		if s, err := second.State(); s != joiner.Connected {
			t.Errorf("the second login's state is %s, %v", s, err)
		}
	})
}

func TestBadToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bed := roomstest.New(t)
		host := bed.Host()
		expired, err := bed.TokenFor("standup", "recorder", true, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		for name, token := range map[string]func() (string, error){
			"malformed":        func() (string, error) { return "04nonsense", nil },
			"of another user":  func() (string, error) { return bed.Token("standup", "bob", true) },
			"of another room":  func() (string, error) { return bed.Token("hall", "recorder", true) },
			"empty":            func() (string, error) { return "", nil },
			"expired for ever": func() (string, error) { return expired, nil },
		} {
			login := bed.Login("standup", "recorder", true)
			login.Token = token
			j := join(t, bed, host, login)
			if err := j.Leaves(t, 5*time.Second); !errors.Is(err, joiner.ErrPermanent) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// TestTokens: a token that expires is renewed, one that has expired when it is
// used is replaced, and one that cannot be had is waited for.
func TestTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bed := roomstest.New(t)
		var asked atomic.Int32
		expired, err := bed.TokenFor("standup", "recorder", true, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		login := bed.Login("standup", "recorder", true)
		login.Token = func() (string, error) {
			switch asked.Add(1) {
			case 1:
				return "", errors.New("token server is away")
			case 2:
				return expired, nil
			}
			return bed.TokenFor("standup", "recorder", true, 40*time.Second)
		}
		rec := join(t, bed, bed.Host(), login).connected(t)
		if n := asked.Load(); n != 3 {
			t.Errorf("%d tokens asked for at login", n)
		}
		time.Sleep(5 * time.Minute)
		// Each lasts 40 s, and 30 s before its end comes the warning.
		if n := asked.Load(); n < 25 || n > 40 {
			t.Errorf("%d tokens asked for in 5 minutes", n)
		}
		rec.Take()
		rec.Pubs.Add("mix", "", 1)
		time.Sleep(time.Second)
		if s := rec.Pubs.List()[0].Stats(); !s.Published {
			t.Errorf("publishing with the renewed token: %v", s.Err)
		}
	})
}

// TestServerRestart: the daemon comes back with nothing remembered, or dies
// without a word; everybody is in the room again by themselves.
func TestServerRestart(t *testing.T) {
	for _, crash := range []bool{false, true} {
		t.Run(fmt.Sprint("crash ", crash), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bed := roomstest.New(t)
				rec := join(t, bed, bed.Host(), bed.Login("standup", "recorder", true)).connected(t)
				ann := bed.Speaker("standup", "ann")
				ann.Say(2 * time.Second)
				if crash {
					bed.Crash(rec.host, ann.Host)
				} else {
					bed.Stop()
				}
				ann.Say(15 * time.Second)
				bed.Start()
				backAt := time.Now()
				ann.Say(10 * time.Second)
				first := recoveredAt(rec.Of(ann.StreamID), backAt)
				t.Logf("recovered after %v", first)
				if first > 2*recovery { // the publisher must be back first
					t.Errorf("recovered after %v", first)
				}
				lines := rec.Take()
				if lines[len(lines)-1] != "stream ann-voice" && lines[len(lines)-1] != "CONNECTED" {
					t.Errorf("told %q", lines)
				}
			})
		})
	}
}

// TestLogout: it is quick, whatever the link does, and the others see it.
func TestLogout(t *testing.T) {
	for _, cut := range []bool{false, true} {
		t.Run(fmt.Sprint("cut ", cut), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bed := roomstest.New(t)
				rec := join(t, bed, bed.Host(), bed.Login("standup", "recorder", true)).connected(t)
				ann := bed.Speaker("standup", "ann")
				bob := join(t, bed, bed.Host(), bed.Login("standup", "bob", false)).connected(t)
				mix := bob.Pubs.Add("mix", "", 2)
				ann.Say(2 * time.Second)
				if !mix.Stats().Published {
					t.Fatal("not published")
				}
				rec.Take()
				bob.host.Link.Cut(cut)
				enough := errors.New("enough")
				bob.Stop(enough)
				start := time.Now()
				if err := bob.Leaves(t, 3*time.Second); !errors.Is(err, enough) || errors.Is(err, context.Canceled) {
					t.Errorf("ended with %v", err)
				}
				if took := time.Since(start); took > 2*time.Second {
					t.Errorf("logging out took %v", took)
				}
				if s, err := bob.State(); s != joiner.Disconnected || !errors.Is(err, enough) {
					t.Errorf("last state %v, %v", s, err)
				}
				ann.Say(time.Second)
				want := []string{"end mix: stopped by the user", "- bob"}
				if got := rec.Take(); !cut && !slices.Equal(got, want) {
					t.Errorf("told %q", got)
				}
			})
		})
	}
}

// TestNoServer: a wrong address is tried for ever, a nonsensical one is not.
func TestNoServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bed := roomstest.New(t)
		host := bed.Host()
		for _, url := range []string{"", "room.test", "ftp://room.test", "ws://", "ws://%zz"} {
			login := bed.Login("standup", "recorder", true)
			login.URL = url
			if err := join(t, bed, host, login).Leaves(t, time.Second); !errors.Is(err, joiner.ErrPermanent) {
				t.Errorf("URL %q: %v", url, err)
			}
		}
		bed.Stop()
		rec := join(t, bed, host, bed.Login("standup", "recorder", true))
		time.Sleep(5 * time.Minute)
		if s, err := rec.State(); s != joiner.Connecting || err == nil {
			t.Errorf("state %s, %v", s, err)
		}
		bed.Start()
		within(t, recovery, "login", func() bool { s, _ := rec.State(); return s == joiner.Connected })
	})
}
