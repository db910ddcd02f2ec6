package mixer

import (
	"encoding/json"
	"math"
)

// AudioLeveler is what the reader of an input may be too. AudioLevel is the
// level that the sender gave to the frame that was read last, as RFC 6464 has
// it: 0 for the loudest to 127 dB below overload; more than 127 says that it is
// not known. It is called after each ReadFrame and must not block.
type AudioLeveler interface{ AudioLevel() uint8 }

const (
	voiceFloor  = -60.0 // dBFS; nothing below is a voice
	voiceOn     = 9.0   // dB above the background to begin
	voiceOff    = 6.0   // dB above the background to go on
	attack      = 2     // frames in a row to begin: a click is no speech
	hangover    = 15    // frames without a voice that end it: 300 ms
	digital     = -90.0 // dBFS; what is below says nothing about the background
	lows        = 8     // pieces of the time over which the background is a minimum,
	lowFrames   = 13    // of so many frames: 2 s together
	quietest    = -70.0 // dBFS; least background
	noisiest    = -35.0 // dBFS; most background: a louder steady sound is not noise
	atFirst     = -45.0 // dBFS; most background while little has been heard
	unknownLow  = 1.0   // dBFS that no frame has
	overReach   = 15.0  // dB that a frame may be louder than its sender says
	contradicts = 20.0  // dB from which on the sender is taken to be wrong
	doubtful    = 50    // frames of it that end the trust in what a sender says
)

// Voice tells speech from background by the levels of frames of 20 ms, one
// [Voice.Hear] for each. A voice is what stands out by 9 dB from the least
// level of the last 2 s, two frames in a row; it lasts until 300 ms after the
// last frame that still stands out by 6 dB. The mixer has one for each input;
// who decodes nothing can have one fed by the levels of RFC 6464. The zero
// value is ready.
type Voice struct{ s voiceState }

// voiceState is a Voice in a checkpoint.
type voiceState struct {
	Lows    [lows]float64 // least levels, the newest at Piece
	Piece   int
	Frames  int // frames that went into them
	Run     int // voiced frames in a row
	Quiet   int // frames since the last voiced one
	Talking bool
}

// Hear takes the level of the next frame, root mean square in dBFS, and says
// whether somebody talks.
func (v *Voice) Hear(dbfs float64) (talking bool) {
	s := &v.s
	if v.stands(dbfs) {
		s.Run++
		s.Quiet = 0
	} else {
		s.Run = 0
		s.Quiet++
	}
	switch {
	case s.Run >= attack:
		s.Talking = true
	case s.Quiet >= hangover:
		s.Talking = false
	}
	return s.Talking
}

// stands says whether a frame stands out from the background.
func (v *Voice) stands(dbfs float64) bool {
	if !(dbfs > digital) {
		return false
	}
	s := &v.s
	if s.Frames%lowFrames == 0 {
		s.Piece = (s.Piece + 1) % lows
		s.Lows[s.Piece] = unknownLow
		if s.Frames == 0 {
			for i := range s.Lows {
				s.Lows[i] = unknownLow
			}
		}
	}
	s.Lows[s.Piece] = min(s.Lows[s.Piece], dbfs)
	most := noisiest
	if s.Frames++; s.Frames < lows*lowFrames {
		most = atFirst
	} else if s.Frames == 2*lows*lowFrames {
		s.Frames = lows * lowFrames // the same place in the ring
	}
	floor := unknownLow
	for _, low := range s.Lows {
		floor = min(floor, low)
	}
	margin := voiceOn
	if s.Talking {
		margin = voiceOff
	}
	return dbfs > max(voiceFloor, min(max(floor, quietest), most)+margin)
}

// MarshalJSON lets a checkpoint keep the detector exactly as it is.
func (v Voice) MarshalJSON() ([]byte, error) { return json.Marshal(v.s) }

// UnmarshalJSON brings a detector back from a checkpoint.
func (v *Voice) UnmarshalJSON(b []byte) error {
	var s voiceState
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	s.Piece = min(max(s.Piece, 0), lows-1)
	s.Frames = min(max(s.Frames, 0), 2*lows*lowFrames-1)
	v.s = s
	return nil
}

// talk is what one input says, in a checkpoint too.
type talk struct {
	Voice   Voice
	Talking bool
	Start   int64   // first frame of the talk spurt
	Last    int64   // its last voiced frame
	Energy  float64 // of its voiced frames
	Voiced  int64   // number of its voiced frames
	Run     float64 // energy of the voiced frames in a row
	Power   float64 // mean square, smoothed over half a second
	Doubt   int     // how often the sender contradicted what was heard
}

// level is the level of a frame: what was heard, but not much more than the
// sender says that there was to hear, for what concealment adds is no speech.
// A sender that is wrong all the time is not believed.
func (t *talk) level(square float64, said func() uint8) float64 {
	heard := 10 * math.Log10(max(square, 1e-13))
	if said == nil {
		return heard
	}
	level := said()
	if level > 127 {
		return heard
	}
	says := -float64(level)
	if heard > max(says+contradicts, voiceFloor) {
		t.Doubt = min(t.Doubt+1, 2*doubtful)
	} else {
		t.Doubt = max(t.Doubt-1, 0)
	}
	if t.Doubt >= doubtful {
		return heard
	}
	return min(heard, says+overReach)
}

// hear takes frame n. It says whether the frame has a voice in it.
func (t *talk) hear(n int64, square float64, said func() uint8) (voiced, began, ended bool) {
	talking := t.Voice.Hear(t.level(square, said))
	voiced = t.Voice.s.Run > 0
	t.Power += (square - t.Power) / 25
	if !voiced {
		t.Run = 0
	} else {
		t.Run += square
	}
	switch {
	case talking && !t.Talking:
		t.Start, t.Voiced, t.Energy = n-int64(t.Voice.s.Run)+1, int64(t.Voice.s.Run), t.Run
		t.Last, began = n, true
	case !talking && t.Talking:
		ended = true
	case talking && voiced:
		t.Voiced++
		t.Energy += square
		t.Last = n
	}
	t.Talking = talking
	return voiced, began, ended
}
