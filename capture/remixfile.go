package capture

import (
	"errors"
	"fmt"
	"io"
	"path"

	"mixdown/encoder/ogg"
	"mixdown/encoder/opus"
	"mixdown/mixer/pcm"
	"mixdown/storage"
)

// quietPacket is a packet without audio that stands for so many samples: a TOC
// byte of CELT, or for long ones of SILK (RFC 6716, section 3.1).
func quietPacket(samples int64) []byte {
	switch samples {
	case 1920:
		return []byte{2 << 3}
	case 2880:
		return []byte{3 << 3}
	}
	if p := opus.Silence(int(samples), 1); p != nil {
		return p[:1]
	}
	return opus.Silence(pcm.FrameSize, 1)[:1] // of an odd length: the next row sets the time right
}

// streamFile reads the packets of one stream's files in order.
type streamFile struct {
	r        *remix
	output   string
	segments []storage.Segment
	end      int64 // sample at which the last one ends
	reader   *ogg.Reader
	current  io.Closer
	start    int64 // sample of the capture at which the open file begins
	at       int64 // sample of the capture at which the packet in hand begins
	data     []byte
	samples  int
}

// packet is the next packet of a row; first says that the row begins. It is
// valid until the next call.
func (f *streamFile) packet(r row, first bool) (payload []byte, samples int64, err error) {
	if r.Quiet { // the file has silence there, by 20 ms
		samples = (r.End - r.Pos) / int64(r.Packets)
		return quietPacket(samples), samples, nil
	}
	if err := f.next(); err != nil {
		return nil, 0, err
	}
	// A file holds a packet within 1.25 ms of its place, or up to 5 ms late
	// behind an overlap; what lies before it fills a hole, in steps of 2.5 ms.
	for first && f.at <= r.Pos-pcm.Rate/800 {
		if err := f.next(); err != nil {
			return nil, 0, err
		}
	}
	return f.data, int64(f.samples), nil
}

// next takes the next packet that counts.
func (f *streamFile) next() error {
	for {
		if f.reader == nil {
			if err := f.open(); err != nil {
				return err
			}
		}
		p, err := f.reader.Next()
		if errors.Is(err, io.EOF) {
			if err := f.close(); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		heard := p.Start - int64(f.reader.Head().PreSkip)
		if heard < 0 {
			continue // pre-roll
		}
		f.at, f.data, f.samples = f.start+heard, append(f.data[:0], p.Data...), p.Samples
		return nil
	}
}

// close closes the segment that is open.
func (f *streamFile) close() error {
	if f.reader == nil {
		return nil
	}
	f.reader = nil
	return f.current.Close()
}

// try opens the first segment to see whether it can be.
func (f *streamFile) try() error {
	file, _, err := f.r.browser.Open(f.r.ctx, path.Join(f.r.prefix, f.segments[0].Path))
	if err != nil {
		return err
	}
	return file.Close()
}

// open opens the next segment.
func (f *streamFile) open() error {
	if len(f.segments) == 0 {
		return fmt.Errorf("its files end before its packets: %w", io.ErrUnexpectedEOF)
	}
	s := f.segments[0]
	f.segments = f.segments[1:]
	file, _, err := f.r.browser.Open(f.r.ctx, path.Join(f.r.prefix, s.Path))
	if err != nil {
		return err
	}
	f.current, f.reader, f.start = file, ogg.NewReader(file), s.StartSample
	return nil
}
