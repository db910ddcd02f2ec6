package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"mixdown/access"
	"mixdown/api"
	"mixdown/audit"
	"mixdown/capacity"
	"mixdown/capture"
	"mixdown/completeness"
	"mixdown/configs"
	"mixdown/events"
	"mixdown/events/webhook"
	"mixdown/joiner/whep"
	"mixdown/netguard"
	"mixdown/retention"
	"mixdown/rooms"
	"mixdown/rooms/peer"
	"mixdown/rooms/sfu"
	"mixdown/rooms/udp"
	"mixdown/rules"
	"mixdown/storage"
	"mixdown/web"
)

// uploadGrace is what uploads still get when the daemon stops; the rest waits
// in the spool.
const uploadGrace = 5 * time.Second

// requestGrace is what requests still get after that.
const requestGrace = 2 * time.Second

// daemon is every part of a running Mixdown, in the order in which they
// start. They stop in the opposite order: the audio flows out first.
type daemon struct {
	config configs.Config
	log    *slog.Logger
	key    string

	media    *udp.Conn // of the rooms
	sfu      *sfu.Server
	rooms    *rooms.Service
	sockets  *udp.Group // of the recorder
	engine   *peer.Engine
	asking   *peer.Engine    // for LiveKit
	guard    *netguard.Guard // of all that others choose the addresses of
	whep     *whep.System
	spool    *storage.Spool
	buckets  map[string]storage.Bucket
	signing  *storage.Key
	uploader *storage.Uploader
	space    *storage.Space
	events   events.Publisher
	eventLog *events.Log
	webhooks *webhook.Sender
	audit    *audit.Log
	captures *capture.Manager
	keeper   *retention.Keeper
	capacity *capacity.Meter
	rules    *rules.Engine
	history  *completeness.History
	listener net.Listener // what the configuration names
	inner    net.Listener // for this machine's own use; the same without TLS
	http     *http.Server
	closers  []func() error
	ending   atomic.Bool // it was told to stop
}

// newDaemon opens everything a daemon needs. On error nothing stays open.
func newDaemon(c configs.Config, log *slog.Logger) (d *daemon, err error) {
	d = &daemon{config: c, log: log, events: events.Discard}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return d, fmt.Errorf("data folder: %w", err)
	}
	if d.key, err = apiKey(c); err != nil {
		return d, err
	}
	if err := d.openListeners(); err != nil {
		return d, err
	}
	if err := d.openDebug(); err != nil {
		return d, err
	}
	if err := d.openRooms(); err != nil {
		return d, err
	}
	return d, d.openCaptures()
}

func (d *daemon) onClose(f func() error) { d.closers = append(d.closers, f) }

// close closes what newDaemon opened, last first.
func (d *daemon) close() error {
	var errs []error
	for i := len(d.closers) - 1; i >= 0; i-- {
		errs = append(errs, d.closers[i]())
	}
	d.closers = nil
	return errors.Join(errs...)
}

// openRooms opens the embedded room service and the recorder's way into it.
func (d *daemon) openRooms() (err error) {
	app, err := appIdentity(d.config)
	if err != nil {
		return err
	}
	if d.media, err = udp.Listen(d.config.UDP); err != nil {
		return fmt.Errorf("listen for media (udp): %w", err)
	}
	d.onClose(d.media.Close)
	if d.sfu, err = sfu.New(sfu.Config{Conn: d.media, Log: d.log}); err != nil {
		return fmt.Errorf("room service: %w", err)
	}
	d.onClose(d.sfu.Close)
	if d.rooms, err = rooms.New(rooms.Config{AppID: app.ID, Secret: app.Secret, Media: d.sfu, Watch: d.watch, Log: d.log,
		MaxConnections: d.config.Limits.Sockets, MaxRooms: d.config.Limits.Rooms,
	}); err != nil {
		return err
	}
	if d.sockets, err = udp.NewGroup(); err != nil {
		return fmt.Errorf("recorder: %w", err)
	}
	d.onClose(d.sockets.Close)
	d.engine, err = peer.New(peer.Config{Sockets: d.sockets, Log: d.log, SenderReports: true})
	if err != nil {
		return fmt.Errorf("recorder: %w", err)
	}
	d.onClose(d.engine.Close)
	return nil
}

