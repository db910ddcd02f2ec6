package main

import (
	"os"
	"path/filepath"
	"testing"

	"mixdown/configs"
)

// TestVerifyTouchesNothing: who only looks at a recording removes nothing that
// lies beside it.
func TestVerifyTouchesNothing(t *testing.T) {
	home := t.TempDir()
	note := filepath.Join(home, ".tmp", "mine", "note")
	must(t, os.MkdirAll(filepath.Dir(note), 0o700))
	must(t, os.WriteFile(note, []byte("x"), 0o600))
	must(t, os.Mkdir(filepath.Join(home, "call"), 0o700))
	c, err := configs.Load("", nil)
	must(t, err)
	_, _, name, err := (&verifyCommand{Recording: filepath.Join(home, "call")}).open(c, process{})
	must(t, err)
	if _, err := os.Stat(note); err != nil {
		t.Errorf("to open a recording removed a file beside it: %v", err)
	}
	if name != "" {
		t.Errorf("a copy is taken for storage %s", name)
	}
}

// TestStorageAt: of several storages in one bucket the one is meant below whose
// prefix the recording is.
func TestStorageAt(t *testing.T) {
	c, err := configs.Load("", nil)
	must(t, err)
	c.Storages = map[string]configs.Storage{}
	for name, prefix := range map[string]string{"a": "", "archive": "main/", "second": "backup", "third": "main/old"} {
		c.Storages[name] = configs.Storage{Endpoint: "http://127.0.0.1:1", Bucket: "b", AccessKey: "a", SecretKey: "s", Prefix: prefix}
	}
	only := c
	only.Storages = map[string]configs.Storage{"archive": c.Storages["archive"]}
	_, _, name, err := (&verifyCommand{Recording: "s3://b/elsewhere/room/call"}).open(only, process{})
	must(t, err)
	if name != "" {
		t.Errorf("what lies beside a storage's prefix is taken for storage %s", name)
	}
	for recording, want := range map[string]string{
		"main/room/call": "archive", "backup/room/call": "second", "main/old/room/call": "third", "room/call": "a", "mainly/room/call": "a",
	} {
		for range 20 {
			_, _, name, err := (&verifyCommand{Recording: "s3://b/" + recording}).open(c, process{})
			must(t, err)
			if name != want {
				t.Fatalf("%s is looked for in storage %q, not %q", recording, name, want)
			}
		}
	}
}
