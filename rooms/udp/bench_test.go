//go:build linux

package udp

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// senderAddr names, to a child process, where it sends; senderCount how many.
const (
	senderAddr  = "UDP_TEST_SEND_TO"
	senderCount = "UDP_TEST_SEND_COUNT"
)

// TestMain is also the sender of the benchmark, in a process of its own so
// that only reading is measured: 100 streams of 50 packets a second.
func TestMain(m *testing.M) {
	to := os.Getenv(senderAddr)
	if to == "" {
		os.Exit(m.Run())
	}
	if err := send(to, os.Getenv(senderCount)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func send(to, count string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	conn, err := net.Dial("udp", to)
	if err != nil {
		return err
	}
	defer conn.Close()
	packet := make([]byte, 120)
	next := time.Now()
	for range n {
		next = next.Add(200 * time.Microsecond)
		if d := time.Until(next); d > 0 {
			<-time.After(d)
		}
		if _, err := conn.Write(packet); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkReceive compares reading 5000 packets a second drained on the tick
// with a blocking read for each packet; the figure is CPU time.
func BenchmarkReceive(b *testing.B) {
	b.Run("drained", func(b *testing.B) {
		c := listen(b, "127.0.0.1:0")
		receive(b, c)
	})
	b.Run("group", func(b *testing.B) {
		receive(b, socket(b, group(b), "udp4", "127.0.0.1"))
	})
	b.Run("plain", func(b *testing.B) {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		check(b, err)
		defer c.Close()
		receive(b, c)
	})
}

func receive(b *testing.B, c net.PacketConn) {
	sender := exec.Command(os.Args[0])
	sender.Env = append(os.Environ(), senderAddr+"="+c.LocalAddr().String(), senderCount+"="+strconv.Itoa(b.N))
	sender.Stderr = os.Stderr
	check(b, sender.Start())
	buf := make([]byte, 2000)
	b.ReportAllocs()
	before := cpu(b)
	for range b.N {
		if _, _, err := c.ReadFrom(buf); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/1000/float64(b.N), "cpu-µs/packet")
	check(b, sender.Wait())
}

func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	check(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
