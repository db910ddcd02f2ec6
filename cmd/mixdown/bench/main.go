// Bench measures what Mixdown costs and how fast it is, in one run, and writes
// the figures to a file. make bench runs it.
//
// Everything that sends is another process of the same program (-send): an
// embedded room service and participants who publish real speech, one packet
// each 20 ms, every stream from another place of the recordings. What is
// measured is the CPU time, user and system, of this process, which only
// receives: a participant that drops what it hears, then captures of each
// kind. CPU time is counted in slices of a second, of which the median counts,
// and given in µs for one second of one stream. Between them the same packets
// are decoded by libopus and nothing else, which is the floor that the ratios
// stand on; a few are also decoded beside each of them, by which the small rooms
// are compared with the large one.
//
// What the kinds contain:
//
//	receive  loopback UDP, ICE, DTLS-SRTP, NACK and reports, room protocol; the packets are dropped
//	record   receive + journal, deep playout, mix and its Ogg Opus file; nothing live
//	live     receive + journal, live playout, mix, Opus with FEC, publication back into the room
//	both     record and live in one capture
//	wave     record, but into a WAV file: what small rooms cost without an encoder each
//	handed   record, but packets are handed over in memory: streams whose senders would not fit beside them
//	stored   receive + journal, placement, an Ogg Opus file of each stream; nothing is decoded
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"
)

// options are the command line.
type options struct {
	streams  int
	seconds  int
	out      string
	only     string
	profiles string

	send  bool // this is the sending process
	rooms int
}

func main() {
	var o options
	flag.IntVar(&o.streams, "streams", 100, "speaking streams in the large room")
	flag.IntVar(&o.seconds, "seconds", 3, "seconds that are measured of each kind of work")
	flag.StringVar(&o.out, "out", "", "write the figures to this `file`, as JSON")
	flag.StringVar(&o.only, "only", "", "measure these kinds only, with commas between them; wave is measured only if asked for")
	flag.StringVar(&o.profiles, "profiles", "", "write CPU and heap profiles of each measurement into this `folder`")
	flag.BoolVar(&o.send, "send", false, "be the sending process (the program starts it itself)")
	flag.IntVar(&o.rooms, "rooms", 1, "rooms of the sending process")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	run := bench
	if o.send {
		run = send
	}
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// scene is a number of rooms and what is measured in them.
type scene struct {
	rooms, streams int // streams in each room
	kinds          []kind
}

func scenes(streams int) []scene {
	return []scene{
		{1, streams, []kind{receive, record, live, both, stored}},
		{1, streams, []kind{handed}},
		{50, 2, []kind{receive, record}},
		{1, 10, []kind{record}},
		{1, 250, []kind{record}},
		{1, 500, []kind{receive, record}},
		{1, 500, []kind{handed}},
	}
}

// bench measures everything and prints it.
func bench(ctx context.Context, o options) error {
	start := time.Now()
	m, err := newMeter()
	if err != nil {
		return err
	}
	var results []result
	for _, s := range scenes(o.streams) {
		if o.only != "" && s.rooms > 1 {
			s.kinds = append(s.kinds, wave)
		}
		s.kinds = slices.DeleteFunc(s.kinds, func(k kind) bool {
			return o.only != "" && !slices.Contains(strings.Split(o.only, ","), k.name)
		})
		if len(s.kinds) == 0 || o.only != "" && s.streams*s.rooms != o.streams {
			continue
		}
		r, err := measure(ctx, m, s, o)
		if err != nil {
			return fmt.Errorf("%d rooms of %d streams: %w", s.rooms, s.streams, err)
		}
		results = append(results, r...)
	}
	allocs, err := allocations()
	if err != nil {
		return err
	}
	f := summarize(o.streams, m.decode(), m.encode(), results)
	f.AllocsPerFrame, f.MixUS = allocs, mixing()
	f.MixShare = over(f.MixUS, f.RecordUS)
	f.Seconds = time.Since(start).Seconds()
	print(os.Stdout, f)
	return save(o.out, f)
}

func save(file string, f figures) error {
	if file == "" {
		return nil
	}
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the figures: %w", err)
	}
	if err := os.WriteFile(file, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	return nil
}

// measure starts the senders of a scene, if it needs some, and measures its
// kinds in turn.
func measure(ctx context.Context, m *meter, s scene, o options) (results []result, err error) {
	url := ""
	if slices.ContainsFunc(s.kinds, func(k kind) bool { return !k.inside }) {
		sender, err := startSender(ctx, s)
		if err != nil {
			return nil, err
		}
		url = sender.url
		defer func() {
			if stopErr := sender.stop(); err == nil {
				err = stopErr
			}
		}()
	}
	for _, k := range s.kinds {
		start := time.Now()
		m.decodeSlice()
		m.encodeSlice()
		r, err := k.measure(ctx, m, url, s, o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k.name, err)
		}
		fmt.Fprintf(os.Stderr, "%2d × %-3d %-8s %6.0f µs per stream-second, %.2f of a decode beside it (%.0f s)\n", s.rooms, s.streams, k.name, r.us, r.decodes, time.Since(start).Seconds())
		if r.share < enough {
			fmt.Fprintf(os.Stderr, "%34s the machine is too busy: %.0f %% of the packets\n", "", 100*r.share)
		}
		results = append(results, r)
	}
	return results, nil
}

