package playout_test

import (
	"io"
	"math"
	"slices"
	"testing"
	"time"

	libopus "gopkg.in/hraban/opus.v2"

	"mixdown/encoder/opus"
	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
	"mixdown/mixer/playout"
)

// What arrives is rendered bit by bit, whatever happens to its order.
func TestDeepRendersWhatWasSent(t *testing.T) {
	payloads := tone64(t, 500)
	stereo := encode(t, pcmtest.Noise(1, 0.3), 200, opus.EncoderConfig{Channels: 2})
	tests := []struct {
		name     string
		payloads [][]byte
		channels int
		seq      uint16
		ts       uint32
		change   func([]playout.Packet) []playout.Packet
	}{
		{"in order", payloads, 1, 100, 1000, nil},
		{"stereo", stereo, 2, 100, 1000, nil},
		{"numbers and times wrap", payloads, 1, 65500, math.MaxUint32 - 100000, nil},
		{"first number is the last", payloads, 1, 65535, math.MaxUint32, nil},
		{"50 ms of jitter", payloads, 1, 65500, 5, func(p []playout.Packet) []playout.Packet {
			return jitter(p, 50*time.Millisecond, 1)
		}},
		{"200 ms of jitter over a wrap", payloads, 1, 65500, math.MaxUint32 - 50000, func(p []playout.Packet) []playout.Packet {
			return jitter(p, 200*time.Millisecond, 2)
		}},
		{"duplicates", payloads, 1, 1, 1, func(p []playout.Packet) []playout.Packet {
			for i := 0; i < 500; i += 20 {
				again := p[i]
				again.At += 130 * time.Millisecond
				p = append(p, again)
			}
			return byArrival(p)
		}},
		{"3 s late, but in time", payloads, 1, 1, 1, func(p []playout.Packet) []playout.Packet {
			for i := 7; i < 500; i += 10 {
				p[i].At += 3 * time.Second
			}
			return byArrival(p)
		}},
		{"payload type changes", payloads, 1, 1, 1, func(p []playout.Packet) []playout.Packet {
			for i := 250; i < 500; i++ {
				p[i].PT = 96
			}
			return p
		}},
		{"the first 2 s in a burst", payloads, 1, 1, 1, func(p []playout.Packet) []playout.Packet {
			for i := range 100 {
				p[i].At = p[100].At
			}
			return p
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			const start = 6 * time.Second
			packets := stream(test.payloads, start, test.seq, test.ts)
			if test.change != nil {
				packets = test.change(packets)
			}
			r := record(packets).read(t, 400+int64(len(test.payloads)))
			first, ok := r.d.First()
			if !ok || first < pcm.Samples(start) || ms(first-pcm.Samples(start)) > 3 {
				t.Fatalf("the first sample is at %d, want about %d", first, pcm.Samples(start))
			}
			same(t, r.samples(), first, straight(t, test.payloads, test.channels))
			if len(r.placed) != len(test.payloads) {
				t.Fatalf("%d packets placed of %d", len(r.placed), len(test.payloads))
			}
			for i, p := range r.placed {
				if p.Pos != first+int64(i*pcm.FrameSize) || p.Samples != pcm.FrameSize || !slices.Equal(p.Payload, test.payloads[i]) {
					t.Fatalf("packet %d placed at %d", i, p.Pos)
				}
			}
			l, n := r.d.Ledger(), int64(len(test.payloads)*pcm.FrameSize)
			if l[playout.Received]+l[playout.Recovered] != n {
				t.Errorf("ledger %v, want %d samples received or recovered", l, n)
			}
			if q := r.d.Quality(); q.Lost+q.Late+q.Broken+q.Dropped != 0 {
				t.Errorf("quality %+v", q)
			}
		})
	}
}

// A recording reads five to six seconds after the packets: the shortest of them
// find room until then.
func TestDeepKeepsShortPackets(t *testing.T) {
	enc, err := libopus.NewEncoder(pcm.Rate, 1, libopus.AppRestrictedLowdelay)
	if err != nil {
		t.Fatal(err)
	}
	const short = pcm.Rate / 400
	in, payload := make([]float32, short), make([]byte, 1000)
	n, err := enc.EncodeFloat32(in, payload)
	if err != nil {
		t.Fatal(err)
	}
	packets := make([]playout.Packet, 8000)
	for i := range packets {
		packets[i] = playout.Packet{At: pcm.Duration(int64(i) * short), SSRC: 1, PT: 111, Seq: uint16(i), Timestamp: uint32(i * short), Payload: payload[:n]}
	}
	r := record(packets)
	r.depth = 5500 * time.Millisecond
	r.read(t, 1000)
	if q := r.d.Quality(); q.Dropped != 0 {
		t.Errorf("quality %+v", q)
	}
}

