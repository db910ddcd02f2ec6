package storage_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/storage"
)

const gib = 1 << 30

// TestSpaceLevels: every level is entered below its part, and left a fifth
// above it; on large disks captures go on until little is left in bytes too.
func TestSpaceLevels(t *testing.T) {
	small := func(percent float64) storage.FreeSpace {
		return storage.FreeSpace{Free: uint64(percent * gib), Total: 100 * gib}
	}
	for _, c := range []struct {
		free   storage.FreeSpace
		before storage.SpaceLevel
		want   storage.SpaceLevel
	}{
		{small(20), storage.SpaceAmple, storage.SpaceAmple},
		{small(19.9), storage.SpaceAmple, storage.SpaceLow},
		{small(9.9), storage.SpaceAmple, storage.SpaceVeryLow},
		{small(4.9), storage.SpaceAmple, storage.SpaceMixOnly},
		{small(0.9), storage.SpaceAmple, storage.SpaceNone},
		{small(0), storage.SpaceLow, storage.SpaceNone},
		{small(1.1), storage.SpaceNone, storage.SpaceNone},
		{small(1.3), storage.SpaceNone, storage.SpaceMixOnly},
		{small(5.5), storage.SpaceNone, storage.SpaceMixOnly},
		{small(6.1), storage.SpaceMixOnly, storage.SpaceVeryLow},
		{small(23), storage.SpaceLow, storage.SpaceLow},
		{small(25), storage.SpaceNone, storage.SpaceAmple},
		{storage.FreeSpace{Free: 400 * gib, Total: 10000 * gib}, storage.SpaceAmple, storage.SpaceVeryLow},
		{storage.FreeSpace{Free: 19 * gib, Total: 10000 * gib}, storage.SpaceAmple, storage.SpaceMixOnly},
		{storage.FreeSpace{Free: 3 * gib, Total: 10000 * gib}, storage.SpaceAmple, storage.SpaceNone},
		{storage.FreeSpace{Free: 50 * gib, Total: 100 * gib, Inodes: 4, Files: 100}, storage.SpaceAmple, storage.SpaceMixOnly},
		{storage.FreeSpace{Free: 50 * gib, Total: 100 * gib, Inodes: 0, Files: 100}, storage.SpaceAmple, storage.SpaceNone},
		{storage.FreeSpace{}, storage.SpaceAmple, storage.SpaceAmple}, // a file system that does not tell
	} {
		if got := storage.LevelAfter(c.free, c.before); got != c.want {
			t.Errorf("%+v after %v: %v, want %v", c.free, c.before, got, c.want)
		}
	}
}

// TestSpace: a disk that fills at 1 GiB a minute and is emptied again: what is
// told, when, and how long it will last.
func TestSpace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		free, broken := func() uint64 {
			return uint64(max(0, 100-time.Since(start).Minutes()) * gib)
		}, false
		var told []string
		var mu sync.Mutex
		s := storage.NewSpace("data", storage.SpaceOptions{
			Stat: func(dir string) (storage.FreeSpace, error) {
				mu.Lock()
				defer mu.Unlock()
				if broken {
					return storage.FreeSpace{}, errors.New("gone")
				}
				return storage.FreeSpace{Free: free(), Total: 100 * gib}, nil
			},
			Notice: func(n storage.Notice) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, fmt.Sprintf("%d min: %s %v", int(time.Since(start).Minutes()), n.Type, n.Data["level"]))
			},
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		if h := s.Stats().HoursLeft; h != nil {
			t.Errorf("%v hours are told from one look", *h)
		}
		time.Sleep(40*time.Minute + time.Second)
		st := s.Stats()
		if h := st.HoursLeft; h == nil || math.Abs(*h-1) > 0.02 || st.Percent != 60 || st.Level != "ample" {
			t.Errorf("after 40 minutes: %+v", st)
		}
		time.Sleep(60 * time.Minute)
		mu.Lock()
		broken = true
		mu.Unlock()
		time.Sleep(time.Minute)
		if s.Level() != storage.SpaceNone {
			t.Errorf("level %v when it cannot be told any more", s.Level())
		}
		mu.Lock()
		broken, free = false, func() uint64 { return 50 * gib }
		mu.Unlock()
		time.Sleep(20 * time.Minute)
		if st := s.Stats(); st.Level != "ample" || st.HoursLeft != nil {
			t.Errorf("in the end: %+v", st)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		want := []string{
			"1 min: spool.forecast ample", "40 min: spool.forecast ample", "80 min: spool.low low", "90 min: spool.low very_low",
			"95 min: spool.low mix_only", "99 min: spool.low none", "101 min: spool.recovered ample",
		}
		if !slices.Equal(told, want) {
			t.Errorf("told:\n%q\nwant\n%q", told, want)
		}
	})
}

// TestSpaceOfSystem asks the machine itself.
func TestSpaceOfSystem(t *testing.T) {
	st := storage.NewSpace(t.TempDir(), storage.SpaceOptions{}).Stats()
	if st.Total == 0 || st.Free == 0 || st.Free > st.Total || st.Percent <= 0 {
		t.Errorf("%+v", st)
	}
}
