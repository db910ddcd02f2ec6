// Package configs is the daemon's configuration: one struct, its defaults,
// and how a YAML file and the environment set it. Command line flags, which
// win over both, belong to package cmd. mixdown.example.yaml beside this file
// documents every key; a test keeps it true.
package configs

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Config is the configuration of the daemon.
type Config struct {
	Listen    string             `yaml:"listen"`    // HTTP: REST, pages, /ws, /whip, /whep
	UDP       string             `yaml:"udp"`       // media of all rooms
	Data      string             `yaml:"data"`      // spool, local recordings, keys
	APIKey    string             `yaml:"apiKey"`    // admin key; empty: made on first start
	TLS       TLS                `yaml:"tls"`       // of HTTP; empty: none
	App       App                `yaml:"app"`       // the embedded room service
	Debug     Debug              `yaml:"debug"`     // for who looks into the process
	Limits    Limits             `yaml:"limits"`    // of what clients may use up
	Log       Log                `yaml:"log"`       // to standard error
	Storages  map[string]Storage `yaml:"storages"`  // besides "local", which always exists
	Timestamp Timestamp          `yaml:"timestamp"` // of sealed recordings; empty: none
	Retention Retention          `yaml:"retention"` // how long recordings are kept
	Events    Events             `yaml:"events"`    // what the log of events keeps
	Webhooks  map[string]Webhook `yaml:"webhooks"`  // besides those set over REST
	Capacity  Capacity           `yaml:"capacity"`  // when captures are refused
	Network   Network            `yaml:"network"`   // where the daemon itself connects to
	LiveKit   map[string]LiveKit `yaml:"livekit"`   // servers whose rooms are captured

	Encryption Encryption `yaml:"encryption"` // of recordings
}

// Encryption says to whom recordings are encrypted.
type Encryption struct {
	Recipients []string `yaml:"recipients"` // age public keys; every recording is encrypted to them
	Required   bool     `yaml:"required"`   // a capture that would not be encrypted is refused
	HostKey    string   `yaml:"hostKey"`    // file; empty: <data>/keys/host.key
}

// App identifies the embedded room service in its tokens. Both are made on
// first start if they are not set.
type App struct {
	ID     uint32 `yaml:"id"`
	Secret string `yaml:"secret"` // 32 bytes
}

// Capacity says when no more captures are admitted. Those that run go on.
type Capacity struct {
	CPU         float64 `yaml:"cpu"`         // load of the processors, 0 to 1; 0 is no limit
	MaxStreams  int     `yaml:"maxStreams"`  // captured at once; 0 is no limit
	MaxCaptures int     `yaml:"maxCaptures"` // running at once; 0 is no limit
}

// TLS names the files of a certificate. They may be replaced while the daemon
// runs.
type TLS struct {
	CertFile string `yaml:"certFile"` // PEM, the chain
	KeyFile  string `yaml:"keyFile"`  // PEM
}

// Limits bound what clients may use up. None can be switched off.
type Limits struct {
	Connections int `yaml:"connections"` // of HTTP, WebSockets included
	Sockets     int `yaml:"sockets"`     // WebSockets of the room service
	Rooms       int `yaml:"rooms"`       // open at once in the room service
	Sessions    int `yaml:"sessions"`    // of browsers that are logged in to the pages
}

// Debug opens the process to who looks into it.
type Debug struct {
	Listen string `yaml:"listen"` // address of pprof, without any key; empty: none
}

// Timestamp names an authority that says when a recording was sealed (RFC
// 3161).
type Timestamp struct {
	URL string `yaml:"url"`
	CA  string `yaml:"ca"` // PEM file of the roots that its certificate must come from
}

// Log says what is logged, and how.
type Log struct {
	Level  string `yaml:"level"`  // debug, info, warn, error
	Format string `yaml:"format"` // text, json
}

// Storage is a bucket for recordings.
type Storage struct {
	Type      string `yaml:"type"`     // s3
	Endpoint  string `yaml:"endpoint"` // URL
	Region    string `yaml:"region"`
	Bucket    string `yaml:"bucket"`
	Prefix    string `yaml:"prefix"` // of every key
	AccessKey string `yaml:"accessKey"`
	SecretKey string `yaml:"secretKey"`
	PathStyle bool   `yaml:"pathStyle"`

	// Backup is the storage that also gets what this one could not be given
	// for BackupAfter. Copies is how many storages must have verified a file
	// before it leaves the spool: this one, its backup, that one's backup, …
	Backup      string        `yaml:"backup"`
	BackupAfter time.Duration `yaml:"backupAfter"` // 0 is DefaultBackupAfter
	Copies      int           `yaml:"copies"`      // 0 is 1
}

// DefaultBackupAfter is how long a storage may be away before its backup gets
// the files.
const DefaultBackupAfter = 10 * time.Minute

// LocalStorage is the storage that always exists.
const LocalStorage = "local"

// Default is the configuration of a daemon that was told nothing.
func Default() Config {
	return Config{
		Listen:   "127.0.0.1:8080",
		UDP:      ":8443",
		Data:     "./mixdown-data",
		Log:      Log{Level: "info", Format: "text"},
		Events:   Events{Keep: 168 * time.Hour, MaxMiB: 1024},
		Limits:   Limits{Connections: 20000, Sockets: 10000, Rooms: 10000, Sessions: 10000},
		Capacity: Capacity{CPU: 0.85, MaxCaptures: 5000},
		Network:  Network{Allow: []string{}},

		Encryption: Encryption{Recipients: []string{}},
	}
}

