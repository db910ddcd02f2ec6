package configs_test

import (
	"strings"
	"testing"

	"mixdown/configs"
)

func TestRedacted(t *testing.T) {
	c := configs.Default()
	c.APIKey, c.App.Secret = "planted-1", "planted-2"
	c.Storages = map[string]configs.Storage{"archive": {
		Endpoint: "https://user:planted-3@s3.example.org", Bucket: "kept", AccessKey: "planted-4", SecretKey: "planted-5",
	}}
	c.Webhooks = map[string]configs.Webhook{"crm": {URL: "https://example.org/hook", Secret: "planted-6"}}
	out, err := c.Redacted()
	if err != nil {
		t.Fatal(err)
	}
	if text := string(out); strings.Contains(text, "planted") || !strings.Contains(text, "kept") || !strings.Contains(text, "example.org/hook") {
		t.Errorf("redacted:\n%s", text)
	}
}

// TestEveryKeyHasAVariable: whatever type a key has, the environment can set
// it.
func TestEveryKeyHasAVariable(t *testing.T) {
	c, err := configs.Load("", []string{
		"MIXDOWN_CAPACITY_CPU=0.5", "MIXDOWN_CAPACITY_MAX_STREAMS=7", "MIXDOWN_LIMITS_ROOMS=9", "MIXDOWN_TLS_CERT_FILE=c.pem", "MIXDOWN_DEBUG_LISTEN=127.0.0.1:6060",
	})
	if err != nil || c.Capacity.CPU != 0.5 || c.Capacity.MaxStreams != 7 || c.Limits.Rooms != 9 || c.TLS.CertFile != "c.pem" || c.Debug.Listen != "127.0.0.1:6060" {
		t.Errorf("%+v %v", c, err)
	}
	if _, err := configs.Load("", []string{"MIXDOWN_CAPACITY_CPU=half"}); err == nil {
		t.Error("half a processor")
	}
}