// figures is what bench.json holds; all times are µs of CPU for one second of
// one stream, but where the name says otherwise.
type figures struct {
	Streams        int     `json:"streams"`
	DecodeUS       float64 `json:"decode_us"`
	EncodeUS       float64 `json:"encode_us"` // of a mix's second
	ReceiveUS      float64 `json:"receive_us"`
	RecordUS       float64 `json:"record_us"`
	LiveUS         float64 `json:"live_us"`
	BothUS         float64 `json:"both_us"`
	StoredUS       float64 `json:"stored_us"`
	RecordRatio    float64 `json:"record_ratio"` // over decode + receive
	LiveRatio      float64 `json:"live_ratio"`   // likewise
	StoredRatio    float64 `json:"stored_ratio"` // over receive
	ReceiveRatio   float64 `json:"receive_ratio"`
	MixUS          float64 `json:"mix_us"` // adding 50 inputs, without reading them
	MixShare       float64 `json:"mix_share"`
	AllocsPerFrame float64 `json:"allocs_per_frame"`
	LiveAddedP50   int64   `json:"live_added_ms_p50"`
	LiveAddedP99   int64   `json:"live_added_ms_p99"`
	StreamsPerCore float64 `json:"streams_per_core"`
	BytesPerStream float64 `json:"bytes_per_stream"`
	SmallReceiveUS float64 `json:"small_rooms_receive_us"` // 50 rooms of 2
	SmallRecordUS  float64 `json:"small_rooms_record_us"`
	SmallRatio     float64 `json:"small_rooms_ratio"`      // over record_us
	SmallBeside    float64 `json:"small_rooms_beside"`     // likewise, each over what was decoded beside it
	SmallFloorUS   float64 `json:"small_rooms_libopus_us"` // two decodes and one encode a room, bare
	SmallWaveUS    float64 `json:"small_rooms_wav_us"`
	Record10US     float64 `json:"record_10_us"`
	Record250US    float64 `json:"record_250_us"` // 0 where the machine is too small for them
	Record500US    float64 `json:"record_500_us"` // likewise
	HandedUS       float64 `json:"handed_us"`     // record without receiving
	Handed500US    float64 `json:"handed_500_us"`
	Receive500US   float64 `json:"receive_500_us"` // 0 where the machine is too small for them
	Seconds        float64 `json:"seconds"`
}