func TestDeepCountsDuplicatesAndRetransmissions(t *testing.T) {
	packets := stream(tone64(t, 200), time.Second, 1, 1)
	again := packets[50]
	again.At += time.Second
	packets[100].At += 70 * time.Millisecond // a resent packet
	packets[120].At += 25 * time.Millisecond // a swapped one: only one had overtaken it
	r := record(byArrival(append(packets, again))).read(t, 260)
	if q := r.d.Quality(); q.Duplicates != 1 || q.Packets != 201 {
		t.Errorf("quality %+v", q)
	}
	if l := r.d.Ledger(); l[playout.Recovered] != pcm.FrameSize || l[playout.Received] != 199*pcm.FrameSize {
		t.Errorf("ledger %v", l)
	}
}

// drop removes the packets of the given indices.
func drop(packets []playout.Packet, which ...int) []playout.Packet {
	kept := packets[:0:0]
	for i, p := range packets {
		if !slices.Contains(which, i) {
			kept = append(kept, p)
		}
	}
	return kept
}

func TestDeepConcealsLoss(t *testing.T) {
	var lost []int
	for i := range 20 {
		lost = append(lost, 100+i)
	}
	for _, test := range []struct {
		name            string
		lost            []int
		concealed, gone int64 // ms
	}{
		{"one packet", []int{100}, 20, 0},
		{"three packets", []int{100, 101, 102}, 60, 0},
		{"five packets", lost[:5], 100, 0},
		{"twenty packets", lost, 100, 300},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := record(drop(stream(tone64(t, 300), 0, 1, 1), test.lost...)).read(t, 300)
			l := r.d.Ledger()
			if l[playout.Concealed] != test.concealed*48 || l[playout.Lost] != test.gone*48 || l.Span() != 300*pcm.FrameSize {
				t.Errorf("ledger %v", l)
			}
			if q := r.d.Quality(); q.Lost != int64(len(test.lost)) {
				t.Errorf("%d packets counted as lost", q.Lost)
			}
			// 120 ms after the gap the tone is where it would have been.
			end := (106 + len(test.lost)) * pcm.FrameSize
			want := straight(t, tone64(t, 300), 1)
			got := r.samples()
			for i := end; i < len(got); i++ {
				if math.Abs(float64(got[i][0]-want[i][0])) > 0.03 {
					t.Fatalf("sample %d is %v, want %v", i, got[i][0], want[i][0])
				}
			}
			if test.gone > 0 {
				quiet := got[105*pcm.FrameSize+20 : 120*pcm.FrameSize]
				if top := loudest(quiet); top > -60 {
					t.Errorf("%.1f dBFS after concealment", top)
				}
			}
			// No click: nowhere does the signal move faster than twice as fast as
			// the tone does at most.
			for i := 98 * pcm.FrameSize; i < end; i++ {
				if step := math.Abs(float64(got[i][0] - got[i-1][0])); step > 2*0.25*2*math.Pi*997/pcm.Rate {
					t.Fatalf("a step of %.3f at sample %d", step, i)
				}
			}
		})
	}
}

// A single loss is restored from the packet behind it.
func TestDeepRestoresByFEC(t *testing.T) {
	payloads := speech(t, 200)
	carries := 0
	var lost []int
	for i := 50; i < 150; i += 10 {
		if opus.HasFEC(payloads[i+1]) {
			carries++
			lost = append(lost, i)
		}
	}
	if carries < 5 {
		t.Fatalf("the encoder sent only %d copies", carries)
	}
	r := record(drop(stream(payloads, 0, 1, 1), lost...)).read(t, 200)
	if l := r.d.Ledger(); l[playout.Recovered] != int64(carries*pcm.FrameSize) || l[playout.Concealed] != 0 {
		t.Errorf("ledger %v, want %d packets recovered", l, carries)
	}
	// Of three in a row the last is restored, the others are concealed.
	r = record(drop(stream(payloads, 0, 1, 1), 98, 99, lost[5])).read(t, 200)
	want, got := straight(t, payloads, 1), r.samples()
	var err, sum float64
	at := lost[5] * pcm.FrameSize
	for i := at; i < at+pcm.FrameSize; i++ {
		d := float64(got[i][0] - want[i][0])
		err, sum = err+d*d, sum+float64(want[i][0])*float64(want[i][0])
	}
	if snr := 10 * math.Log10(sum/err); snr < 6 {
		t.Errorf("the restored packet is %.1f dB above its error", snr)
	}
}

