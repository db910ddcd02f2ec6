package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/net/netutil"

	"mixdown/configs"
)

// certificateAge is how often the files are looked at, at most.
const certificateAge = 10 * time.Second

// certificate is the daemon's certificate; it follows its files, so that who
// renews it need not restart anything.
type certificate struct {
	files configs.TLS
	log   *slog.Logger

	mu     sync.Mutex
	pair   *tls.Certificate
	of     [2]time.Time // modification of the two files
	looked time.Time
}

func loadCertificate(files configs.TLS, log *slog.Logger) (*certificate, error) {
	c := &certificate{files: files, log: log}
	if err := c.load(); err != nil {
		return nil, fmt.Errorf("certificate (tls): %w", err)
	}
	return c, nil
}

// load reads the files if they changed. A new certificate and its key arrive
// one after the other: as long as they do not fit, the old pair stays.
func (c *certificate) load() error {
	c.looked = time.Now()
	var of [2]time.Time
	for i, name := range []string{c.files.CertFile, c.files.KeyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		of[i] = info.ModTime()
	}
	if c.pair != nil && of == c.of {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.files.CertFile, c.files.KeyFile)
	if err != nil {
		return err
	}
	c.pair, c.of = &pair, of
	return nil
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) >= certificateAge {
		before := c.pair
		if err := c.load(); err != nil {
			c.log.Error("the new certificate cannot be used, the old one stays", "err", err)
		} else if c.pair != before {
			c.log.Info("certificate loaded", "file", c.files.CertFile)
		}
	}
	return c.pair, nil
}

// openListeners opens HTTP. With a certificate the configured address speaks
// TLS, and this machine's own recorder and commands, whom no certificate names,
// get a plain listener on loopback beside it.
func (d *daemon) openListeners() (err error) {
	if d.listener, err = net.Listen("tcp", d.config.Listen); err != nil {
		return fmt.Errorf("listen for HTTP (listen): %w", err)
	}
	d.listener = netutil.LimitListener(d.listener, d.config.Limits.Connections)
	d.onClose(func() error { return ignoreClosed(d.listener.Close()) })
	if d.config.TLS == (configs.TLS{}) {
		d.inner = d.listener
		return nil
	}
	cert, err := loadCertificate(d.config.TLS, d.log)
	if err != nil {
		return err
	}
	d.listener = tls.NewListener(d.listener, &tls.Config{
		GetCertificate: cert.get, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
	})
	if d.inner, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return fmt.Errorf("listen on loopback: %w", err)
	}
	d.onClose(func() error { return ignoreClosed(d.inner.Close()) })
	return nil
}

// listeners are the sockets that HTTP is served on.
func (d *daemon) listeners() []net.Listener {
	if d.inner == d.listener {
		return []net.Listener{d.listener}
	}
	return []net.Listener{d.listener, d.inner}
}

// where are the addresses by which the daemon is reached.
func (d *daemon) where() addresses {
	a := addresses{HTTP: "http://" + loopback(d.inner.Addr()), UDP: loopback(d.media.LocalAddr())}
	if d.inner != d.listener {
		a.HTTPS = "https://" + loopback(d.listener.Addr())
	}
	return a
}

// site is the address that people open.
func (a addresses) site() string {
	if a.HTTPS != "" {
		return a.HTTPS
	}
	return a.HTTP
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
