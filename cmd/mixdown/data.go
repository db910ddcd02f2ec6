package main

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"mixdown/configs"
	"mixdown/storage"
)

const addressesName = "addresses.json"

// addresses is <data>/addresses.json: where a running daemon can be reached.
type addresses struct {
	HTTP  string `json:"http"`
	HTTPS string `json:"https,omitempty"` // where people come in, if there is a certificate
	UDP   string `json:"udp"`
}

// apiKey is the configured key, or the one kept in the data folder; the first
// start makes it.
func apiKey(c configs.Config) (string, error) {
	if c.APIKey != "" {
		return c.APIKey, nil
	}
	file := filepath.Join(c.Data, "api-key")
	b, err := os.ReadFile(file)
	if err == nil {
		return strings.TrimSpace(string(b)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the API key: %w", err)
	}
	key := rand.Text()
	if err := storage.WriteFile(file, []byte(key+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("keep the API key: %w", err)
	}
	return key, nil
}

// appIdentity is the configured app, or the one kept in the data folder; the
// first start makes it.
func appIdentity(c configs.Config) (configs.App, error) {
	if c.App.ID != 0 {
		return c.App, nil
	}
	file := filepath.Join(c.Data, "app.json")
	b, err := os.ReadFile(file)
	if err == nil {
		var kept struct {
			AppID  uint32 `json:"appID"`
			Secret string `json:"secret"`
		}
		if err := json.Unmarshal(b, &kept); err != nil || kept.AppID == 0 || len(kept.Secret) != 32 {
			return configs.App{}, fmt.Errorf("%s is damaged: it needs appID and a secret of 32 bytes; remove it to get a new one", file)
		}
		return configs.App{ID: kept.AppID, Secret: kept.Secret}, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return configs.App{}, fmt.Errorf("read the app's identity: %w", err)
	}
	var random [20]byte
	if _, err := rand.Read(random[:]); err != nil {
		return configs.App{}, err
	}
	app := configs.App{ID: binary.BigEndian.Uint32(random[:])>>1 | 1, Secret: hex.EncodeToString(random[4:])}
	b, err = json.Marshal(map[string]any{"appID": app.ID, "secret": app.Secret})
	if err != nil {
		return app, err
	}
	if err := storage.WriteFile(file, append(b, '\n'), 0o600); err != nil {
		return app, fmt.Errorf("keep the app's identity: %w", err)
	}
	return app, nil
}
