package configs

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Events says how long what happened can be read again. Whichever bound is met
// first lets the oldest go.
type Events struct {
	Keep   time.Duration `yaml:"keep"`
	MaxMiB int           `yaml:"maxMiB"`
}

// Webhook is an endpoint that events are posted to.
type Webhook struct {
	URL      string   `yaml:"url"`
	Secret   string   `yaml:"secret"`   // whsec_ and 24 to 64 bytes in base64
	Events   []string `yaml:"events"`   // patterns of types; empty means all
	Captures []string `yaml:"captures"` // patterns of capture ids
	Rooms    []string `yaml:"rooms"`    // patterns of room ids
}

// Network says which addresses that are not public URLs chosen by others may
// lead to.
type Network struct {
	Allow []string `yaml:"allow"` // addresses, or networks as 10.1.0.0/16
}

// minKeep is how long webhooks try: what they carry must be there so long.
const minKeep = 72 * time.Hour

// checkEvents says what is wrong with events, webhooks and network.
func (c Config) checkEvents(bad func(key, format string, args ...any)) {
	if c.Events.Keep < minKeep {
		bad("events.keep", "needs at least %v: webhooks are tried for so long", minKeep)
	}
	if c.Events.MaxMiB < 16 {
		bad("events.maxMiB", "needs at least 16")
	}
	for name, w := range c.Webhooks {
		key := "webhooks." + name
		if !storageName.MatchString(name) {
			bad(key, "a webhook's name needs 1 to 32 of a-z 0-9 -")
		}
		for _, problem := range w.problems() {
			bad(key+"."+problem[0], "%s", problem[1])
		}
	}
	for i, s := range c.Network.Allow {
		if _, err := netip.ParsePrefix(s); err != nil {
			if _, err := netip.ParseAddr(s); err != nil {
				bad(fmt.Sprintf("network.allow[%d]", i), "%q is neither an address nor a network as 10.1.0.0/16", s)
			}
		}
	}
}

// problems lists key and text of what is wrong.
func (w Webhook) problems() (all [][2]string) {
	if u, err := url.Parse(w.URL); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		all = append(all, [2]string{"url", fmt.Sprintf("%q is not an http or https URL", w.URL)})
	}
	encoded, ok := strings.CutPrefix(w.Secret, "whsec_")
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil || len(raw) < 24 || len(raw) > 64 {
		all = append(all, [2]string{"secret", "needs whsec_ and 24 to 64 random bytes in base64"})
	}
	return all
}
