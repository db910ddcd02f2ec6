package encoder_test

import (
	"errors"
	"math"
	"testing"

	"mixdown/encoder"
	"mixdown/encoder/encodertest"
	"mixdown/mixer/pcm"
)

// faults is a store that fails on demand.
type faults struct {
	encodertest.Store
	create, commit, write error
}

type faultyFile struct {
	encoder.File
	s *faults
}

func (f *faultyFile) Write(p []byte) (int, error) {
	if f.s.write != nil {
		return 0, f.s.write
	}
	return f.File.Write(p)
}

func (s *faults) Create(seg encoder.Segment) (encoder.File, error) {
	if s.create != nil {
		return nil, s.create
	}
	f, err := s.Store.Create(seg)
	return &faultyFile{f, s}, err
}

func (s *faults) Commit(f encoder.File, seg encoder.Segment) error {
	if s.commit != nil {
		return s.commit
	}
	return s.Store.Commit(f.(*faultyFile).File, seg)
}

func TestErrorsNeverMoveTime(t *testing.T) {
	broken := errors.New("disk on fire")
	for _, format := range []string{"ogg", "wav", "flac"} {
		for _, where := range []string{"create", "write", "commit"} {
			t.Run(format+"/"+where, func(t *testing.T) {
				var store faults
				s, err := encoder.NewSegmenter(&store, encoder.Config{Format: format, Bitrate: 96000, Every: 50 * 960})
				if err != nil {
					t.Fatal(err)
				}
				failed := 0
				for i := range int64(200) {
					var now error
					if i >= 45 && i < 60 {
						now = broken
					}
					switch where {
					case "create":
						store.create = now
					case "write":
						store.write = now
					case "commit":
						store.commit = now
					}
					err := s.WriteFrame(source(tones).frame(i * 960))
					if i%10 == 9 && err == nil {
						err = s.Flush()
					}
					if err != nil {
						failed++
						if now == nil || !errors.Is(err, broken) {
							t.Fatalf("frame %d: %v", i, err)
						}
					}
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if failed == 0 {
					t.Fatal("no error came through")
				}
				checkFaulty(t, &store, format)
			})
		}
	}
}

// checkFaulty checks that what was committed lies where it belongs.
func checkFaulty(t *testing.T, store *faults, format string) {
	ext, _ := encoder.Ext(format)
	total, next := int64(0), int64(0)
	for _, seg := range store.Segments() {
		x, err := encodertest.Decode(ext, store.Bytes(seg.Index))
		if err != nil || int64(len(x)) != seg.Samples {
			t.Fatalf("%+v: %d samples, %v", seg, len(x), err)
		}
		if seg.Start < next || (seg.Start+seg.Samples)%(50*960) != 0 {
			t.Errorf("%+v after %d", seg, next)
		}
		next = seg.Start + seg.Samples
		total += seg.Samples
		// The tone tells the time: it is aligned with the start of the capture.
		var re, im float64
		for i := 2400; i < 4800; i++ {
			sin, cos := math.Sincos(2 * math.Pi * 397 * float64((seg.Start+int64(i))%pcm.Rate) / pcm.Rate)
			re += float64(x[i][0]) * sin
			im += float64(x[i][0]) * cos
		}
		if deg := math.Abs(math.Atan2(im, re)) * 180 / math.Pi; deg > 3 {
			t.Errorf("%+v is shifted by %.1f degrees of 397 Hz", seg, deg)
		}
	}
	if next != 200*960 || total < 130*960 {
		t.Errorf("%d samples kept, the last ends at %d", total, next)
	}
}
