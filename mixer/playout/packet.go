package playout

import "time"

// Packet is one RTP packet of one stream as it arrived, without the parts of
// the header that playout has no use for.
type Packet struct {
	At        time.Duration // arrival, on the capture's clock
	SSRC      uint32        // RFC 3550, section 5.1
	Timestamp uint32        // 48 kHz, whatever the codec's own rate (RFC 7587, section 4.1)
	Seq       uint16
	PT        uint8
	Level     uint8  // RFC 6464: -dBov, 0 (loudest) to 127; NoLevel when the packet does not say
	Voice     bool   // RFC 6464: the V bit
	Payload   []byte // one Opus packet (RFC 6716, section 3); empty or one byte long is DTX
}

// NoLevel is the Level of a packet without the audio level extension.
const NoLevel = 0xff

// Report is what an RTCP sender report says about a stream's clock
// (RFC 3550, section 6.4.1).
type Report struct {
	At   time.Duration // arrival, on the capture's clock
	SSRC uint32
	RTP  uint32 // RTP time at the instant NTP
	NTP  uint64 // the sender's wall clock, 32.32 fixed-point seconds since 1900
}

// Placed is one received packet on the timeline of the capture. Between two
// of them there may be a hole, never an overlap.
type Placed struct {
	Pos     int64  // sample at which the packet's audio starts, counted from the start of the capture
	Samples int    // how long the packet plays
	Seq     uint16 // as in Packet
	Payload []byte // the Opus packet; valid during the call only
	Level   uint8  // as in Packet
	Fresh   bool   // nothing before it goes on in it: another sender's, or another life's
}

// Class says what became of an instant of a stream. Every sample between a
// stream's first and last instant belongs to exactly one class.
type Class uint8

const (
	Received  Class = iota // decoded from its own packet, in time at first sending
	Recovered              // decoded from a retransmission, FEC or RED
	Concealed              // lost, bridged by concealment (at most 100 ms after the last packet)
	DTX                    // the sender sent nothing because there was nothing to say
	Muted                  // the publisher was muted, or the stream was taken out of the mixes
	Paused                 // the capture was paused
	Excluded               // the stream was excluded from the capture
	Stalled                // the source delivered nothing and did not say why
	Lost                   // sent, never arrived, silence in the file
	Down                   // the recorder was not there: cut link, crash, restart
	Away                   // the publisher had left and came back
	classes
)

// Ledger counts the samples of each [Class].
type Ledger [classes]int64

// Span is the number of samples in all classes.
func (l *Ledger) Span() (n int64) {
	for _, c := range l {
		n += c
	}
	return n
}

var classNames = [classes]string{"received", "recovered", "concealed", "dtx", "muted", "paused", "excluded", "stalled", "lost", "recorderDown", "away"}

// String is the name of the class in manifests and metrics.
func (c Class) String() string { return classNames[c] }

// Classes lists all classes in the order of a [Ledger].
func Classes() []Class {
	all := make([]Class, classes)
	for i := range all {
		all[i] = Class(i)
	}
	return all
}
