package capture

import "mixdown/mixer/playout"

// row is a run of packets of one stream that follow one another in time and in
// number. Rows in events.jsonl are what it takes to mix a recording again from
// the streams' own files: they say which packets of a file were received, and
// where exactly they belong.
type row struct {
	Pos     int64  `json:"pos"` // sample at which the first packet begins
	Seq     uint16 `json:"seq"` // its RTP sequence number
	Packets int    `json:"packets"`
	Quiet   bool   `json:"quiet,omitempty"` // the sender had nothing to say: DTX
	Fresh   bool   `json:"fresh,omitempty"` // no audio before it goes on in it

	End int64 `json:"end"` // sample behind the last packet
}

// placedRow is a row with the stay of its stream, by number.
type placedRow struct {
	Stay uint32 `json:"stay"`
	row
}

// quiet packets carry no audio (RFC 6716, section 2.1.9).
func quiet(p playout.Placed) bool { return len(p.Payload) <= 2 }

func (r *row) goesOn(p playout.Placed) bool {
	return r.Packets > 0 && !p.Fresh && p.Pos == r.End && p.Seq == r.Seq+uint16(r.Packets) && quiet(p) == r.Quiet
}

func (r *row) add(p playout.Placed) {
	r.Packets++
	r.End = p.Pos + int64(p.Samples)
}
