// Package overview is what a recording looks like: how loud each output was, who
// was there and spoke when, and where packets, a link or time are missing. A
// player draws it before a sound is fetched.
//
// It stands beside the seal. capture collects a [Wave] for each output while it
// renders and notes it in the event log; when a recording is sealed, [Digest]
// makes overview.json of that log, and the manifest vouches for it. api serves a
// [Overview.View] of it. For recordings that were sealed before there were
// overviews, [Measure] decodes their files, as much of them as it is allowed to.
//
// Everything here is derived: a recording without it is as whole, and plays as
// well. Encrypted recordings have none, for levels ten times a second tell a
// lot of what was said, and the daemon cannot read what it has recorded.
package overview

import (
	"encoding/json"
	"fmt"

	"mixdown/mixer/pcm"
)

// Format is the format member of every overview.
const Format = "mixdown.overview/1"

// Step is how many samples of an output one peak stands for: 100 ms.
const Step = pcm.Rate / 10

// StepMS is [Step] in milliseconds.
const StepMS = 100

// Overview is a recording, or a part of it, at a glance. Times are milliseconds
// from the recording's start.
type Overview struct {
	Format     string   `json:"format"`
	Length     int64    `json:"length" doc:"Of the recording, in ms."`
	From       int64    `json:"from" doc:"What is shown, in ms from the recording's start."`
	To         int64    `json:"to"`
	Waves      []Wave   `json:"waves"`
	Lanes      []Lane   `json:"lanes"`
	Pauses     []Hole   `json:"pauses" doc:"What was paused."`
	Gaps       []Hole   `json:"gaps" doc:"Where an output has no time, as after a pause that skips."`
	Away       []Span   `json:"away" doc:"When the recorder itself was not in the room."`
	Unmeasured []string `json:"unmeasured,omitempty" doc:"Outputs whose levels nobody has measured."`
}

// Wave is how loud one output was.
type Wave struct {
	Output   string `json:"output"`
	What     string `json:"what"`
	StreamID string `json:"streamID,omitempty"`
	UserID   string `json:"userID,omitempty"`
	Peaks    []byte `json:"peaks" doc:"Base64 of one byte for each of equal parts of from to to: the loudest sample b in it, 0 for silence, else 10^((b-255)/80) of full scale."`
}

// Lane is one stream over time.
type Lane struct {
	StreamID string  `json:"streamID"`
	UserID   string  `json:"userID"`
	Present  []Span  `json:"present" doc:"When the stream was in the room."`
	Talk     []Span  `json:"talk" doc:"When it spoke; needs a recorded mix."`
	Muted    []Span  `json:"muted,omitempty" doc:"When it was in no mix by somebody's decision."`
	Excluded []Span  `json:"excluded,omitempty" doc:"When it was heard and recorded nowhere by somebody's decision."`
	Lost     []Count `json:"lost,omitempty" doc:"What never came: from, to, how many ms of it are missing."`
	Jitter   []Count `json:"jitter,omitempty" doc:"Seconds with an interarrival jitter of 20 ms and more: from, to, the most of it in ms."`
}

// Span is from one time to another.
type Span [2]int64

// Count is a span with a figure.
type Count [3]int64

// Hole is where something was left out on purpose. Of Output, UserID and
// StreamID at most one says what it concerns; without them it is all.
type Hole struct {
	From     int64  `json:"from"`
	To       int64  `json:"to"`
	Mode     string `json:"mode,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Output   string `json:"output,omitempty"`
	UserID   string `json:"userID,omitempty"`
	StreamID string `json:"streamID,omitempty"`
}

// Encode gives the bytes of overview.json.
func (o *Overview) Encode() ([]byte, error) {
	b, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("encode overview: %w", err)
	}
	return append(b, '\n'), nil
}

// Decode reads overview.json. Another format is an error.
func Decode(b []byte) (*Overview, error) {
	var o Overview
	if err := json.Unmarshal(b, &o); err != nil {
		return nil, fmt.Errorf("decode overview: %w", err)
	}
	if o.Format != Format {
		return nil, fmt.Errorf("decode overview: format is %q, not %q", o.Format, Format)
	}
	return &o, nil
}

// milliseconds is a sample of the recording as time.
func milliseconds(sample int64) int64 { return sample * 1000 / pcm.Rate }
