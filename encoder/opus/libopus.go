package opus

/*
#cgo pkg-config: opus
#cgo noescape encode
#cgo nocallback encode
#include <opus.h>

// Go cannot call what takes any number of arguments.
static int set(OpusEncoder *e, int request, opus_int32 value) {
	return opus_encoder_ctl(e, request, value);
}

static int reset(OpusEncoder *e) {
	return opus_encoder_ctl(e, OPUS_RESET_STATE);
}

static opus_int32 encode(OpusEncoder *e, const float *in, int samples, unsigned char *out, opus_int32 room) {
	return opus_encode_float(e, in, samples, out, room);
}
*/
import "C"

import (
	"errors"
	"fmt"
	"unsafe"

	"mixdown/mixer/pcm"
)

// What [libEncoder.set] sets, and values that are not numbers.
const (
	bitrate       = C.OPUS_SET_BITRATE_REQUEST
	complexity    = C.OPUS_SET_COMPLEXITY_REQUEST
	inbandFEC     = C.OPUS_SET_INBAND_FEC_REQUEST
	lossPercent   = C.OPUS_SET_PACKET_LOSS_PERC_REQUEST
	dtx           = C.OPUS_SET_DTX_REQUEST
	forceChannels = C.OPUS_SET_FORCE_CHANNELS_REQUEST
	unpredicted   = C.OPUS_SET_PREDICTION_DISABLED_REQUEST

	auto      = C.OPUS_AUTO
	voipInput = C.OPUS_APPLICATION_VOIP
	anyInput  = C.OPUS_APPLICATION_AUDIO
)

// libEncoder is an encoder of libopus. gopkg.in/hraban/opus.v2, which decodes
// for us, offers neither the number of channels of a packet nor packets that
// need none before them.
type libEncoder struct {
	// state is libopus's, which has no pointers into Go's memory. Go's garbage
	// collector frees it, and does not move it.
	state    []uint64
	channels int
}

func newLibEncoder(channels, application int) (*libEncoder, error) {
	size := C.opus_encoder_get_size(C.int(channels))
	if size <= 0 {
		return nil, fmt.Errorf("open opus encoder of %d channels: there are only 1 and 2", channels)
	}
	e := &libEncoder{state: make([]uint64, (size+7)/8), channels: channels}
	if err := failure(C.opus_encoder_init(e.p(), pcm.Rate, C.int(channels), C.int(application))); err != nil {
		return nil, fmt.Errorf("open opus encoder of %d channels: %w", channels, err)
	}
	return e, nil
}

func (e *libEncoder) p() *C.OpusEncoder { return (*C.OpusEncoder)(unsafe.Pointer(&e.state[0])) }

// set is opus_encoder_ctl with one number.
func (e *libEncoder) set(request, value int) error {
	return failure(C.set(e.p(), C.int(request), C.opus_int32(value)))
}

// reset forgets all that was heard, and nothing that was set.
func (e *libEncoder) reset() error { return failure(C.reset(e.p())) }

// encode encodes a frame of interleaved samples into out, which is not empty.
func (e *libEncoder) encode(in []float32, out []byte) (int, error) {
	n := C.encode(e.p(), (*C.float)(&in[0]), C.int(len(in)/e.channels), (*C.uchar)(&out[0]), C.opus_int32(len(out)))
	if n < 0 {
		return 0, failure(C.int(n))
	}
	return int(n), nil
}

// failure is an error code of libopus, or nil.
func failure(code C.int) error {
	if code >= 0 {
		return nil
	}
	return errors.New(C.GoString(C.opus_strerror(code)))
}
