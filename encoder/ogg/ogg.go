// Package ogg puts Opus packets into Ogg files and gets them out again (RFC
// 3533, RFC 7845).
//
// It is the last step of package encoder and of live listening over HTTP:
// [Writer] makes pages that are whole at every flush, [Reader] and [Decoder]
// read them back, over damage, for verification and tests, and [Repair] cuts
// what a crash left behind. It does not know what time is: the caller decides
// which packets follow one another, the granule position only counts their
// samples at 48 kHz.
package ogg

import "errors"

var (
	// ErrPacketSize tells that a packet does not fit into one page.
	ErrPacketSize = errors.New("ogg: packet is longer than a page")
	// ErrTrim tells that Close should cut more than was written since the last
	// flush; a page that is out cannot be made shorter.
	ErrTrim = errors.New("ogg: end trim reaches into flushed pages")
	// ErrClosed tells that a stream was ended before.
	ErrClosed = errors.New("ogg: stream is closed")
	// ErrNoStream tells that the input holds no Opus stream with one or two
	// channels.
	ErrNoStream = errors.New("ogg: no opus stream")
)

const (
	pageHeader  = 27        // bytes before the lacing values
	maxSegments = 255       // lacing values of a page
	maxBody     = 255 * 255 // payload bytes of a page

	flagContinued = 1 // the page begins inside a packet
	flagBegin     = 2 // first page of a stream (BOS)
	flagEnd       = 4 // last page of a stream (EOS)
)
