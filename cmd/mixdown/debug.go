package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"time"
)

// openDebug serves profiles on an address of their own, if there is one. They
// are nobody's but the operator's, so nothing of them is on the public mux.
func (d *daemon) openDebug() error {
	if d.config.Debug.Listen == "" {
		return nil
	}
	l, err := net.Listen("tcp", d.config.Debug.Listen)
	if err != nil {
		return fmt.Errorf("listen for profiles (debug.listen): %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }() // until close
	d.onClose(func() error {
		err := s.Close()
		if served := <-served; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	})
	d.log.Info("profiles", "http", "http://"+l.Addr().String()+"/debug/pprof/")
	return nil
}