// openCaptures opens the storages, the spool and the captures.
func (d *daemon) openCaptures() (err error) {
	if d.spool, err = storage.OpenSpool(filepath.Join(d.config.Data, "spool"), d.log); err != nil {
		return err
	}
	d.onClose(d.spool.Close)
	// The folder is ours now; where a daemon was that was killed is no news.
	if err := os.Remove(filepath.Join(d.config.Data, addressesName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("tell the addresses: %w", err)
	}
	if err := d.openElsewhere(); err != nil {
		return err
	}
	if err := d.openEvents(); err != nil {
		return err
	}
	buckets, browsers, err := d.openStorages()
	if err != nil {
		return err
	}
	d.openUploader(buckets)
	d.buckets = buckets
	key, err := storage.LoadOrCreateKey(filepath.Join(d.config.Data, "keys"))
	if err != nil {
		return err
	}
	d.signing = key
	to, err := encryption(d.config)
	if err != nil {
		return err
	}
	if err := d.openAudit(key); err != nil {
		return err
	}
	names := []string{}
	for name := range buckets {
		names = append(names, name)
	}
	d.openCapacity()
	stamp, checkStamp, err := authority(d.config.Timestamp)
	if err != nil {
		return err
	}
	d.captures, err = capture.NewManager(capture.Config{
		Dir:        filepath.Join(d.config.Data, "captures"),
		Spool:      d.spool,
		Storages:   names,
		Elsewhere:  d.elsewhere(),
		Systems:    d.systems(),
		Push:       d.whep,
		CheckURL:   d.guard.CheckURL,
		URL:        d.roomURL,
		Token:      d.recorderToken,
		Key:        key,
		Stamp:      stamp,
		Encryption: to,
		Admit:      d.admit,
		Retain:     d.retain,
		Try:        try(buckets),
		Local:      d.uploader.Drain,
		Away:       d.uploader.Away,
		Space:      d.space.Level,
		Audience:   d.sockets.Audience,
		Events:     reconsidering{d.events, d},
		Log:        d.log,
	})
	if err != nil {
		return err
	}
	if err := d.openRetention(buckets, key); err != nil {
		return err
	}
	if err := d.openRules(); err != nil {
		return err
	}
	return d.openHTTP(browsers, checkStamp)
}

// openHTTP makes the server of everything that HTTP serves.
func (d *daemon) openHTTP(browsers map[string]storage.Browser, checkStamp stampCheck) error {
	keys, err := access.Open(filepath.Join(d.config.Data, "api-keys.json"), d.key)
	if err != nil {
		return err
	}
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	rest := api.New(api.Config{
		Captures:   d.captures,
		Rooms:      d.rooms,
		Rules:      d.rules,
		History:    d.history,
		Capacity:   d.capacity,
		Events:     d.eventLog,
		Webhooks:   d.webhooks,
		Retention:  d.keeper,
		Audit:      d.audit,
		Recordings: browsers,
		Erase:      d.erase,
		Probe:      probe,
		PublicKeys: d.signing.PublicKeys,
		TimeStamp:  checkStamp,
		Uploads:    d.uploader.Stats,
		Pending:    d.spool.Pending,
		Aside:      d.spool.Aside,
		Space:      d.space.Stats,
		Metrics:    metrics,
		Ready:      d.ready,
		Keys:       keys,
		Sessions:   d.config.Limits.Sessions,
		Secure:     d.config.TLS != (configs.TLS{}),
		Version:    version,
		Log:        d.log,
	})
	d.http = &http.Server{
		Handler:           d.handler(rest),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(d.log.Handler(), slog.LevelDebug),
	}
	return nil
}

// handler mounts what HTTP serves.
func (d *daemon) handler(rest http.Handler) http.Handler {
	mux := http.NewServeMux()
	room := d.rooms.Handler()
	for _, p := range []string{"/ws", "/whip/", "/whep/"} {
		mux.Handle(p, room)
	}
	for _, p := range []string{"/v1", "/v1/", "/docs", "/openapi.json", "/openapi.yaml", "/schemas/", "/healthz", "/readyz", "/metrics"} {
		mux.Handle(p, rest)
	}
	mux.Handle("/hooks/livekit", d.liveKitHook())
	mux.Handle("/", web.Handler())
	return mux
}

// run serves until ctx ends, then lets the audio flow out: captures, uploads,
// HTTP, rooms.
func (d *daemon) run(ctx context.Context, ready func(addresses)) error {
	a := d.where()
	if err := d.announce(a); err != nil { // the listener queues what comes from now on
		return errors.Join(err, d.close())
	}
	base := context.WithoutCancel(ctx)
	upCtx, stopUploads := context.WithCancel(base)
	roomCtx, stopRooms := context.WithCancel(base)
	defer stopUploads()
	defer stopRooms()

	stopEvents := d.runEvents(base)
	defer stopEvents()
	var uploads, service sync.WaitGroup
	uploads.Go(func() { _ = d.uploader.Run(upCtx) }) // ends with its context only
	uploads.Go(func() { _ = d.space.Run(upCtx) })    // likewise
	service.Go(func() { _ = d.rooms.Run(roomCtx) })  // likewise
	failed := make(chan error, 2)
	for _, l := range d.listeners() {
		service.Go(func() {
			if err := d.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serve HTTP: %w", err)
			}
		})
	}
	ready(a)

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() { // ends with ctx
		select {
		case err := <-failed:
			cancel(err)
		case <-ctx.Done():
		}
		d.ending.Store(true)
	}()
	service.Go(func() { _ = d.rules.Run(ctx) })     // likewise
	service.Go(func() { _ = d.keeper.Run(ctx) })    // likewise
	service.Go(func() { _ = d.audit.Run(roomCtx) }) // likewise
	service.Go(func() { d.keepHistory(roomCtx) })
	service.Go(func() { d.capacity.Run(ctx) })
	_ = d.captures.Run(ctx) // returns the context's cause
	cause := context.Cause(ctx)

	grace, stop := context.WithTimeout(base, uploadGrace)
	defer stop()
	_ = d.uploader.Drain(grace, "") // what does not arrive now waits in the spool
	stopUploads()
	uploads.Wait()
	stopRooms()
	stopEvents() // whoever follows them has the last now
	err := d.stopHTTP(base)
	service.Wait()
	if errors.Is(cause, context.Canceled) {
		cause = nil
	}
	return errors.Join(cause, err, d.close())
}

// stopHTTP lets requests end, but not for long.
func (d *daemon) stopHTTP(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestGrace)
	defer cancel()
	// Commands must not send the key to whoever has the port next.
	err := os.Remove(filepath.Join(d.config.Data, addressesName))
	if d.http.Shutdown(ctx) != nil {
		err = errors.Join(err, d.http.Close())
	}
	return err
}

// announce tells where the daemon is, in the log and to commands on the same
// machine.
func (d *daemon) announce(a addresses) error {
	d.log.Info("listening", "http", a.site(), "udp", a.UDP)
	b, err := json.Marshal(a)
	if err != nil {
		return err
	}
	if err := storage.WriteFile(filepath.Join(d.config.Data, addressesName), append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("tell the addresses: %w", err)
	}
	return nil
}

// loopback is an address by which this machine reaches a listener.
func loopback(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