func TestDeepKeepsTimeThroughDTX(t *testing.T) {
	// 2 s of tone, 3 s in which a packet comes each 400 ms, 2 s of tone. The
	// numbers go on without a gap.
	tone := tone64(t, 200)
	packets := stream(tone[:100], 0, 1, 1)
	for i := range 8 {
		at := 2*time.Second + time.Duration(i)*400*time.Millisecond
		packets = append(packets, playout.Packet{At: at, SSRC: 1, Seq: uint16(101 + i), Timestamp: uint32(1 + pcm.Samples(at)), Payload: []byte{0xf8, 0xff}[:1+i%2], Level: playout.NoLevel})
	}
	tail := stream(tone[100:], 5200*time.Millisecond, 109, uint32(1+pcm.Samples(5200*time.Millisecond)))
	r := record(append(packets, tail...)).read(t, 360)
	l := r.d.Ledger()
	if l[playout.DTX] != pcm.Samples(3200*time.Millisecond) || l[playout.Received] != 200*pcm.FrameSize {
		t.Errorf("ledger %v", l)
	}
	got := r.samples()
	if top := loudest(got[101*pcm.FrameSize : 260*pcm.FrameSize]); top > -60 {
		t.Errorf("%.1f dBFS in silence", top)
	}
	if pos := r.placed[len(r.placed)-1].Pos; pos != 359*pcm.FrameSize {
		t.Errorf("the last packet is at %d", pos)
	}
}

func TestDeepNamesGaps(t *testing.T) {
	tone := tone64(t, 200)
	join := func(gap time.Duration, numbers uint16) []playout.Packet {
		p := stream(tone[:100], 0, 1, 1)
		at := 2*time.Second + gap
		return append(p, stream(tone[100:], at, 101+numbers, uint32(1+pcm.Samples(at)))...)
	}
	class := func(c playout.Class, ms int64) map[playout.Class]int64 { return map[playout.Class]int64{c: ms} }
	for _, test := range []struct {
		name    string
		gap     time.Duration
		numbers uint16
		prepare func(*playout.Deep)
		want    map[playout.Class]int64 // ms
	}{
		{"short pause", 1500 * time.Millisecond, 0, nil, class(playout.DTX, 1500)},
		{"long pause", 12 * time.Second, 0, nil, class(playout.Stalled, 12000)},
		{"loss", 12 * time.Second, 600, nil, map[playout.Class]int64{playout.Lost: 12000}},
		{"loss and pause", 1 * time.Second, 2, nil, map[playout.Class]int64{playout.Lost: 40, playout.DTX: 960}},
		{"muted", 12 * time.Second, 0, func(d *playout.Deep) {
			d.Cause(2*time.Second, playout.Muted)
			d.Cause(14*time.Second, playout.Received)
		}, class(playout.Muted, 12000)},
		{"down, told too late", 12 * time.Second, 600, func(d *playout.Deep) {
			d.Cause(5*time.Second, playout.Down)
			d.Cause(14*time.Second, playout.Received)
		}, map[playout.Class]int64{playout.Down: 9000, playout.Lost: 3000}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := record(join(test.gap, test.numbers))
			if test.prepare != nil {
				test.prepare(r.d)
			}
			r.read(t, 200+int64(test.gap/frameTime))
			l := r.d.Ledger()
			if l[playout.Received] != 200*pcm.FrameSize {
				t.Errorf("received %v ms", ms(l[playout.Received]))
			}
			if test.want[playout.Lost] > 100 {
				test.want[playout.Lost] -= int64(ms(l[playout.Concealed]))
			}
			for c, n := range test.want {
				if l[c] != n*48 {
					t.Errorf("%v: %v ms, want %d", c, ms(l[c]), n)
				}
			}
		})
	}
}

func TestDeepExplainsAGapInRetrospect(t *testing.T) {
	r := record(stream(tone64(t, 100), 0, 1, 1)).read(t, 400)
	if l := r.d.Ledger(); l[playout.Stalled] != 300*pcm.FrameSize {
		t.Fatalf("ledger %v", l)
	}
	r.d.Cause(3*time.Second, playout.Down)
	r.read(t, 450)
	r.d.Cause(9*time.Second, playout.Received)
	r.d.End(10 * time.Second)
	r.read(t, 1000)
	l := r.d.Ledger()
	if l[playout.Stalled] != 2*pcm.Rate || l[playout.Down] != 6*pcm.Rate || r.d.Frame() != 500 {
		t.Errorf("ledger %v at frame %d", l, r.d.Frame())
	}
	f := pcm.Frame{{1, 1}}
	if err := r.d.ReadFrame(&f); err != io.EOF || !f.Silent() {
		t.Errorf("%v after the end", err)
	}
	if r.d.Skip() != io.EOF {
		t.Error("Skip goes on after the end")
	}
}

