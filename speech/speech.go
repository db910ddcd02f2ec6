// Package speech holds three people who say something, for the demo, for
// examples and for tests that a tone is too simple for.
//
// They are synthetic, so nobody's rights are touched, and small: each about 18
// seconds of Ogg Opus, 48 kHz mono, 32 kbit/s, one frame of 20 ms to a packet,
// with in-band FEC, much as a browser would send it; peaks are at -6 dBFS.
// They are made by scripts/speech.sh, in short, and with the texts that stand
// there:
//
//	espeak-ng -v en-us+f3        -p 62 -s 175 -w alice.wav "Good morning everybody, …"
//	espeak-ng -v en-gb+m3        -p 35 -s 150 -w bob.wav   "Hello, this is Bob. …"
//	espeak-ng -v en-gb-scotland+f5 -p 50 -s 178 -w carol.wav "Carol here. …"
//	sox -R alice.wav -b 16 -r 48000 -c 1 alice-48k.wav gain -n -6 rate -v
//	ffmpeg -i alice-48k.wav -map_metadata -1 -c:a libopus -b:a 32k -vbr on -application voip \
//	    -frame_duration 20 -fec 1 -packet_loss 10 -fflags +bitexact -flags:a +bitexact alice.ogg
//
// Nothing in the daemon's own work depends on it.
package speech

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"

	"mixdown/encoder/ogg"
	"mixdown/mixer/pcm"
)

var (
	//go:embed alice.ogg
	alice []byte
	//go:embed bob.ogg
	bob []byte
	//go:embed carol.ogg
	carol []byte
)

// Voice is one speaker.
type Voice struct {
	Name string // also the name of the file, without .ogg
	Ogg  []byte // the file; must not be changed
}

// Voices is all there are, in the order of their names.
func Voices() []Voice {
	return []Voice{{"alice", alice}, {"bob", bob}, {"carol", carol}}
}

// Packets is the Opus packets of an Ogg Opus file, in their order, ready to be
// sent every 20 ms. A file with packets of another length, or with a hole, is
// an error.
func Packets(file []byte) ([][]byte, error) {
	var packets [][]byte
	r := ogg.NewReader(bytes.NewReader(file))
	for at := int64(0); ; at += pcm.FrameSize {
		p, err := r.Next()
		if errors.Is(err, io.EOF) {
			return packets, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read packet %d: %w", len(packets), err)
		}
		if p.Samples != pcm.FrameSize {
			return nil, fmt.Errorf("packet %d has %d samples, want %d", len(packets), p.Samples, pcm.FrameSize)
		}
		if p.Start != at {
			return nil, fmt.Errorf("packet %d begins at sample %d, want %d", len(packets), p.Start, at)
		}
		packets = append(packets, bytes.Clone(p.Data))
	}
}
