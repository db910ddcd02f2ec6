package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFigures(t *testing.T) {
	f := summarize(100, 1000, 1200, []result{
		{rooms: 1, streams: 100, kind: "receive", us: 500},
		{rooms: 1, streams: 100, kind: "record", us: 1800, decodes: 1.25, bytes: 1e5},
		{rooms: 1, streams: 100, kind: "live", us: 2400, p50: 40, p99: 55},
		{rooms: 1, streams: 100, kind: "stored", us: 600},
		{rooms: 50, streams: 2, kind: "record", us: 2700, decodes: 2.5},
		{rooms: 1, streams: 500, kind: "record", us: 1700, share: 1},
		{rooms: 1, streams: 500, kind: "receive", us: 600, share: 0.7},
		{rooms: 1, streams: 500, kind: "handed", us: 1500, share: 0.9},
	})
	for what, v := range map[string][2]float64{
		"record":  {f.RecordRatio, 1.2},
		"live":    {f.LiveRatio, 1.6},
		"stored":  {f.StoredRatio, 1.2},
		"receive": {f.ReceiveRatio, 0.5},
		"small":   {f.SmallRatio, 1.5},
		"beside":  {f.SmallBeside, 2},
		"floor":   {f.SmallFloorUS, 1600},
		"core":    {f.StreamsPerCore, 1e6 / 1800},
		"500":     {f.Record500US, 1700},
		"10":      {f.Record10US, 0},
		"busy":    {f.Receive500US, 0},
		"handed":  {f.Handed500US, 1500},
	} {
		if v[0] != v[1] {
			t.Errorf("%s: %v, want %v", what, v[0], v[1])
		}
	}
	var table bytes.Buffer
	print(&table, f)
	if s := table.String(); strings.Contains(s, "NaN") || strings.Contains(s, "Inf") || !strings.Contains(s, "40 ms median, 55 ms p99") {
		t.Errorf("table:\n%s", s)
	}
	file := filepath.Join(t.TempDir(), "bench.json")
	if err := save(file, f); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var keys map[string]float64
	if err := json.Unmarshal(b, &keys); err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"decode_us", "receive_us", "record_us", "live_us", "stored_us", "record_ratio", "live_ratio", "stored_ratio",
		"allocs_per_frame", "live_added_ms_p50", "live_added_ms_p99", "streams_per_core", "bytes_per_stream"} {
		if _, ok := keys[k]; !ok {
			t.Errorf("no %s in %s", k, b)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		all  []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 2, 9}, 3}} {
		if got := median(c.all); got != c.want {
			t.Errorf("%v, want %v", got, c.want)
		}
	}
}

func TestSpeakersBeginInDifferentPlaces(t *testing.T) {
	speakers, err := newSpeakers(100)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[*byte]bool)
	for _, s := range speakers {
		seen[&s.packets[s.next][0]] = true
	}
	if len(seen) < 90 {
		t.Errorf("100 speakers say only %d different things at first", len(seen))
	}
}

// The audio path allocates nothing: what make bench prints is held here.
func TestFrameAllocatesNothing(t *testing.T) {
	n, err := allocations()
	if err != nil || n != 0 {
		t.Errorf("%v allocations per frame, %v", n, err)
	}
}
