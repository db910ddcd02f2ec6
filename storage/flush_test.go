package storage_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"mixdown/storage"
)

// BenchmarkFlush makes half a second of 100 small captures durable: each
// journal written and synced before the next, or all written and then synced.
func BenchmarkFlush(b *testing.B) {
	for _, together := range []bool{false, true} {
		b.Run(fmt.Sprintf("together=%v", together), func(b *testing.B) {
			var all []*storage.Journal
			dir := b.TempDir()
			for i := range 100 {
				j, err := storage.CreateJournal(filepath.Join(dir, fmt.Sprint(i)))
				must(b, err)
				b.Cleanup(func() { j.Close() })
				all = append(all, j)
			}
			for b.Loop() {
				for _, j := range all {
					for range 50 {
						must(b, j.Append(storage.Record{Kind: 1, Data: make([]byte, 130)}))
					}
					if together {
						must(b, j.Write())
					} else {
						must(b, j.Sync())
					}
				}
				for _, j := range all {
					must(b, j.Sync())
				}
			}
		})
	}
}
