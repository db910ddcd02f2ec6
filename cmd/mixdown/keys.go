package main

import (
	"fmt"
	"os"
	"path/filepath"

	"mixdown/configs"
	"mixdown/storage"
)

// keysCommand is mixdown keys.
type keysCommand struct {
	Rotate bool   `help:"Make a new key first. What the old ones signed still verifies; a running daemon signs with the new one at once."`
	Data   string `help:"Data folder." placeholder:"DIR"`
	Config string `help:"Configuration file, for the data folder." env:"MIXDOWN_CONFIG" placeholder:"FILE"`
}

// Run prints the public keys, the present one first: a file that mixdown
// verify --public-key takes.
func (k *keysCommand) Run(p process) error {
	c, err := configs.Load(k.Config, p.environ)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	if k.Data != "" {
		c.Data = k.Data
	}
	if _, err := os.Stat(c.Data); err != nil {
		return &exitError{exitUsage, fmt.Errorf("keys: %s is no data folder (--data): %w", c.Data, err)}
	}
	load := storage.LoadOrCreateKey
	if k.Rotate {
		load = storage.RotateKey
	}
	key, err := load(filepath.Join(c.Data, "keys"))
	if err != nil {
		return err
	}
	for _, public := range key.PublicKeys() {
		fmt.Fprintln(p.stdout, public)
	}
	return nil
}
