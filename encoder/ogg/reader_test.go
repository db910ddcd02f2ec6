package ogg_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"mixdown/encoder/ogg"
)

func readAll(t testing.TB, b []byte) (all []ogg.Packet, r *ogg.Reader) {
	t.Helper()
	r = ogg.NewReader(bytes.NewReader(b))
	for {
		p, err := r.Next()
		if err == io.EOF {
			return all, r
		}
		if err != nil {
			t.Fatal(err)
		}
		p.Data = bytes.Clone(p.Data)
		all = append(all, p)
	}
}

func TestReaderGivesBackPackets(t *testing.T) {
	ps := packets(130)
	c := mono
	c.Comments = []string{"TITLE=Grüße", "EMPTY="}
	for _, flush := range []int{0, 1, 7, 50} {
		got, r := readAll(t, stream(t, c, ps, flush, 100))
		if r.Head() != c.Head || !slices.Equal(r.Comments(), c.Comments) {
			t.Errorf("head %+v, comments %q", r.Head(), r.Comments())
		}
		if len(got) != len(ps) {
			t.Fatalf("%d packets of %d", len(got), len(ps))
		}
		for i, p := range got {
			end := int64(i+1) * 960
			if i == len(ps)-1 {
				end -= 100
			}
			if !bytes.Equal(p.Data, ps[i]) || p.Start != int64(i)*960 || p.End != end || p.Samples != 960 {
				t.Fatalf("flush %d: packet %d: %d to %d, %d samples", flush, i, p.Start, p.End, p.Samples)
			}
		}
	}
}

// TestReaderJoinsPages reads packets that run over pages, as others write them.
func TestReaderJoinsPages(t *testing.T) {
	b := stream(t, mono, nil, 0, 0)
	b = b[:len(b)-27] // without the last, empty page
	ps := packets(3)
	var body []byte
	for _, p := range ps {
		q := make([]byte, 610)
		copy(q, p)
		body = append(body, q...)
	}
	lacing := []byte{255, 255, 100, 255, 255, 100, 255, 255, 100}
	seq := uint32(2)
	for i := 0; i < len(lacing); {
		n := min(2, len(lacing)-i)
		size := 0
		ends := 0
		for _, v := range lacing[i : i+n] {
			size += int(v)
			if v < 255 {
				ends++
			}
		}
		flags := byte(0)
		if i > 0 && lacing[i-1] == 255 {
			flags = 1
		}
		granule := int64(-1)
		if ends > 0 {
			granule = int64(i/3+ends) * 960
		}
		b = append(b, makePage(flags, granule, 7, seq, lacing[i:i+n], body[:size])...)
		body, i = body[size:], i+n
		seq++
	}
	got, _ := readAll(t, b)
	if len(got) != 3 {
		t.Fatalf("%d packets", len(got))
	}
	for i, p := range got {
		if len(p.Data) != 610 || !bytes.Equal(p.Data[:2], ps[i][:2]) || p.Start != int64(i)*960 {
			t.Errorf("packet %d: %d bytes at %d", i, len(p.Data), p.Start)
		}
	}
}

func makePage(flags byte, granule int64, serial, seq uint32, lacing, body []byte) []byte {
	b := append([]byte("OggS\x00"), flags)
	b = binary.LittleEndian.AppendUint64(b, uint64(granule))
	b = binary.LittleEndian.AppendUint32(b, serial)
	b = binary.LittleEndian.AppendUint32(b, seq)
	b = append(b, 0, 0, 0, 0, byte(len(lacing)))
	b = append(append(b, lacing...), body...)
	binary.LittleEndian.PutUint32(b[22:], slowCRC(b))
	return b
}

// TestReaderStepsOverDamage breaks each page in turn.
func TestReaderStepsOverDamage(t *testing.T) {
	ps := packets(60)
	whole := stream(t, mono, ps, 5, 0)
	for i, g := range walk(t, whole)[2:] {
		for _, at := range []int{0, 3, 5, 10, 22, 26, 27, g.size - 1} {
			b := bytes.Clone(whole)
			b[g.at+at] ^= 0x10
			got, _ := readAll(t, b)
			if len(got) != 55 {
				t.Fatalf("page %d broken at %d: %d packets left", i, at, len(got))
			}
			for _, p := range got {
				if !bytes.Equal(p.Data, ps[p.Start/960]) {
					t.Fatalf("page %d broken at %d: packet at %d is another", i, at, p.Start)
				}
			}
			// The decoder fills the time.
			want := 60*960 - 312
			if i == 11 {
				want -= 5 * 960 // nobody knows of what was at the end
			}
			if i == 0 {
				want -= 5 * 960 // nor of what was at the beginning
			}
			if n := decoded(t, b); n != want {
				t.Fatalf("page %d broken at %d: %d samples instead of %d", i, at, n, want)
			}
		}
	}
	// Rubbish between pages, a page of another stream, a false page head.
	var b []byte
	for _, g := range walk(t, whole) {
		b = append(b, whole[g.at:g.at+g.size]...)
		b = append(b, "OggS\x00 rubbish OggOggS\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\xff"...)
		b = append(b, makePage(0, 5, 99, 3, []byte{3}, []byte{1, 2, 3})...)
	}
	if got, _ := readAll(t, b); len(got) != 60 {
		t.Errorf("%d packets out of rubbish", len(got))
	}
}

