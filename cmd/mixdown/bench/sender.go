package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"mixdown/joiner"
	"mixdown/joiner/native"
	"mixdown/rooms"
	"mixdown/rooms/peer"
	"mixdown/rooms/sfu"
	"mixdown/rooms/token"
	"mixdown/rooms/udp"
	"mixdown/speech"
)

// What both processes know of the embedded room service.
const (
	appID  = 1
	secret = "0123456789abcdef0123456789abcdef"
)

func roomID(i int) string { return "bench-" + strconv.Itoa(i) }

// login is a login to a room of the sending process.
func login(url, room, user string, hidden bool) joiner.Login {
	return joiner.Login{
		URL: url, RoomID: room, UserID: user, UserName: user, Hidden: hidden,
		Token: func() (string, error) {
			now := time.Now()
			return token.Make(secret, token.Claims{
				AppID: appID, UserID: user, RoomID: room, Login: true, Publish: true, Hidden: hidden,
				Created: now, Expires: now.Add(time.Hour),
			})
		},
	}
}

// sender is the sending process.
type sender struct {
	url   string
	cmd   *exec.Cmd
	stdin io.WriteCloser
}

// startSender starts the sending process and waits until everybody speaks.
func startSender(ctx context.Context, s scene) (*sender, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start the senders: %w", err)
	}
	cmd := exec.CommandContext(ctx, self, "-send", "-rooms", strconv.Itoa(s.rooms), "-streams", strconv.Itoa(s.streams))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start the senders: %w", err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start the senders: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the senders: %w", err)
	}
	url, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the senders: %w", err), stdin.Close(), cmd.Wait())
	}
	return &sender{url: strings.TrimSpace(url), cmd: cmd, stdin: stdin}, nil
}

// stop ends the sending process.
func (s *sender) stop() error {
	if err := errors.Join(s.stdin.Close(), s.cmd.Wait()); err != nil {
		return fmt.Errorf("stop the senders: %w", err)
	}
	return nil
}

// send is the sending process: it tells the URL of its rooms when everybody
// speaks, and ends when its standard input does.
func send(ctx context.Context, o options) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	media, err := udp.Listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	defer media.Close()
	server, err := sfu.New(sfu.Config{Conn: media, Log: log})
	if err != nil {
		return err
	}
	defer server.Close()
	service, err := rooms.New(rooms.Config{AppID: appID, Secret: secret, Media: server, MaxStreamsPerUser: o.streams + 1, Log: log})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer cancel()
	tasks.Go(func() { _ = service.Run(ctx) }) // ends with ctx
	web := &http.Server{Handler: service.Handler(), ReadHeaderTimeout: 10 * time.Second}
	tasks.Go(func() { _ = web.Serve(listener) }) // ends by Close
	defer web.Close()
	url := "ws://" + listener.Addr().String() + "/ws"
	if err := speak(ctx, url, o, log, func() { fmt.Println(url) }); err != nil {
		return err
	}
	return nil
}

// speak publishes the streams of all rooms until standard input ends. It calls
// ready when all of them are published.
func speak(ctx context.Context, url string, o options, log *slog.Logger, ready func()) error {
	sockets, err := udp.NewGroup()
	if err != nil {
		return err
	}
	defer sockets.Close()
	engine, err := peer.New(peer.Config{Sockets: sockets, SenderReports: true, Log: log})
	if err != nil {
		return err
	}
	defer engine.Close()
	speakers, err := newSpeakers(o.rooms * o.streams)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var people sync.WaitGroup
	defer people.Wait()
	defer cancel()
	system := native.New(native.Config{Engine: engine, Log: log})
	for r := range o.rooms {
		pubs := &joiner.Publications{}
		for i := range o.streams {
			speakers[r*o.streams+i].pub = pubs.Add(fmt.Sprintf("stream-%d-%d", r, i), "", 1)
		}
		l := login(url, roomID(r), "speaker-"+strconv.Itoa(r), false)
		people.Go(func() { _ = joiner.NewParticipant(system, l, deaf{}, pubs, nil, log).Run(ctx) }) // ends with ctx
	}
	stdin := make(chan struct{})
	go func() { // ends with the process
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(stdin)
	}()
	talk(ctx, speakers, stdin, ready)
	return nil
}

// speaker is a stream and what it says.
type speaker struct {
	pub     *joiner.Publication
	packets [][]byte
	next    int
}

// newSpeakers lets each begin at another place of the recordings.
func newSpeakers(count int) ([]*speaker, error) {
	all, err := recordings()
	if err != nil {
		return nil, err
	}
	speakers := make([]*speaker, count)
	for i := range speakers {
		packets := all[i%len(all)]
		speakers[i] = &speaker{packets: packets, next: i * 137 % len(packets)}
	}
	return speakers, nil
}

func recordings() (all [][][]byte, err error) {
	for _, v := range speech.Voices() {
		packets, err := speech.Packets(v.Ogg)
		if err != nil {
			return nil, fmt.Errorf("speech of %s: %w", v.Name, err)
		}
		all = append(all, packets)
	}
	return all, nil
}

const phases = 8

// talk sends a packet of each speaker every 20 ms, an eighth of them at a time.
func talk(ctx context.Context, speakers []*speaker, over <-chan struct{}, ready func()) {
	pace(ctx, len(speakers), func(i, n int, _ time.Time) {
		_ = speakers[i].pub.WritePacket(joiner.OutPacket{ // counted by the publication
			Pos: int64(n) * 960, Samples: 960, Level: 30, Payload: speakers[i].packet(),
		})
	}, func() bool {
		if ready != nil && published(speakers) {
			ready()
			ready = nil
		}
		select {
		case <-over:
			return false
		default:
			return true
		}
	})
}

// pace calls send for packet n of each of count streams when it is due, an
// eighth of the streams at a time, until ctx ends or on, which is asked at
// every tick, says no.
func pace(ctx context.Context, count int, send func(stream, n int, at time.Time), on func() bool) {
	const step = 20 * time.Millisecond / phases
	tick := time.NewTicker(step)
	defer tick.Stop()
	start := time.Now()
	for n := 0; on(); {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for ; n < int(time.Since(start)/step); n++ {
			for i := n % phases; i < count; i += phases {
				send(i, n/phases, start.Add(time.Duration(n)*step))
			}
		}
	}
}

// packet is the next one that is said.
func (s *speaker) packet() []byte {
	b := s.packets[s.next]
	s.next = (s.next + 1) % len(s.packets)
	return b
}

func published(speakers []*speaker) bool {
	for _, s := range speakers {
		if s.pub.Stats().Sent == 0 {
			return false
		}
	}
	return true
}

// deaf plays nothing.
type deaf struct{}

// Event implements joiner.Room.
func (deaf) Event(joiner.Event) {}

// Stream implements joiner.Room.
func (deaf) Stream(joiner.Stream) joiner.Receiver { return nil }