// Nothing of an excluded stretch is heard or kept, to the sample; beside it the
// sound fades over 20 ms.
func TestDeepHidesWhatIsPausedOrExcluded(t *testing.T) {
	for _, class := range []playout.Class{playout.Paused, playout.Excluded} {
		r := record(stream(tone64(t, 300), 0, 1, 1))
		r.d.Cause(2005*time.Millisecond, class)
		r.d.Cause(4005*time.Millisecond, playout.Received)
		r.read(t, 300)
		from, until := pcm.Samples(2005*time.Millisecond), pcm.Samples(4005*time.Millisecond)
		got := r.samples()
		for i := from; i < until; i++ {
			if got[i] != [2]float32{} {
				t.Fatalf("%v: sample %d sounds", class, i)
			}
		}
		if loudest(got[from-1200:from-960]) < -20 || loudest(got[until+960:until+1200]) < -20 {
			t.Errorf("%v: silence outside", class)
		}
		if got := loudest(got[from-20 : from]); got > -40 {
			t.Errorf("%v: the sound does not fade out, but is at %.1f dB", class, got)
		}
		for _, p := range r.placed {
			if p.Pos >= from && p.Pos < until {
				t.Errorf("%v: a packet was placed at %d", class, p.Pos)
			}
		}
		if l := r.d.Ledger(); l[class] != until-from || l[playout.Received] != 300*pcm.FrameSize-(until-from) {
			t.Errorf("%v: ledger %v", class, l)
		}
	}
}

// What is muted is counted as such and rendered all the same.
func TestDeepCountsWhatIsMuted(t *testing.T) {
	r := record(stream(tone64(t, 300), 0, 1, 1))
	r.d.Cause(2*time.Second, playout.Muted)
	r.d.Cause(4*time.Second, playout.Received)
	r.read(t, 300)
	if l := r.d.Ledger(); l[playout.Muted] != 2*pcm.Rate || l[playout.Received] != 4*pcm.Rate {
		t.Errorf("ledger %v", l)
	}
	if got := r.samples()[3*pcm.Rate:][:200]; loudest(got) < -20 || len(r.placed) != 300 {
		t.Errorf("a muted stream is at %.1f dB, %d packets placed", loudest(got), len(r.placed))
	}
}

// A stream that was announced has a ledger from then on, packets or none.
func TestDeepCountsFromTheAnnouncement(t *testing.T) {
	silent := record(nil)
	silent.d.Announce(1005 * time.Millisecond)
	silent.d.Cause(3*time.Second, playout.Paused)
	silent.d.Cause(4*time.Second, playout.Received)
	silent.d.End(6 * time.Second)
	silent.read(t, 300)
	if l := silent.d.Ledger(); l[playout.Paused] != pcm.Rate || l.Span() != pcm.Samples(4995*time.Millisecond) {
		t.Errorf("without a packet: %v", l)
	}
	late := record(stream(tone64(t, 100), 2*time.Second, 1, 1))
	late.d.Announce(time.Second)
	late.read(t, 80)
	again, err := playout.RestoreDeep(playout.DeepConfig{}, late.d.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	late.read(t, 200)
	if l := late.d.Ledger(); l[playout.Stalled] != pcm.Rate || l[playout.Received] != 2*pcm.Rate {
		t.Errorf("with packets a second later: %v", l)
	}
	for again.Frame() < 200 {
		_ = again.Skip()
	}
	if got := again.Ledger(); got != late.d.Ledger() {
		t.Errorf("after a restore %v, want %v", got, late.d.Ledger())
	}
}

// TestDeepHistoryIsNotLate: a room service sends what it keeps of a stream first;
// what was said before the recording began is not part of it.
func TestDeepHistoryIsNotLate(t *testing.T) {
	packets := stream(tone64(t, 300), 0, 65500, 4294900000)
	for i := range packets {
		packets[i].At = max(packets[i].At-time.Second, 0)
	}
	r := record(packets).read(t, 300)
	if q := r.d.Quality(); q.Late+q.Lost != 0 || q.Packets != 300 {
		t.Errorf("quality %+v", q)
	}
	if l := r.d.Ledger(); l[playout.Received] < 249*pcm.FrameSize || l[playout.Received] > 251*pcm.FrameSize {
		t.Errorf("ledger %v", l)
	}
}
