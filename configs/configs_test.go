package configs_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"mixdown/configs"
)

// TestExample holds the example to the struct: it decodes strictly, names
// every key, and shows the defaults.
func TestExample(t *testing.T) {
	c, err := configs.Load("mixdown.example.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Errorf("the example is not valid: %v", err)
	}
	if len(c.Storages) != 1 {
		t.Errorf("the example has %d storages, want 1", len(c.Storages))
	}
	if len(c.Webhooks) != 1 {
		t.Errorf("the example has %d webhooks, want 1", len(c.Webhooks))
	}
	if len(c.Retention.Classes) != 2 {
		t.Errorf("the example has %d retention classes, want 2", len(c.Retention.Classes))
	}
	if len(c.LiveKit) != 1 {
		t.Errorf("the example has %d LiveKit servers, want 1", len(c.LiveKit))
	}
	c.Storages, c.Webhooks, c.LiveKit, c.Retention.Classes = nil, nil, nil, nil
	if want := configs.Default(); !reflect.DeepEqual(c, want) {
		t.Errorf("the example says %+v, the defaults are %+v", c, want)
	}
	text, err := os.ReadFile("mixdown.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range []reflect.Type{reflect.TypeFor[configs.Config](), reflect.TypeFor[configs.App](), reflect.TypeFor[configs.Encryption](), reflect.TypeFor[configs.Log](), reflect.TypeFor[configs.Storage](),
		reflect.TypeFor[configs.Events](), reflect.TypeFor[configs.Webhook](), reflect.TypeFor[configs.Retention](), reflect.TypeFor[configs.RetentionClass](), reflect.TypeFor[configs.Network]()} {
		for i := range typ.NumField() {
			if key := typ.Field(i).Tag.Get("yaml"); !strings.Contains(string(text), key+":") {
				t.Errorf("the example does not show %s of %s", key, typ.Name())
			}
		}
	}
}

func TestOrder(t *testing.T) {
	file := write(t, "listen: 127.0.0.1:1\nlog: {level: warn}\nstorages: {a: {type: s3, bucket: x}}\n")
	c, err := configs.Load(file, []string{
		"MIXDOWN_LOG_LEVEL=debug", "MIXDOWN_APP_ID=7", "MIXDOWN_STORAGES_A_SECRET_KEY=s", "MIXDOWN_STORAGES_COLD_STORE_PATH_STYLE=true",
		"MIXDOWN_STORAGES_A_BACKUP_AFTER=90s", "MIXDOWN_STORAGES_A_COPIES=2",
		"MIXDOWN_WEBHOOKS_OPS_ROOM_SECRET=whsec_x", "MIXDOWN_WEBHOOKS_OPS_ROOM_EVENTS=capture.*, segment.sealed", "MIXDOWN_NETWORK_ALLOW=10.0.0.0/8",
		"MIXDOWN_TOOLS=/nowhere", "PATH=/bin",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := configs.Default()
	want.Listen, want.Log.Level, want.App.ID = "127.0.0.1:1", "debug", 7
	want.Storages = map[string]configs.Storage{
		"a":          {Type: "s3", Bucket: "x", SecretKey: "s", BackupAfter: 90 * time.Second, Copies: 2},
		"cold-store": {PathStyle: true},
	}
	want.Webhooks = map[string]configs.Webhook{"ops-room": {Secret: "whsec_x", Events: []string{"capture.*", "segment.sealed"}}}
	want.Network.Allow = []string{"10.0.0.0/8"}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v, want %+v", c, want)
	}
}

func TestErrorsNameKeyAndNearest(t *testing.T) {
	for _, tt := range []struct{ yaml, env, want string }{
		{yaml: "lissen: x", want: "line 1: there is no key lissen; did you mean listen?"},
		{yaml: "log:\n  levle: x", want: "line 2: there is no key log.levle; did you mean log.level?"},
		{yaml: "storages: {a: {buckt: x}}", want: "no key storages.a.buckt; did you mean storages.a.bucket?"},
		{yaml: "listen: [", want: "yaml"},
		{env: "MIXDOWN_LISTN=x", want: "MIXDOWN_LISTN is not known; did you mean MIXDOWN_LISTEN?"},
		{env: "MIXDOWN_APP_ID=many", want: `"many" is not a number`},
		{env: "MIXDOWN_STORAGES_A_PATHSTYLE=x", want: "an entry of storages has the keys"},
	} {
		_, err := configs.Load(write(t, tt.yaml), []string{tt.env})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("yaml %q, environment %q: got %v, want %q", tt.yaml, tt.env, err, tt.want)
		}
	}
}

func TestValidateNamesEveryProblem(t *testing.T) {
	c := configs.Default()
	c.Listen, c.App.Secret, c.Log.Level = "8080", "short", "loud"
	c.Storages = map[string]configs.Storage{"local": {Type: "ftp"}}
	c.Events.Keep, c.Network.Allow = 1, []string{"lan"}
	c.Webhooks = map[string]configs.Webhook{"x": {URL: "file:///x", Secret: "whsec_dG9vIHNob3J0"}}
	c.Retention = configs.Retention{Default: "none", Classes: map[string]configs.RetentionClass{"A b": {Days: 0, Lock: "hard"}, "worm": {Days: 1, Lock: "compliance", Early: true}}}
	err := c.Validate()
	for _, want := range []string{"retention.default:", "retention.classes.A b:", "retention.classes.A b.days:", "retention.classes.A b.lock:", "retention.classes.worm.early:", "events.keep:", "network.allow[0]:", "webhooks.x.url:", "webhooks.x.secret:", "listen:", "app.secret:", "app:", "log.level:", "storages.local:", "storages.local.type:", "storages.local.bucket:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate() = %v, want a word on %s", err, want)
		}
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "mixdown.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestBackups: where a storage's files go else, and what cannot be.
func TestBackups(t *testing.T) {
	s3 := configs.Storage{Type: "s3", Endpoint: "http://h", Bucket: "b", AccessKey: "a", SecretKey: "s"}
	with := func(backup string, copies int) configs.Storage {
		s := s3
		s.Backup, s.Copies = backup, copies
		return s
	}
	c := configs.Default()
	c.Storages = map[string]configs.Storage{"a": with("b", 2), "b": with("c", 3), "c": with("local", 0), "d": with("", 1)}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][2]string{
		"a": {"b c local", "b"}, "b": {"c local", "c local"}, "c": {"local", ""}, "d": {"", ""}, "local": {"", ""},
	} {
		if got := strings.Join(c.Backups(name), " "); got != want[0] {
			t.Errorf("backups of %s: %q", name, got)
		}
		if got := strings.Join(c.Copies(name), " "); got != want[1] {
			t.Errorf("copies of %s: %q", name, got)
		}
	}
	for want, storages := range map[string]map[string]configs.Storage{
		"a.backup: is the storage itself":   {"a": with("a", 1)},
		`a.backup: "z" is not one of`:       {"a": with("z", 1)},
		"a.backup: goes round in a circle":  {"a": with("b", 1), "b": with("c", 1), "c": with("a", 1)},
		"a.copies: must be 1 to 2":          {"a": with("local", 3)},
		"d.copies: must be 1 to 1":          {"d": with("", 2)},
		"a.backupAfter: must not be negati": {"a": {BackupAfter: -1}},
	} {
		c.Storages = storages
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
}
