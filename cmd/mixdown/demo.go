package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/pion/rtp"

	"mixdown/capture"
	"mixdown/configs"
	"mixdown/joiner"
	"mixdown/joiner/native"
	"mixdown/rooms/token"
	"mixdown/speech"
)

// demoCommand is mixdown demo.
type demoCommand struct {
	Keep bool          `help:"Keep the recordings of earlier demos."`
	Data string        `help:"Data folder of the demo's daemon." default:"./mixdown-data/demo" placeholder:"DIR"`
	For  time.Duration `help:"How long the room talks." default:"20s" hidden:""`
}

const (
	demoRoom    = "demo"
	demoCapture = "demo"
	demoMix     = "demo-mix"
)

// Run starts a daemon, lets three speakers talk in a room, captures it over
// REST and checks the recording.
func (d *demoCommand) Run(ctx context.Context, p process) error {
	if !d.Keep {
		if err := os.RemoveAll(d.Data); err != nil {
			return fmt.Errorf("remove the last demo: %w", err)
		}
	}
	c := configs.Default()
	c.Listen, c.UDP, c.Data = "127.0.0.1:0", "127.0.0.1:0", d.Data
	daemon, err := newDaemon(c, slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	started := make(chan addresses, 1)
	ended := make(chan error, 1)
	go func() { ended <- daemon.run(ctx, func(a addresses) { started <- a }) }()
	var shown error
	select {
	case a := <-started:
		shown = d.show(ctx, p, daemon, a)
	case err := <-ended:
		return err
	}
	cancel(nil)
	return errors.Join(shown, <-ended)
}

// show is what the viewer sees.
func (d *demoCommand) show(ctx context.Context, p process, daemon *daemon, a addresses) error {
	say := func(format string, args ...any) { fmt.Fprintf(p.stdout, format+"\n", args...) }
	say("daemon       %s, media on UDP %s", a.HTTP, a.UDP)
	c := &client{url: a.HTTP, key: daemon.key, http: http.DefaultClient}
	id := demoCapture
	if d.Keep {
		id = fmt.Sprintf("demo-%d", time.Now().Unix())
	}
	spec := capture.Spec{
		Room:      capture.RoomSpec{RoomID: demoRoom},
		Record:    []capture.RecordSpec{{What: "mix", SegmentSeconds: 10}, {What: "streams", SegmentSeconds: 10}},
		Republish: []capture.RepublishSpec{{StreamID: demoMix}},
	}
	var st capture.Status
	if err := c.call(ctx, http.MethodPut, "/v1/captures/"+id, spec, &st); err != nil {
		return err
	}
	say("capture      PUT /v1/captures/%s: %s", id, st.State)

	talk, hush := context.WithCancel(ctx)
	defer hush()
	var people sync.WaitGroup
	for i, v := range speech.Voices() {
		s := &speaker{daemon: daemon, url: a.HTTP, voice: v, delay: time.Duration(i) * time.Second}
		people.Go(func() { s.run(talk) })
	}
	l := &listener{}
	people.Go(func() { daemon.joinDemo(talk, a.HTTP, "listener", l, &joiner.Publications{}) })
	say("speakers     alice, bob and carol join one second after another")
	d.watch(ctx, c, id, say)

	if err := c.call(ctx, http.MethodPost, "/v1/captures/"+id+"/stop", nil, &st); err != nil {
		return err
	}
	hush()
	people.Wait()
	return d.report(ctx, p, daemon, st, l)
}

// watch follows the capture while the speakers talk.
func (d *demoCommand) watch(ctx context.Context, c *client, id string, say func(string, ...any)) {
	over := time.After(d.For)
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-over:
			return
		case <-tick.C:
		}
		var st capture.Status
		if err := c.call(ctx, http.MethodGet, "/v1/captures/"+id, nil, &st); err != nil {
			say("status       %v", err)
			continue
		}
		segments := 0
		for _, o := range st.Outputs {
			segments += o.Segments
		}
		say("%-12s %5.1f s, %d streams, %d segments sealed", st.State, st.Seconds, len(st.Streams), segments)
	}
}

