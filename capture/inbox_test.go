package capture

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"mixdown/mixer/playout"
	"mixdown/storage"
)

// TestArrivals: records are in the order of their times, and each packet keeps
// its own arrival, however late it was taken.
func TestArrivals(t *testing.T) {
	var b inbox
	rec := &receiver{num: 3}
	sent := []playout.Packet{
		{At: 100 * time.Millisecond, SSRC: 1, Timestamp: 4e9, Seq: 65535, PT: 111, Level: 20, Payload: []byte("one")},
		{At: 62500 * time.Microsecond, SSRC: 2, Timestamp: 7, Seq: 1, PT: 63, Voice: true, Level: 127, Payload: []byte("late")},
		{At: 140 * time.Millisecond, SSRC: 1, Timestamp: 8, Payload: []byte{}},
	}
	for i := range sent {
		b.packet(rec, &sent[i])
	}
	var last int64
	for i, r := range b.take(time.Second) {
		if r.At < last || r.Stream != 3 {
			t.Errorf("record %d: %+v after %d", i, r, last)
		}
		last = r.At
		var got playout.Packet
		if err := decodePacket(r, &got); err != nil || !reflect.DeepEqual(got, sent[i]) {
			t.Errorf("packet %d: %+v, %v, want %+v", i, got, err, sent[i])
		}
	}
}

// TestUndatedPackets: a journal of a daemon before packets had arrivals of
// their own is read, and what is no packet is refused.
func TestUndatedPackets(t *testing.T) {
	data := []byte{0, 0, 0, 9, 0, 0, 1, 0, 2, 1, 0x80 | 111, 30, 'a', 'b'}
	var got playout.Packet
	if err := decodePacket(storage.Record{Kind: kindUndated, At: 5000, Data: data}, &got); err != nil {
		t.Fatal(err)
	}
	want := playout.Packet{At: 5000, SSRC: 9, Timestamp: 256, Seq: 513, PT: 111, Voice: true, Level: 30, Payload: []byte("ab")}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	for n := range packetHeader {
		if decodePacket(storage.Record{Kind: kindPacket, Data: make([]byte, n)}, &got) == nil {
			t.Errorf("a packet of %d bytes", n)
		}
	}
}

// TestCheckpointKeepsWhatIsDue: records that a snapshot has not applied come
// back from the checkpoint as they were.
func TestCheckpointKeepsWhatIsDue(t *testing.T) {
	snapshot := []byte(`{"frame":7}`)
	for _, due := range [][]storage.Record{
		nil,
		{{Kind: kindPacket, Stream: 1, At: 5000, Data: []byte("a\nb\n")}, {Kind: kindLink, At: 6000}, {Kind: kindStream, Stream: 1 << 31, At: 1 << 62, Data: bytes.Repeat([]byte{0}, 3000)}},
	} {
		got, records := splitCheckpoint(joinCheckpoint(append(bytes.Clone(snapshot), '\n'), due))
		if !bytes.Equal(got, snapshot) || len(records) != len(due) {
			t.Fatalf("%s and %d records, not %d", got, len(records), len(due))
		}
		for i, r := range records {
			if d := due[i]; r.Kind != d.Kind || r.Stream != d.Stream || r.At != d.At || !bytes.Equal(r.Data, d.Data) {
				t.Errorf("record %d: %+v, not %+v", i, r, d)
			}
		}
	}
	if got, records := splitCheckpoint(nil); len(got) != 0 || records != nil {
		t.Errorf("of an empty checkpoint %q and %d records", got, len(records))
	}
}