func summarize(streams int, decode, encode float64, results []result) figures {
	of := func(rooms, streams int, k kind) result {
		for _, r := range results {
			if r.rooms == rooms && r.streams == streams && r.kind == k.name {
				return r
			}
		}
		return result{}
	}
	f := figures{Streams: streams, DecodeUS: decode, EncodeUS: encode, SmallFloorUS: decode + encode/2}
	rec, liv := of(1, streams, record), of(1, streams, live)
	f.ReceiveUS, f.RecordUS, f.LiveUS = of(1, streams, receive).us, rec.us, liv.us
	f.BothUS, f.StoredUS = of(1, streams, both).us, of(1, streams, stored).us
	f.SmallReceiveUS, f.SmallRecordUS = of(50, 2, receive).us, of(50, 2, record).us
	f.SmallWaveUS = of(50, 2, wave).us
	f.Record10US = of(1, 10, record).us
	f.HandedUS = of(1, streams, handed).us
	many := func(streams int, k kind) float64 {
		if r := of(1, streams, k); r.share >= enough {
			return r.us
		}
		return 0 // this machine is too small for them
	}
	f.Record250US, f.Record500US = many(250, record), many(500, record)
	f.Receive500US, f.Handed500US = many(500, receive), many(500, handed)
	f.LiveAddedP50, f.LiveAddedP99 = liv.p50, liv.p99
	f.BytesPerStream = rec.bytes
	if f.ReceiveUS > 0 {
		f.RecordRatio = over(f.RecordUS, f.DecodeUS+f.ReceiveUS)
		f.LiveRatio = over(f.LiveUS, f.DecodeUS+f.ReceiveUS)
	}
	f.StoredRatio = over(f.StoredUS, f.ReceiveUS)
	f.ReceiveRatio = over(f.ReceiveUS, f.DecodeUS)
	f.SmallRatio = over(f.SmallRecordUS, f.RecordUS)
	f.SmallBeside = over(of(50, 2, record).decodes, rec.decodes)
	f.StreamsPerCore = over(1e6, f.RecordUS)
	return f
}

// over is a/b, or 0 if one of them was not measured.
func over(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// print prints the tables.
func print(w io.Writer, f figures) {
	row := func(what string, us, ratio float64, note string) {
		if us > 0 {
			fmt.Fprintf(w, "%-28s %8.0f %7.2f  %s\n", what, us, ratio, note)
		}
	}
	fmt.Fprintf(w, "\n%d speaking streams in one room; µs of CPU (user + system) per stream-second\n\n", f.Streams)
	fmt.Fprintf(w, "%-28s %8s %7s\n", "", "µs", "ratio")
	row("bare libopus decode", f.DecodeUS, 1, "")
	row("receive and drop", f.ReceiveUS, f.ReceiveRatio, "over decode; at most 0.70")
	row("record the mix", f.RecordUS, f.RecordRatio, "over decode + receive; at most 1.40")
	row("live mix, republished", f.LiveUS, f.LiveRatio, "over decode + receive; at most 1.80")
	row("both", f.BothUS, over(f.BothUS, f.DecodeUS+f.ReceiveUS), "over decode + receive")
	row("streams kept, not decoded", f.StoredUS, f.StoredRatio, "over receive; at most 1.80")
	row("50 rooms of 2: receive", f.SmallReceiveUS, over(f.SmallReceiveUS, f.ReceiveUS), "over one room")
	row("50 rooms of 2: record", f.SmallRecordUS, f.SmallRatio, fmt.Sprintf("over one room; at most 1.50; %.2f by what was decoded beside", f.SmallBeside))
	row("50 rooms of 2: libopus alone", f.SmallFloorUS, over(f.SmallFloorUS, f.RecordUS), "over one room; two decodes and one encode")
	row("50 rooms of 2: WAV", f.SmallWaveUS, over(f.SmallWaveUS, f.RecordUS), "over one room; no encoder")
	row("10 streams: record", f.Record10US, over(f.Record10US, f.RecordUS), "over the large room")
	row("250 streams: record", f.Record250US, over(f.Record250US, f.RecordUS), "over the large room")
	row("500 streams: record", f.Record500US, over(f.Record500US, f.RecordUS), "over the large room")
	row("500 streams: receive", f.Receive500US, over(f.Receive500US, f.ReceiveUS), "over the large room")
	row("500 streams: the rest", f.Handed500US, over(f.Handed500US, f.HandedUS), "over the large room; packets from memory")
	fmt.Fprintf(w, "\nadding 50 inputs             %8.1f µs per stream-second, %.1f %% of record; at most 2 %%\n", f.MixUS, 100*f.MixShare)
	fmt.Fprintf(w, "allocations per frame        %8.2f (mix and both playouts)\n", f.AllocsPerFrame)
	fmt.Fprintf(w, "live: packet in to mixed out %8d ms median, %d ms p99\n", f.LiveAddedP50, f.LiveAddedP99)
	fmt.Fprintf(w, "streams per core             %8.0f (record); at least 250\n", f.StreamsPerCore)
	fmt.Fprintf(w, "memory per stream            %8.0f bytes (record)\n", f.BytesPerStream)
	fmt.Fprintf(w, "the whole run took           %8.0f s\n", f.Seconds)
}
