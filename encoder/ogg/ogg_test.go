package ogg_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"mixdown/encoder/ogg"
)

// packets are n CELT packets of 20 ms with different contents.
func packets(n int) [][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	ps := make([][]byte, n)
	for i := range ps {
		p := make([]byte, 2+r.IntN(300))
		for k := range p {
			p[k] = byte(r.Uint32())
		}
		p[0] = 31 << 3
		ps[i] = p
	}
	return ps
}

func stream(t testing.TB, c ogg.Config, ps [][]byte, flush, trim int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := ogg.NewWriter(&b, c)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range ps {
		if err := w.WritePacket(p, 960); err != nil {
			t.Fatal(err)
		}
		if flush > 0 && i%flush == flush-1 && i < len(ps)-1 {
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(trim); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var mono = ogg.Config{Head: ogg.Head{Channels: 1, PreSkip: 312}, Serial: 7}

// page is what a plain walk over the pages finds.
type page struct {
	at, size int
	flags    byte
	granule  int64
	seq      uint32
	segments []byte
}

func walk(t testing.TB, b []byte) (ps []page) {
	t.Helper()
	for at := 0; at < len(b); {
		if string(b[at:at+5]) != "OggS\x00" {
			t.Fatalf("no page at byte %d", at)
		}
		n := int(b[at+26])
		p := page{at, 27 + n, b[at+5], int64(binary.LittleEndian.Uint64(b[at+6:])), binary.LittleEndian.Uint32(b[at+18:]), b[at+27 : at+27+n]}
		for _, v := range p.segments {
			p.size += int(v)
		}
		if want := slowCRC(b[at : at+p.size]); want != binary.LittleEndian.Uint32(b[at+22:]) {
			t.Fatalf("page at %d has a wrong checksum", at)
		}
		ps = append(ps, p)
		at += p.size
	}
	return ps
}

// slowCRC is the checksum of RFC 3533 bit by bit.
func slowCRC(b []byte) (r uint32) {
	for i, v := range b {
		if i >= 22 && i < 26 {
			v = 0
		}
		r ^= uint32(v) << 24
		for range 8 {
			if r&(1<<31) != 0 {
				r = r<<1 ^ 0x04c11db7
			} else {
				r <<= 1
			}
		}
	}
	return r
}

func TestPages(t *testing.T) {
	ps := packets(130)
	b := stream(t, mono, ps, 0, 648)
	pages := walk(t, b)
	var granules []int64
	for i, p := range pages {
		if int(p.seq) != i {
			t.Errorf("page %d has number %d", i, p.seq)
		}
		if want := byte(map[int]int{0: 2, len(pages) - 1: 4}[i]); p.flags != want {
			t.Errorf("page %d has flags %d", i, p.flags)
		}
		granules = append(granules, p.granule)
	}
	if want := []int64{0, 0, 48000, 96000, 130*960 - 648}; !slices.Equal(granules, want) {
		t.Errorf("granule positions %v instead of %v", granules, want)
	}
	if len(pages[0].segments) != 1 || pages[0].size != 27+1+19 {
		t.Errorf("first page of %d bytes", pages[0].size)
	}
}

func TestPagesHoldManyLacings(t *testing.T) {
	// 1275 bytes need six lacing values and a last one of 0: a page holds 42.
	var ps [][]byte
	for range 100 {
		ps = append(ps, append([]byte{31 << 3}, make([]byte, 1274)...))
	}
	b := stream(t, mono, ps, 0, 0)
	for _, p := range walk(t, b)[2:] {
		if p.segments[len(p.segments)-1] == 255 {
			t.Error("a packet runs over the page")
		}
	}
	if got, _ := readAll(t, b); len(got) != 100 || len(got[99].Data) != 1275 {
		t.Errorf("%d packets", len(got))
	}
	w, err := ogg.NewWriter(io.Discard, mono)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WritePacket(make([]byte, 65025), 960); !errors.Is(err, ogg.ErrPacketSize) {
		t.Errorf("giant packet: %v", err)
	}
	if err := w.WritePacket(make([]byte, 65024), 960); err != nil {
		t.Errorf("packet of a whole page: %v", err)
	}
}

func TestWriterBreaksForGood(t *testing.T) {
	broken := errors.New("disk full")
	f := &failing{left: 2, err: broken}
	w, err := ogg.NewWriter(f, mono)
	if err != nil {
		t.Fatal(err)
	}
	ps := packets(3)
	for i, want := range []error{nil, broken, broken} {
		if err := w.WritePacket(ps[i], 960); err != nil && !errors.Is(err, broken) {
			t.Fatal(err)
		}
		if err := w.Flush(); !errors.Is(err, want) {
			t.Errorf("flush %d: %v", i, err)
		}
	}
	if err := w.Close(0); !errors.Is(err, broken) {
		t.Errorf("close: %v", err)
	}
	if _, err := ogg.NewWriter(&failing{err: broken}, mono); !errors.Is(err, broken) {
		t.Errorf("headers: %v", err)
	}
	w, err = ogg.NewWriter(io.Discard, mono)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WritePacket(ps[0], 960); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(961); !errors.Is(err, ogg.ErrTrim) {
		t.Errorf("trim of more than there is: %v", err)
	}
	if err := w.Close(0); err != nil {
		t.Error(err)
	}
	if err := w.WritePacket(ps[0], 960); !errors.Is(err, ogg.ErrClosed) {
		t.Errorf("write after close: %v", err)
	}
}

type failing struct {
	left int
	err  error
}

func (f *failing) Write(p []byte) (int, error) {
	if f.left--; f.left < 0 {
		return 0, f.err
	}
	return len(p), nil
}

// pulse notes when pages come.
type pulse struct{ sizes []int }

func (p *pulse) Write(b []byte) (int, error) {
	p.sizes = append(p.sizes, len(b))
	return len(b), nil
}

func TestLiveIsQuick(t *testing.T) {
	var b bytes.Buffer
	var p pulse
	w, err := ogg.NewLive(io.MultiWriter(&b, &p), 2, 312)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.sizes) != 1 {
		t.Fatalf("headers in %d writes", len(p.sizes))
	}
	last := 0
	for i, q := range packets(103) {
		before := len(p.sizes)
		if err := w.WritePacket(q, 960); err != nil {
			t.Fatal(err)
		}
		if len(p.sizes) > before {
			last = i
		}
		if i == 0 && len(p.sizes) != 2 {
			t.Error("the first packet waits")
		}
		if i-last >= 5 {
			t.Fatalf("packet %d waits, the last page went out at %d", i, last)
		}
	}
	if len(p.sizes) > 2+21 {
		t.Errorf("%d pages for 103 packets", len(p.sizes))
	}
	if err := w.Close(0); err != nil {
		t.Fatal(err)
	}
	if got, _ := readAll(t, b.Bytes()); len(got) != 103 {
		t.Errorf("%d packets", len(got))
	}
}

func TestWriterAllocatesNothing(t *testing.T) {
	w, err := ogg.NewWriter(io.Discard, mono)
	if err != nil {
		t.Fatal(err)
	}
	p := packets(1)[0]
	for range 200 {
		if err := w.WritePacket(p, 960); err != nil {
			t.Fatal(err)
		}
	}
	if a := testing.AllocsPerRun(500, func() {
		if err := w.WritePacket(p, 960); err != nil {
			t.Fatal(err)
		}
	}); a != 0 {
		t.Errorf("%v allocations a packet", a)
	}
}