// Load reads the configuration: defaults, then file (none if empty), then the
// environment as os.Environ gives it.
func Load(file string, environ []string) (Config, error) {
	c := Default()
	if file != "" {
		data, err := os.ReadFile(file)
		if err != nil {
			return c, fmt.Errorf("configuration: %w", err)
		}
		if err := decode(data, &c); err != nil {
			return c, fmt.Errorf("configuration %s: %w", file, err)
		}
	}
	if err := fromEnvironment(environ, &c); err != nil {
		return c, fmt.Errorf("environment: %w", err)
	}
	return c, nil
}

var storageName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// Validate says everything that is wrong with the configuration, by key.
func (c Config) Validate() error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
	}
	for key, addr := range map[string]string{"listen": c.Listen, "udp": c.UDP} {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			bad(key, "%q is not host:port", addr)
		}
	}
	if host, _, err := net.SplitHostPort(c.Debug.Listen); c.Debug.Listen != "" {
		if ip := net.ParseIP(host); err != nil || (ip == nil && host != "localhost") || ip != nil && !ip.IsLoopback() {
			bad("debug.listen", "%q is not an address of loopback: profiles tell everything and ask for no key", c.Debug.Listen)
		}
	}
	if c.Data == "" {
		bad("data", "needs a folder")
	}
	if c.App.Secret != "" && len(c.App.Secret) != 32 {
		bad("app.secret", "needs 32 bytes, has %d", len(c.App.Secret))
	}
	if (c.App.ID == 0) != (c.App.Secret == "") {
		bad("app", "id and secret go together")
	}
	for key, n := range map[string]int{"connections": c.Limits.Connections, "sockets": c.Limits.Sockets, "rooms": c.Limits.Rooms, "sessions": c.Limits.Sessions} {
		if n < 1 {
			bad("limits."+key, "must be at least 1, is %d", n)
		}
	}
	if c.Capacity.CPU < 0 || c.Capacity.CPU > 1 {
		bad("capacity.cpu", "%v is not between 0 and 1", c.Capacity.CPU)
	}
	if c.Capacity.MaxStreams < 0 || c.Capacity.MaxCaptures < 0 {
		bad("capacity", "maxStreams and maxCaptures cannot be negative")
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		bad("tls", "certFile and keyFile go together")
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level) {
		bad("log.level", "%q is not one of debug, info, warn, error", c.Log.Level)
	}
	if c.Log.Format != "text" && c.Log.Format != "json" {
		bad("log.format", "%q is not one of text, json", c.Log.Format)
	}
	if u, err := url.Parse(c.Timestamp.URL); c.Timestamp.URL != "" && (err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https")) {
		bad("timestamp.url", "%q is not an http or https URL", c.Timestamp.URL)
	}
	for name, s := range c.Storages {
		key := "storages." + name
		if !storageName.MatchString(name) || name == LocalStorage {
			bad(key, "a storage's name needs 1 to 32 of a-z 0-9 - and is not local")
		}
		for _, problem := range s.problems() {
			bad(key+"."+problem[0], "%s", problem[1])
		}
		for _, problem := range c.backupProblems(name) {
			bad(key+"."+problem[0], "%s", problem[1])
		}
	}
	c.checkEvents(bad)
	c.checkLiveKit(bad)
	c.Retention.check(bad)
	return errors.Join(errs...)
}

// Backups are the backup of a storage, the backup of that one, and so on.
func (c Config) Backups(name string) (chain []string) {
	for next := c.Storages[name].Backup; next != "" && next != name && !slices.Contains(chain, next); next = c.Storages[next].Backup {
		chain = append(chain, next)
	}
	return chain
}

// Copies are the storages that get every file of a storage besides it.
func (c Config) Copies(name string) []string {
	chain := c.Backups(name)
	return chain[:min(max(c.Storages[name].Copies, 1)-1, len(chain))]
}

// backupProblems lists key and text of what is wrong with where a storage's
// files go else.
func (c Config) backupProblems(name string) (all [][2]string) {
	s := c.Storages[name]
	_, known := c.Storages[s.Backup]
	switch {
	case s.Backup == name:
		all = append(all, [2]string{"backup", "is the storage itself"})
	case s.Backup != "" && !known && s.Backup != LocalStorage:
		all = append(all, [2]string{"backup", fmt.Sprintf("%q is not one of the storages", s.Backup)})
	case slices.Contains(c.Backups(s.Backup), name):
		all = append(all, [2]string{"backup", "goes round in a circle"})
	}
	if s.BackupAfter < 0 {
		all = append(all, [2]string{"backupAfter", "must not be negative"})
	}
	if most := 1 + len(c.Backups(name)); s.Copies < 0 || s.Copies > most {
		all = append(all, [2]string{"copies", fmt.Sprintf("must be 1 to %d: the storage and its backups", most)})
	}
	return all
}

// problems lists key and text of what is wrong.
func (s Storage) problems() (all [][2]string) {
	if s.Type != "s3" {
		all = append(all, [2]string{"type", fmt.Sprintf("%q is not known; known is s3", s.Type)})
	}
	if u, err := url.Parse(s.Endpoint); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		all = append(all, [2]string{"endpoint", fmt.Sprintf("%q is not an http or https URL", s.Endpoint)})
	}
	for key, v := range map[string]string{"bucket": s.Bucket, "accessKey": s.AccessKey, "secretKey": s.SecretKey} {
		if strings.TrimSpace(v) == "" {
			all = append(all, [2]string{key, "is not set"})
		}
	}
	slices.SortFunc(all, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return all
}
