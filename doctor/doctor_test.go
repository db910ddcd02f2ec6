package doctor_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mixdown/doctor"
	"mixdown/storage"
	"mixdown/storage/file"
)

func want(t *testing.T, f doctor.Finding, v doctor.Verdict, text string) {
	t.Helper()
	if f.Verdict != v || !strings.Contains(f.Text, text) || (v == doctor.Well) != (f.Next == "") {
		t.Errorf("%+v, want %s with %q and a next step unless all is well", f, v, text)
	}
}

func TestFindings(t *testing.T) {
	want(t, doctor.Codec(), doctor.Well, "survives")
	dir := t.TempDir()
	for _, f := range doctor.Disk(dir) {
		if f.Verdict == doctor.Failed && f.Check == "disk" && !strings.Contains(f.Text, "durable") {
			t.Errorf("disk: %+v", f)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("the doctor left %v", left)
	}
	blocked := filepath.Join(dir, "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	want(t, doctor.Disk(filepath.Join(blocked, "data"))[0], doctor.Failed, "not a directory")

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	want(t, doctor.Port("listen", "tcp", l.Addr().String(), false), doctor.Failed, "in use")
	want(t, doctor.Port("listen", "tcp", l.Addr().String(), true), doctor.Well, "the daemon has it")
	want(t, doctor.Port("listen", "tcp", "127.0.0.1:0", false), doctor.Well, "free")
	want(t, doctor.Port("udp", "udp", "192.0.2.1:0", false), doctor.Failed, "192.0.2.1")

	want(t, doctor.Secrets(dir), doctor.Well, "only")
	if err := os.WriteFile(filepath.Join(dir, "api-key"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	want(t, doctor.Secrets(dir), doctor.Failed, "api-key")
}

// silent is a bucket that takes everything and gives nothing back.
type silent struct{ *file.Bucket }

func (silent) Open(context.Context, string) (io.ReadSeekCloser, storage.Object, error) {
	return nil, storage.Object{}, errors.New("lost it")
}

func TestBuckets(t *testing.T) {
	b, err := file.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	want(t, doctor.Bucket(t.Context(), "local", b), doctor.Well, "a byte")
	want(t, doctor.Bucket(t.Context(), "bad", silent{b}), doctor.Failed, "lost it")
}
