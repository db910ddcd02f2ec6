package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// remote is how a command finds a running daemon.
type remote struct {
	Server string `help:"URL of the daemon; default: the one that uses the data folder." env:"MIXDOWN_SERVER" placeholder:"URL"`
	Key    string `help:"API key; default: the data folder's. Prefer MIXDOWN_KEY: arguments can be seen by others." env:"MIXDOWN_KEY" placeholder:"KEY"`
	Data   string `help:"Data folder of the daemon." env:"MIXDOWN_DATA" default:"./mixdown-data" placeholder:"DIR"`
}

// client calls the REST API.
type client struct {
	url, key string
	http     *http.Client
}

// connect finds the daemon.
func (r remote) connect(p process) (*client, error) {
	c := &client{url: strings.TrimSuffix(r.Server, "/"), key: r.Key, http: http.DefaultClient}
	if c.url == "" {
		b, err := os.ReadFile(filepath.Join(r.Data, addressesName))
		if err != nil {
			return nil, fmt.Errorf("no daemon uses %s; start one with: mixdown serve --data %s; or give --server", r.Data, r.Data)
		}
		var a addresses
		if err := json.Unmarshal(b, &a); err != nil {
			return nil, fmt.Errorf("%s/addresses.json: %w", r.Data, err)
		}
		c.url = a.HTTP
	}
	if c.key == "" {
		c.key = p.environment("MIXDOWN_API_KEY")
	}
	if c.key == "" {
		b, err := os.ReadFile(filepath.Join(r.Data, "api-key"))
		if err != nil {
			return nil, fmt.Errorf("no API key: give MIXDOWN_KEY, or --data with the daemon's folder: %w", err)
		}
		c.key = strings.TrimSpace(string(b))
	}
	return c, nil
}

// call sends in as JSON and decodes the answer into out; either may be nil.
func (c *client) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	resp, err := c.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

// send makes a request; an answer that is an error becomes one.
func (c *client) send(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("the daemon at %s does not answer: %w", c.url, err)
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	var p struct {
		Detail string `json:"detail"`
		Errors []struct{ Field, Message string }
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&p); err != nil || p.Detail == "" {
		return nil, fmt.Errorf("%s %s: %s", method, path, resp.Status)
	}
	for _, f := range p.Errors {
		p.Detail += "\n  " + f.Field + ": " + f.Message
	}
	return nil, errors.New(p.Detail)
}
