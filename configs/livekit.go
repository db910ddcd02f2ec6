package configs

import (
	"net/url"
	"slices"
)

// LiveKit is a LiveKit server, or the address of a cluster, whose rooms
// captures may join without a token of theirs.
type LiveKit struct {
	URL       string `yaml:"url"`
	APIKey    string `yaml:"apiKey"`
	APISecret string `yaml:"apiSecret"`
}

func (c Config) checkLiveKit(bad func(key, format string, args ...any)) {
	for name, l := range c.LiveKit {
		key := "livekit." + name
		if !storageName.MatchString(name) {
			bad(key, "a server's name needs 1 to 32 of a-z 0-9 -")
		}
		if u, err := url.Parse(l.URL); err != nil || u.Host == "" || !slices.Contains([]string{"ws", "wss", "http", "https"}, u.Scheme) {
			bad(key+".url", "%q is not a ws or wss URL", l.URL)
		}
		if l.APIKey == "" {
			bad(key+".apiKey", "is not set")
		}
		if l.APISecret == "" {
			bad(key+".apiSecret", "is not set")
		}
	}
}
