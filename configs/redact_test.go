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
