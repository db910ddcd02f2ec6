package crypt_test

import (
	"bytes"
	"io"
	"syscall"
	"testing"
	"time"

	"mixdown/storage/crypt"
)

// BenchmarkStreamSecond is what encryption adds to one second of one stream
// that is stored as Opus of 64 kbit/s: the journal's batches, the scratch file
// written twice a second, and its share of making the age file every minute.
func BenchmarkStreamSecond(b *testing.B) {
	const rate = 8000 // bytes a second
	key := crypt.Key{1}
	cipher := key.Journal()
	public, _, err := recipients(b).NewKey()
	must(b, err)
	scratch, err := crypt.NewScratch(b.TempDir())
	must(b, err)
	half := bytes.Repeat([]byte{7}, rate/2)
	batch := bytes.Repeat([]byte{9}, rate/4)
	var sealed []byte
	before := processorTime(b)
	for i := 0; b.Loop(); i++ {
		for range 4 {
			sealed = cipher.Seal(sealed[:0], batch)
		}
		for range 2 {
			_, err := scratch.Write(half)
			must(b, err)
		}
		if i%60 == 59 {
			must(b, crypt.Encrypt(io.Discard, scratch.Reader(), public))
			must(b, scratch.Truncate(0))
		}
	}
	b.ReportMetric(float64((processorTime(b)-before).Microseconds())/float64(b.N), "cpu-us/stream-second")
}

// processorTime is what this process has used: a busy machine does not change
// it.
func processorTime(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	must(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkEncrypt is the speed of making a segment of WAV into an age file.
func BenchmarkEncrypt(b *testing.B) {
	public, _, err := recipients(b).NewKey()
	must(b, err)
	scratch, err := crypt.NewScratch(b.TempDir())
	must(b, err)
	minute := make([]byte, 60*192_000)
	_, err = scratch.Write(minute)
	must(b, err)
	b.SetBytes(int64(len(minute)))
	before := processorTime(b)
	for b.Loop() {
		must(b, crypt.Encrypt(io.Discard, scratch.Reader(), public))
	}
	b.ReportMetric(float64(len(minute))*float64(b.N)/1e6/(processorTime(b)-before).Seconds(), "MB/cpu-s")
}

func recipients(t testing.TB) crypt.Recipients {
	_, text := customer(t)
	r, err := crypt.ParseRecipients([]string{text})
	must(t, err)
	return r
}
