package main

import (
	"fmt"
	"path/filepath"

	"mixdown/capture"
	"mixdown/configs"
	"mixdown/storage/crypt"
)

// encryption is to whom recordings are encrypted. A key that is none stops the
// start: what was to be encrypted must not be recorded in the clear.
func encryption(c configs.Config) (capture.Encryption, error) {
	to, err := crypt.ParseRecipients(c.Encryption.Recipients)
	if err != nil {
		return capture.Encryption{}, fmt.Errorf("encryption.recipients: %w", err)
	}
	file := c.Encryption.HostKey
	if file == "" {
		file = filepath.Join(c.Data, "keys", "host.key")
	}
	return capture.Encryption{Recipients: to.Strings(), Required: c.Encryption.Required, Host: crypt.NewHost(file)}, nil
}
