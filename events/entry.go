package events

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"mixdown/storage"
)

// Entry is an event of the log. JSON is what everybody is shown, byte for
// byte: pages, Server-Sent Events and webhooks. It is never changed.
type Entry struct {
	Head
	JSON []byte
}

// Head is an event without its data, as the JSON of an entry begins.
type Head struct {
	Seq        uint64       `json:"seq" doc:"Place in the log: 1, 2, 3 and so on, without holes."`
	CaptureSeq uint64       `json:"captureSeq,omitempty" doc:"Place among the events of its capture, without holes."`
	Type       string       `json:"type" example:"capture.recording"`
	Time       storage.Time `json:"timestamp" doc:"When it happened."`
	Capture    string       `json:"capture,omitempty" doc:"The capture it is about."`
	Room       string       `json:"room,omitempty" doc:"The room of that capture."`
	Series     string       `json:"series,omitempty" doc:"What number counts."`
	Number     uint64       `json:"number,omitempty" doc:"Place among the capture's events of one kind."`
}

const (
	// maxData is the largest data of an event. More is replaced by a note.
	maxData = 1 << 20

	dataKey = `,"data":`
)

// encode makes the JSON of an entry: its head, then its data.
func encode(h Head, data []byte) []byte {
	head, err := json.Marshal(h)
	if err != nil {
		panic("events: head: " + err.Error()) // plain values
	}
	b := make([]byte, 0, len(head)+len(dataKey)+len(data))
	b = append(b, head[:len(head)-1]...)
	b = append(b, dataKey...)
	b = append(b, data...)
	return append(b, '}')
}

// encodeData is the JSON object of an event's data.
func encodeData(v any) []byte {
	if v == nil {
		return []byte("{}")
	}
	b, err := json.Marshal(v)
	if err == nil && len(b) > maxData {
		err = fmt.Errorf("the data is %d bytes, more than %d", len(b), maxData)
	}
	if err != nil {
		b, _ = json.Marshal(map[string]string{"omitted": err.Error()}) // a string
	}
	return b
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A line of a file is the CRC-32C of the JSON in hexadecimal, a space, the
// JSON and a newline, which JSON never holds.
const sumLength = 8

func appendLine(b, jsonBytes []byte) []byte {
	b = fmt.Appendf(b, "%08x ", crc32.Checksum(jsonBytes, castagnoli))
	b = append(b, jsonBytes...)
	return append(b, '\n')
}

// cutLine is the JSON of a line without its newline; false if it is damaged.
func cutLine(line []byte) ([]byte, bool) {
	if len(line) < sumLength+2 || line[sumLength] != ' ' {
		return nil, false
	}
	sum, err := strconv.ParseUint(string(line[:sumLength]), 16, 32)
	body := line[sumLength+1:]
	return body, err == nil && crc32.Checksum(body, castagnoli) == uint32(sum)
}

// decodeHead reads what stands before the data. That is unambiguous: a quote
// inside a string is escaped.
func decodeHead(body []byte) (h Head, err error) {
	i := bytes.Index(body, []byte(dataKey))
	if i < 0 {
		return h, fmt.Errorf("an event without data")
	}
	head := append(append(make([]byte, 0, i+1), body[:i]...), '}')
	return h, json.Unmarshal(head, &h)
}

// seqOf reads the number with which the JSON of an entry begins; 0 if it does
// not.
func seqOf(body []byte) uint64 {
	rest, ok := bytes.CutPrefix(body, []byte(`{"seq":`))
	if !ok {
		return 0
	}
	digits, _, _ := bytes.Cut(rest, []byte(","))
	n, err := strconv.ParseUint(string(digits), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// Filter chooses events. In patterns * stands for anything and ? for one
// character; an empty list takes everything.
type Filter struct {
	Types, Captures, Rooms []string
	Only                   func(Head) bool // nil takes everything
}

// Match says whether the filter takes an event.
func (f *Filter) Match(h Head) bool {
	return matchAny(f.Types, h.Type) && matchAny(f.Captures, h.Capture) && matchAny(f.Rooms, h.Room) && (f.Only == nil || f.Only(h))
}

func matchAny(patterns []string, s string) bool {
	for _, p := range patterns {
		if match(p, s) {
			return true
		}
	}
	return len(patterns) == 0
}

// match compares the parts between the stars from left to right; the first
// place where a part fits is as good as any later one.
func match(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return len(pattern) == len(s) && fits(pattern, s)
	}
	first, last := parts[0], parts[len(parts)-1]
	if len(s) < len(first)+len(last) || !fits(first, s) || !fits(last, s[len(s)-len(last):]) {
		return false
	}
	s = s[len(first) : len(s)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		for !fits(part, s) {
			if s = s[min(1, len(s)):]; len(s) < len(part) {
				return false
			}
		}
		s = s[len(part):]
	}
	return true
}

// fits says that s begins with part, where ? is any byte.
func fits(part, s string) bool {
	if len(s) < len(part) {
		return false
	}
	for i := range len(part) {
		if part[i] != '?' && part[i] != s[i] {
			return false
		}
	}
	return true
}
