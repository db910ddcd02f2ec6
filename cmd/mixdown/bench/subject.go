package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtp"

	"mixdown/capture"
	"mixdown/joiner"
	"mixdown/joiner/native"
	"mixdown/rooms/peer"
	"mixdown/rooms/udp"
	"mixdown/storage"
	"mixdown/storage/file"
)

// receiving is our receive path, as the daemon builds it.
type receiving struct {
	sockets *udp.Group
	engine  *peer.Engine
	system  joiner.System
	log     *slog.Logger
}

func newReceiving() (*receiving, error) {
	r := &receiving{log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))}
	var err error
	if r.sockets, err = udp.NewGroup(); err != nil {
		return nil, err
	}
	if r.engine, err = peer.New(peer.Config{Sockets: r.sockets, SenderReports: true, Log: r.log}); err != nil {
		return nil, errors.Join(err, r.sockets.Close())
	}
	r.system = native.New(native.Config{Engine: r.engine, Log: r.log})
	return r, nil
}

func (r *receiving) close() error { return errors.Join(r.engine.Close(), r.sockets.Close()) }

// listeners are participants that drop what they hear.
type listeners struct {
	*receiving
	cancel context.CancelFunc
	people sync.WaitGroup
	rooms  []*listening
	want   int64
}

func newListeners(ctx context.Context, url string, s scene) (*listeners, error) {
	r, err := newReceiving()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	l := &listeners{receiving: r, cancel: cancel, want: int64(s.streams)}
	for i := range s.rooms {
		room := &listening{}
		l.rooms = append(l.rooms, room)
		who := login(url, roomID(i), "recorder", true)
		l.people.Go(func() { _ = joiner.NewParticipant(r.system, who, room, nil, nil, r.log).Run(ctx) }) // ends with ctx
	}
	return l, nil
}

func (l *listeners) ready() bool {
	for _, r := range l.rooms {
		if r.heard.Load() < l.want {
			return false
		}
	}
	return true
}

func (l *listeners) latency() (p50, p99 int64) { return 0, 0 }

func (l *listeners) stop() error {
	l.cancel()
	l.people.Wait()
	return l.close()
}

func (l *listeners) packets() (n int64) {
	for _, r := range l.rooms {
		n += r.packets.Load()
	}
	return n
}

// listening is a room, how many of its streams are heard and how many packets.
type listening struct{ heard, packets atomic.Int64 }

// Event implements joiner.Room.
func (*listening) Event(joiner.Event) {}

// Stream implements joiner.Room.
func (l *listening) Stream(joiner.Stream) joiner.Receiver { return &dropping{room: l} }

// dropping drops the packets of a stream.
type dropping struct {
	room *listening
	once sync.Once
}

// Packet implements joiner.Receiver.
func (d *dropping) Packet(*rtp.Packet, uint8, time.Time) {
	d.once.Do(func() { d.room.heard.Add(1) })
	d.room.packets.Add(1)
}

// Report implements joiner.Receiver.
func (*dropping) Report(joiner.SenderReport, time.Time) {}

// captures are captures of all rooms, on a real disk.
type captures struct {
	*receiving
	dir      string
	spool    *storage.Spool
	local    *file.Bucket
	cancel   context.CancelFunc
	tasks    sync.WaitGroup
	captures []*capture.Capture
	want     int
}

func newCaptures(ctx context.Context, url string, s scene, k kind) (c *captures, err error) {
	r, err := newReceiving()
	if err != nil {
		return nil, err
	}
	if k.inside {
		r.system = inside{s.streams}
	}
	ctx, cancel := context.WithCancel(ctx)
	c = &captures{receiving: r, cancel: cancel, want: s.streams}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.stop())
		}
	}()
	if c.dir, err = os.MkdirTemp("", "mixdown-bench-"); err != nil {
		return nil, fmt.Errorf("make a folder for recordings: %w", err)
	}
	manager, uploader, err := c.open()
	if err != nil {
		return nil, err
	}
	c.tasks.Go(func() { _ = uploader.Run(ctx) }) // ends with ctx
	c.tasks.Go(func() { _ = manager.Run(ctx) })  // likewise
	for i := range s.rooms {
		spec := k.spec
		spec.Room = capture.RoomSpec{RoomID: roomID(i), URL: url}
		started, _, err := manager.Start("bench-"+fmt.Sprint(i), spec)
		if err != nil {
			return nil, err
		}
		c.captures = append(c.captures, started)
	}
	return c, nil
}

func (c *captures) open() (*capture.Manager, *storage.Uploader, error) {
	var err error
	if c.spool, err = storage.OpenSpool(filepath.Join(c.dir, "spool"), c.log); err != nil {
		return nil, nil, err
	}
	if c.local, err = file.Open(filepath.Join(c.dir, "recordings")); err != nil {
		return nil, nil, err
	}
	key, err := storage.LoadOrCreateKey(filepath.Join(c.dir, "keys"))
	if err != nil {
		return nil, nil, err
	}
	uploader := storage.NewUploader(c.spool, map[string]storage.Bucket{capture.LocalStorage: c.local}, storage.Options{Log: c.log})
	manager, err := capture.NewManager(capture.Config{
		Dir: filepath.Join(c.dir, "captures"), Spool: c.spool, Storages: []string{capture.LocalStorage},
		Systems: map[string]joiner.System{"mixdown": c.system}, URL: func(r capture.RoomSpec) (string, error) { return r.URL, nil },
		Token: func(_ string, l joiner.Login) (string, error) {
			return login(l.URL, l.RoomID, l.UserID, l.Hidden).Token()
		},
		Key: key, Local: uploader.Drain, Audience: c.sockets.Audience, Log: c.log,
	})
	return manager, uploader, err
}

func (c *captures) ready() bool {
	for _, one := range c.captures {
		streams := one.Status().Streams
		if len(streams) < c.want {
			return false
		}
		for _, s := range streams {
			if s.Quality["packets"] == 0 {
				return false
			}
		}
	}
	return true
}

func (c *captures) packets() (n int64) {
	for _, one := range c.captures {
		for _, s := range one.Status().Streams {
			n += int64(s.Quality["packets"])
		}
	}
	return n
}

func (c *captures) latency() (p50, p99 int64) {
	s := c.captures[0].Status().Live
	return s.LatencyP50MS, s.LatencyP99MS
}

func (c *captures) stop() error {
	c.cancel()
	c.tasks.Wait()
	var errs []error
	if c.spool != nil {
		errs = append(errs, c.spool.Close())
	}
	if c.local != nil {
		errs = append(errs, c.local.Close())
	}
	errs = append(errs, c.close())
	if c.dir != "" {
		errs = append(errs, os.RemoveAll(c.dir))
	}
	return errors.Join(errs...)
}
