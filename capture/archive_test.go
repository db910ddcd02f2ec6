package capture

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mixdown/storage"
)

// TestLogAfterATornWrite: a line that the disk took half of is not there for
// whoever reads the log, neither before nor after the next one.
func TestLogAfterATornWrite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "segments.jsonl")
	line := func(n int) archiveLine {
		return archiveLine{Output: &storage.Output{ID: fmt.Sprintf("output-%d", n), What: "mix", Format: "wav"}}
	}
	a, err := openArchive(nil, file, "r/c", newClock(time.Now()), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.write(line(1)); err != nil {
		t.Fatal(err)
	}
	whole := a.log
	if a.log, err = os.Open(file); err != nil { // takes no write and no cut
		t.Fatal(err)
	}
	if err := a.write(line(2)); err == nil {
		t.Fatal("a line was written to a file that takes none")
	}
	a.log.Close()
	a.log = whole
	if _, err := whole.WriteAt([]byte(`{"output":{"id":"output-2","what":"m`+string(make([]byte, 500))), a.end); err != nil {
		t.Fatal(err)
	}
	for n := 3; n < 5; n++ {
		b, err := openArchive(nil, file, "r/c", newClock(time.Now()), nil)
		if err != nil {
			t.Fatalf("before line %d: %v", n, err)
		}
		if len(b.outputs) != n-2 {
			t.Errorf("before line %d: outputs %v", n, b.outputs)
		}
		if err := b.close(); err != nil {
			t.Fatal(err)
		}
		if err := a.write(line(n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
}