func decoded(t testing.TB, b []byte) (total int) {
	t.Helper()
	d := ogg.NewDecoder(bytes.NewReader(b))
	buf := make([][2]float32, 1000)
	for {
		n, err := d.Read(buf)
		total += n
		if err == io.EOF {
			return total
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestNoStream(t *testing.T) {
	for _, b := range [][]byte{nil, []byte("OggS"), bytes.Repeat([]byte("OggS"), 1000), makePage(2, 0, 1, 0, []byte{7}, []byte("\x01vorbis"))} {
		if _, err := ogg.NewReader(bytes.NewReader(b)).Next(); !errors.Is(err, ogg.ErrNoStream) {
			t.Errorf("%.10q: %v", b, err)
		}
	}
	broken := errors.New("cable cut")
	r := ogg.NewReader(io.MultiReader(bytes.NewReader(stream(t, mono, packets(3), 1, 0)[:200]), errReader{broken}))
	for {
		if _, err := r.Next(); err != nil {
			if !errors.Is(err, broken) {
				t.Errorf("%v", err)
			}
			break
		}
	}
	for _, c := range []ogg.Config{{}, {Head: ogg.Head{Channels: 3}}, {Head: ogg.Head{Channels: 1, PreSkip: 1 << 16}}, {Head: ogg.Head{Channels: 1}, Comments: []string{strings.Repeat("x", 1<<16)}}} {
		if _, err := ogg.NewWriter(io.Discard, c); err == nil {
			t.Errorf("head %+v is taken", c.Head)
		}
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestDecoderDropsTrimsAndGains(t *testing.T) {
	ps := tonePackets(t, 100)
	read := func(c ogg.Config, trim int) [][2]float32 {
		d := ogg.NewDecoder(bytes.NewReader(stream(t, c, ps, 0, trim)))
		x := make([][2]float32, 100*960+1)
		n, err := d.Read(x)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Read(x); !errors.Is(err, io.EOF) {
			t.Errorf("behind the end: %v", err)
		}
		return x[:n]
	}
	plain := read(ogg.Config{Head: ogg.Head{Channels: 1}}, 0)
	cut := read(ogg.Config{Head: ogg.Head{Channels: 1, PreSkip: 5000}}, 777)
	quiet := read(ogg.Config{Head: ogg.Head{Channels: 2, Gain: -1541}}, 0) // -6.02 dB
	if len(plain) != 96000 || len(cut) != 96000-5777 || len(quiet) != 96000 {
		t.Fatalf("%d, %d, %d samples", len(plain), len(cut), len(quiet))
	}
	for i := range cut {
		if cut[i] != plain[i+5000] {
			t.Fatalf("sample %d differs", i)
		}
	}
	for i, v := range quiet {
		if d := v[0] - plain[i][0]/2; d > 1e-3 || d < -1e-3 {
			t.Fatalf("sample %d is %v at half of %v", i, v, plain[i])
		}
	}
}

func FuzzRead(f *testing.F) {
	whole := stream(f, mono, packets(4), 2, 100)
	f.Add(whole)
	f.Add(whole[:len(whole)-20])
	f.Add(append(bytes.Clone(whole[50:]), whole...))
	f.Add(makePage(2, 0, 1, 0, []byte{7}, []byte("\x01vorbis")))
	f.Add([]byte("OggS"))
	f.Fuzz(func(t *testing.T, b []byte) {
		total := 0
		r := ogg.NewReader(bytes.NewReader(b))
		for {
			p, err := r.Next()
			if err != nil {
				break
			}
			if p.End < p.Start || p.End-p.Start > int64(p.Samples) || len(p.Data) > len(b) {
				t.Fatalf("packet %d to %d of %d samples, %d bytes", p.Start, p.End, p.Samples, len(p.Data))
			}
			total += len(p.Data)
		}
		if total > len(b) {
			t.Fatalf("%d bytes of packets out of %d", total, len(b))
		}
		d := ogg.NewDecoder(bytes.NewReader(b))
		buf := make([][2]float32, 5000)
		for range 100 {
			if _, err := d.Read(buf); err != nil {
				break
			}
		}
	})
}