// report prints the table and the verdict.
func (d *demoCommand) report(ctx context.Context, p process, daemon *daemon, st capture.Status, l *listener) error {
	fmt.Fprintln(p.stdout)
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "stream\tuser\treceived s\tconcealed s\tlost s")
	for _, s := range st.Streams {
		seconds := func(class string) float64 { return float64(s.Ledger[class]) / 1000 }
		fmt.Fprintf(w, "%s\t%s\t%.2f\t%.2f\t%.2f\n", s.StreamID, s.User.ID, seconds("received")+seconds("recovered"), seconds("concealed"), seconds("lost"))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "\nmix latency  packet in to mixed packet out: median %d ms, p95 %d ms\n", st.Live.LatencyP50MS, st.Live.LatencyP95MS)
	fmt.Fprintf(p.stdout, "republished  %s: a listener in the room heard %.1f s of it\n", demoMix, float64(l.packets.Load())/50)
	dir := filepath.Join(d.Data, "recordings", demoRoom, st.ID)
	fmt.Fprintf(p.stdout, "recording    %s\n", dir)
	verdict := (&verifyCommand{Recording: dir, PublicKey: filepath.Join(daemon.config.Data, "keys", "signing.pub")}).Run(ctx, process{stdout: p.stdout, stderr: p.stderr})
	switch {
	case verdict != nil:
		return verdict
	case st.State != capture.Complete || len(st.Streams) != len(speech.Voices()):
		return fmt.Errorf("demo: the capture is %s with %d streams (%s)", st.State, len(st.Streams), st.Reason)
	case l.packets.Load() == 0:
		return errors.New("demo: the listener heard nothing of the republished mix")
	}
	return nil
}

// joinDemo takes part in the demo's room until ctx ends.
func (d *daemon) joinDemo(ctx context.Context, url, user string, room joiner.Room, pubs *joiner.Publications) {
	login := joiner.Login{
		URL: "ws" + url[len("http"):] + "/ws", RoomID: demoRoom, UserID: user, UserName: user,
		Token: func() (string, error) {
			return d.rooms.MintToken(token.Claims{
				UserID: user, RoomID: demoRoom, Login: true, Publish: true,
				Created: time.Now(), Expires: time.Now().Add(time.Hour),
			})
		},
	}
	sys := native.New(native.Config{Engine: d.engine, Log: d.log})
	_ = joiner.NewParticipant(sys, login, room, pubs, nil, d.log).Run(ctx) // ends with ctx
}

// speaker says its text over and over.
type speaker struct {
	daemon *daemon
	url    string
	voice  speech.Voice
	delay  time.Duration
}

func (s *speaker) run(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(s.delay):
	}
	packets, err := speech.Packets(s.voice.Ogg)
	if err != nil {
		s.daemon.log.Error("speech", "voice", s.voice.Name, "err", err)
		return
	}
	pubs := &joiner.Publications{}
	pub := pubs.Add(s.voice.Name+"-mic", "", 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { s.daemon.joinDemo(ctx, s.url, s.voice.Name, deaf{}, pubs) })
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		_ = pub.WritePacket(joiner.OutPacket{ // counted by the publication
			Pos: int64(n) * 960, Samples: 960, Level: 30, Payload: packets[n%len(packets)],
		})
	}
}

// deaf plays nothing.
type deaf struct{}

// Event implements joiner.Room.
func (deaf) Event(joiner.Event) {}

// Stream implements joiner.Room.
func (deaf) Stream(joiner.Stream) joiner.Receiver { return nil }

// listener counts the packets of the republished mix.
type listener struct{ packets atomic.Int64 }

// Event implements joiner.Room.
func (*listener) Event(joiner.Event) {}

// Stream implements joiner.Room.
func (l *listener) Stream(s joiner.Stream) joiner.Receiver {
	if s.ID != demoMix {
		return nil
	}
	return l
}

// Packet implements joiner.Receiver.
func (l *listener) Packet(*rtp.Packet, uint8, time.Time) { l.packets.Add(1) }

// Report implements joiner.Receiver.
func (*listener) Report(joiner.SenderReport, time.Time) {}
