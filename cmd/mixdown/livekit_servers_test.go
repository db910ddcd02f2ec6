package main

import (
	"strings"
	"testing"

	"mixdown/capture"
	"mixdown/configs"
	"mixdown/netguard"
)

// TestLiveKitServers: which server a capture means, and which it may not.
func TestLiveKitServers(t *testing.T) {
	guard, err := netguard.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	one := configs.LiveKit{URL: "wss://ws.example.org/", APIKey: "k", APISecret: "s"}
	two := configs.LiveKit{URL: "ws://10.0.0.7:7880", APIKey: "k2", APISecret: "s2"}
	for _, c := range []struct {
		servers map[string]configs.LiveKit
		room    capture.RoomSpec
		url     string
		wrong   string // a part of the error
	}{
		{map[string]configs.LiveKit{"one": one}, capture.RoomSpec{}, one.URL, ""},
		{map[string]configs.LiveKit{"one": one, "two": two}, capture.RoomSpec{URL: "two"}, two.URL, ""},
		{map[string]configs.LiveKit{"one": one, "two": two}, capture.RoomSpec{URL: "https://ws.example.org"}, one.URL, ""},
		{map[string]configs.LiveKit{"one": one, "two": two}, capture.RoomSpec{}, "", "which one"},
		{nil, capture.RoomSpec{}, "", "no LiveKit server is configured"},
		{map[string]configs.LiveKit{"one": one}, capture.RoomSpec{URL: "wss://other.example.org"}, "", "no token"},
		{map[string]configs.LiveKit{"one": one}, capture.RoomSpec{URL: "wss://other.example.org", Token: "t"}, "wss://other.example.org", ""},
		{map[string]configs.LiveKit{"one": one}, capture.RoomSpec{URL: "ws://127.0.0.1:7880", Token: "t"}, "ws://127.0.0.1:7880", "127.0.0.1"},
	} {
		d := &daemon{config: configs.Config{LiveKit: c.servers}, guard: guard}
		c.room.System = "livekit"
		url, err := d.roomURL(c.room)
		if c.wrong == "" && (err != nil || url != c.url) {
			t.Errorf("%+v: %q, %v", c.room, url, err)
		}
		if c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)) {
			t.Errorf("%+v: %v, want an error with %q", c.room, err, c.wrong)
		}
	}
	d := &daemon{config: configs.Config{LiveKit: map[string]configs.LiveKit{"one": one}}, guard: guard}
	if _, ok := d.liveKitKeys("wss://other.example.org"); ok {
		t.Error("the key of one server goes to another")
	}
	if keys, ok := d.liveKitKeys(one.URL); !ok || keys.Key != "k" {
		t.Errorf("the key of the server is not found: %v", keys)
	}
}
