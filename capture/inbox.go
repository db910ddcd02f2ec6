package capture

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"sync"
	"time"

	"mixdown/mixer/playout"
	"mixdown/storage"
)

// The kinds of records that make a timeline.
const (
	kindUndated   = 1  // an RTP packet of a stream, of which the record's time is its arrival
	kindReport    = 2  // an RTCP sender report of a stream
	kindStream    = 3  // a stream begins; Data is a streamRecord
	kindStreamEnd = 4  // a stream ended; Data is the reason
	kindUser      = 5  // a user came; Data is a userRecord
	kindUserEnd   = 6  // a user left
	kindLink      = 7  // the recorder's own link; Data is a linkState
	kindControl   = 9  // a change of the running capture; Data is a control
	kindNotice    = 10 // what the watchdog found; Data is a notice
	kindPacket    = 11 // an RTP packet of a stream
)

// linkState is the data of a kindLink record, as JSON.
type linkState string

const (
	linkUp   linkState = "true"   // the recorder is in the room
	linkDown linkState = "false"  // it is not, from now on
	linkDead linkState = `"dead"` // it is not, and has not been for a while
)

// inbox collects what the room delivers until the next batch. Records leave
// it in the order of their times, which it makes monotonic.
type inbox struct {
	mu      sync.Mutex
	last    time.Duration
	records []storage.Record
	arena   []byte

	spareRecords []storage.Record
	spareArena   []byte
}

// packet adds one RTP packet of a stream if its gate is open, and says whether
// the live mix may have it. It allocates nothing once the buffers have grown.
func (b *inbox) packet(r *receiver, p *playout.Packet) (live bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.recorded.pass(p) {
		start := len(b.arena)
		b.arena = appendPacket(b.arena, p, max(b.last, p.At)-p.At)
		b.add(kindPacket, r.num, p.At, start)
	}
	return r.heard.pass(p)
}

// control adds a change and calls turn at its very time: no packet comes in
// between.
func (b *inbox) control(now func() time.Duration, c control, turn func(at time.Duration)) time.Duration {
	data, _ := json.Marshal(c) // plain values
	b.mu.Lock()
	defer b.mu.Unlock()
	at := max(now(), b.last)
	if turn != nil {
		turn(at)
	}
	start := len(b.arena)
	b.arena = append(b.arena, data...)
	b.add(kindControl, 0, at, start)
	return at
}

func (b *inbox) report(stream uint32, r playout.Report) {
	b.mu.Lock()
	defer b.mu.Unlock()
	start := len(b.arena)
	b.arena = binary.BigEndian.AppendUint32(b.arena, r.SSRC)
	b.arena = binary.BigEndian.AppendUint32(b.arena, r.RTP)
	b.arena = binary.BigEndian.AppendUint64(b.arena, r.NTP)
	b.add(kindReport, stream, r.At, start)
}

// event adds any other record; v, unless nil, becomes its JSON data.
func (b *inbox) event(kind uint8, stream uint32, at time.Duration, v any) {
	var data []byte
	if v != nil {
		data, _ = json.Marshal(v) // plain structs of strings
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	start := len(b.arena)
	b.arena = append(b.arena, data...)
	b.add(kind, stream, at, start)
}

func (b *inbox) add(kind uint8, stream uint32, at time.Duration, start int) {
	b.last = max(b.last, at)
	b.records = append(b.records, storage.Record{
		Kind: kind, Stream: stream, At: int64(b.last), Data: b.arena[start:len(b.arena):len(b.arena)],
	})
}

// put adds a record that another inbox gave out.
func (b *inbox) put(r storage.Record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	start := len(b.arena)
	b.arena = append(b.arena, r.Data...)
	b.add(r.Kind, r.Stream, time.Duration(r.At), start)
}

// take removes the records up to capture time upTo; what comes after is later
// than that. They are valid until the next take.
func (b *inbox) take(upTo time.Duration) []storage.Record {
	b.mu.Lock()
	defer b.mu.Unlock()
	if upTo < math.MaxInt64 { // which takes all, and says nothing of what may come after
		b.last = max(b.last, upTo+1)
	}
	n := 0
	for n < len(b.records) && time.Duration(b.records[n].At) <= upTo {
		n++
	}
	taken, rest := b.records[:n], b.records[n:]
	b.records, b.spareRecords = b.spareRecords[:0], b.records
	b.arena, b.spareArena = b.spareArena[:0], b.arena
	for _, r := range rest {
		start := len(b.arena)
		b.arena = append(b.arena, r.Data...)
		r.Data = b.arena[start:len(b.arena):len(b.arena)]
		b.records = append(b.records, r)
	}
	return taken
}

// release lets go of the memory.
func (b *inbox) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.records, b.arena, b.spareRecords, b.spareArena = nil, nil, nil, nil
}

const packetHeader = 16

// appendPacket encodes p without its arrival, which is as long before the
// record's time as it waited for it: that in µs, SSRC, timestamp, sequence
// number, V bit and payload type, level, payload.
func appendPacket(b []byte, p *playout.Packet, waited time.Duration) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(min(waited/time.Microsecond, math.MaxUint32)))
	b = binary.BigEndian.AppendUint32(b, p.SSRC)
	b = binary.BigEndian.AppendUint32(b, p.Timestamp)
	b = binary.BigEndian.AppendUint16(b, p.Seq)
	pt := p.PT & 0x7f
	if p.Voice {
		pt |= 0x80
	}
	b = append(b, pt, p.Level)
	return append(b, p.Payload...)
}

func decodePacket(r storage.Record, p *playout.Packet) error {
	at, b := time.Duration(r.At), r.Data
	if r.Kind == kindPacket && len(b) >= 4 {
		at, b = at-time.Duration(binary.BigEndian.Uint32(b))*time.Microsecond, b[4:]
	}
	if len(b) < packetHeader-4 {
		return fmt.Errorf("packet record of %d bytes", len(r.Data))
	}
	*p = playout.Packet{
		At:        at,
		SSRC:      binary.BigEndian.Uint32(b),
		Timestamp: binary.BigEndian.Uint32(b[4:]),
		Seq:       binary.BigEndian.Uint16(b[8:]),
		PT:        b[10] & 0x7f,
		Voice:     b[10]&0x80 != 0,
		Level:     b[11],
		Payload:   b[packetHeader-4:],
	}
	return nil
}

func decodeReport(r storage.Record) (playout.Report, error) {
	if len(r.Data) != 16 {
		return playout.Report{}, fmt.Errorf("report record of %d bytes", len(r.Data))
	}
	return playout.Report{
		At:   time.Duration(r.At),
		SSRC: binary.BigEndian.Uint32(r.Data),
		RTP:  binary.BigEndian.Uint32(r.Data[4:]),
		NTP:  binary.BigEndian.Uint64(r.Data[8:]),
	}, nil
}
