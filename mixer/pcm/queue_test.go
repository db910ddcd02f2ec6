package pcm_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"mixdown/mixer/pcm"
	"mixdown/mixer/pcm/pcmtest"
)

// number is a frame that carries n, counted from 1, in its first sample.
func number(n int) *pcm.Frame { return &pcm.Frame{{float32(n)}} }

// take reads everything that is there, 0 for silence.
func take(t *testing.T, q *pcm.Queue, most int) (got []int) {
	t.Helper()
	for len(got) < most {
		f := pcm.Frame{{-1, 7}}
		ok, err := q.TryRead(&f)
		if err != nil && err != io.EOF {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		if f[0][0] == 0 && !f.Silent() {
			t.Fatal("a dropped frame is not silent")
		}
		got = append(got, int(f[0][0]))
	}
	return got
}

func write(t *testing.T, q *pcm.Queue, from, to int) {
	t.Helper()
	for n := from; n <= to; n++ {
		if err := q.WriteFrame(number(n)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestQueueFull(t *testing.T) {
	q := pcm.NewQueue(3)
	write(t, q, 1, 5) // 4 and 5 are dropped
	if q.Len() != 5 || q.Dropped() != 2 {
		t.Fatalf("Len %d, Dropped %d; want 5, 2", q.Len(), q.Dropped())
	}
	got := take(t, q, 1)
	write(t, q, 6, 7) // 7 is dropped
	got = append(got, take(t, q, 2)...)
	write(t, q, 8, 8)
	q.Close()
	got = append(got, take(t, q, 100)...)
	if want := "[1 2 3 0 0 6 0 8]"; fmt.Sprint(got) != want {
		t.Errorf("read %v, want %v", got, want)
	}
	if _, err := q.TryRead(number(1)); err != io.EOF {
		t.Errorf("after the end: %v", err)
	}
}

// Frames dropped behind the last kept one must not be lost either.
func TestQueueEndsWithDrops(t *testing.T) {
	q := pcm.NewQueue(2)
	write(t, q, 1, 4)
	q.Close()
	if got := take(t, q, 100); fmt.Sprint(got) != "[1 2 0 0]" {
		t.Errorf("read %v", got)
	}
	if err := q.WriteFrame(number(5)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("write after Close: %v", err)
	}
}

// Whatever the pace of both sides, frame n comes out as frame n or as silence.
func TestQueueNeverShifts(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for range 50 {
		q := pcm.NewQueue(1 + r.IntN(6))
		written, dropped := 0, 0
		var got []int
		for written < 300 {
			n := r.IntN(9)
			write(t, q, written+1, written+n)
			written += n
			got = append(got, take(t, q, r.IntN(9))...)
		}
		q.Close()
		got = append(got, take(t, q, 1000)...)
		if len(got) != written {
			t.Fatalf("%d frames written, %d read", written, len(got))
		}
		for i, n := range got {
			if n == 0 {
				dropped++
			} else if n != i+1 {
				t.Fatalf("frame %d came out as frame %d", n, i+1)
			}
		}
		if int64(dropped) != q.Dropped() {
			t.Fatalf("%d silent frames, Dropped says %d", dropped, q.Dropped())
		}
	}
}

func TestQueueReadWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := pcm.NewQueue(4)
		done := make(chan []int)
		go func() {
			var got []int
			for {
				var f pcm.Frame
				if err := q.Read(t.Context(), &f); err != nil {
					if err != io.EOF {
						t.Error(err)
					}
					done <- got
					return
				}
				got = append(got, int(f[0][0]))
			}
		}()
		for n := 1; n <= 10; n++ {
			time.Sleep(pcm.FrameTime)
			write(t, q, n, n)
		}
		q.Close()
		if got := <-done; fmt.Sprint(got) != "[1 2 3 4 5 6 7 8 9 10]" {
			t.Errorf("read %v", got)
		}
		if q.Dropped() != 0 {
			t.Errorf("%d frames dropped for a reader that kept up", q.Dropped())
		}
	})
}

func TestQueueReadCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := pcm.NewQueue(4)
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(why) })
		var f pcm.Frame
		if err := q.Read(ctx, &f); err != why {
			t.Errorf("got %v, want the cause", err)
		}
		// What is there is still given out.
		write(t, q, 1, 1)
		if err := q.Read(ctx, &f); err != nil || f[0][0] != 1 {
			t.Errorf("got %v, %v", f[0][0], err)
		}
	})
}

// Two real goroutines, for the race detector.
func TestQueueConcurrent(t *testing.T) {
	const n = 5000
	q := pcm.NewQueue(8)
	go func() {
		defer q.Close()
		for i := range n {
			_ = q.WriteFrame(number(i + 1))
		}
	}()
	at, silent := 0, int64(0)
	var f pcm.Frame
	for q.Read(t.Context(), &f) == nil {
		at++
		switch int(f[0][0]) {
		case 0:
			silent++
		case at:
		default:
			t.Fatalf("frame %v at place %d", f[0][0], at)
		}
	}
	if at != n || silent != q.Dropped() {
		t.Errorf("%d of %d frames, %d silent, %d dropped", at, n, silent, q.Dropped())
	}
}

func TestQueueIsWriter(t *testing.T) {
	pcmtest.TestWriter(t, func() pcm.Writer { return pcm.NewQueue(10) })
}

func TestQueueReadAllocatesNothing(t *testing.T) {
	q := pcm.NewQueue(2)
	var f pcm.Frame
	ctx := t.Context()
	n := testing.AllocsPerRun(100, func() {
		_ = q.WriteFrame(&f)
		_ = q.Read(ctx, &f)
	})
	if n > 0 {
		t.Errorf("%v allocations per frame", n)
	}
}

func BenchmarkQueue(b *testing.B) {
	q := pcm.NewQueue(2)
	var f pcm.Frame
	b.ReportAllocs()
	for b.Loop() {
		_ = q.WriteFrame(&f)
		_, _ = q.TryRead(&f)
	}
}
