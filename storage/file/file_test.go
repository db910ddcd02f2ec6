package file_test

import (
	"os"
	"path/filepath"
	"testing"

	"mixdown/storage/file"
	"mixdown/storage/storagetest"
)

func open(t *testing.T, dir string) *file.Bucket {
	t.Helper()
	b, err := file.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func TestContract(t *testing.T) {
	storagetest.TestBucket(t, func(t *testing.T) storagetest.Bucket { return open(t, t.TempDir()) })
}

// A process that died in the middle of Put leaves a temporary file: it is no
// object, and the next start removes it.
func TestLeftoverOfACrash(t *testing.T) {
	dir := t.TempDir()
	tmp := filepath.Join(dir, ".tmp", "1")
	if err := os.MkdirAll(filepath.Dir(tmp), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(tmp, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := open(t, dir)
	for o, err := range b.List(t.Context(), "") {
		t.Errorf("listed: %+v, %v", o, err)
	}
	if _, err := os.Stat(tmp); !os.IsNotExist(err) {
		t.Errorf("temporary file: %v", err)
	}
}

// A link that leads out of the folder must not be followed.
func TestLinkOutOfTheFolder(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "room")); err != nil {
		t.Fatal(err)
	}
	b := open(t, dir)
	if f, _, err := b.Open(t.Context(), "room/secret"); err == nil {
		f.Close()
		t.Error("opened a file outside the bucket")
	}
}

func TestKeeper(t *testing.T) {
	storagetest.TestKeeper(t, func(t *testing.T) storagetest.Keeper { return open(t, t.TempDir()) })
}
