// Package doctor looks for what would keep a daemon from recording: disk,
// clock, ports, codec, limits, buckets.
//
// It stands outside of the line. The command mixdown doctor runs it, with or
// without a daemon running. A finding says what was looked at, how it stands
// and, if that is not well, what to do next. It changes nothing that stays.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mixdown/encoder/opus"
	"mixdown/mixer/pcm"
	"mixdown/storage"
)

// Verdict is how a finding stands.
type Verdict string

// The verdicts.
const (
	Well   Verdict = "ok"
	Warned Verdict = "warn" // recording works, something is not as it should be
	Failed Verdict = "fail" // recording does not work, or not for long
)

// Finding is what one look found.
type Finding struct {
	Check   string  `json:"check"`
	Verdict Verdict `json:"verdict"`
	Text    string  `json:"text"`
	Next    string  `json:"next,omitempty"` // what to do
}

func well(check, format string, args ...any) Finding {
	return Finding{Check: check, Verdict: Well, Text: fmt.Sprintf(format, args...)}
}

func (f Finding) warn(next string) Finding { f.Verdict, f.Next = Warned, next; return f }
func (f Finding) fail(next string) Finding { f.Verdict, f.Next = Failed, next; return f }

const (
	scarce      = 5 << 30 // bytes
	none        = 1 << 30
	slowSync    = 100 * time.Millisecond
	deadSync    = time.Second
	fewFiles    = 4096
	smallBuffer = 4 << 20 // of a UDP socket
)

// Disk looks at the data folder: that it can be written, how long an fsync
// takes, and how much room is left.
func Disk(dir string) []Finding {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		defer os.Remove(dir) // the daemon makes it when it starts
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return []Finding{well("disk", "%v", err).fail("make the folder writable for this user, or set data to another one")}
	}
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return []Finding{well("disk", "%v", err).fail("make the folder writable for this user, or set data to another one")}
	}
	defer os.Remove(f.Name())
	defer f.Close()
	var worst time.Duration
	for range 5 {
		start := time.Now()
		_, werr := f.Write(make([]byte, 64<<10))
		if err := errors.Join(werr, f.Sync()); err != nil {
			return []Finding{well("disk", "writing into %s: %v", dir, err).fail("look at the disk: what is written there does not become durable")}
		}
		worst = max(worst, time.Since(start))
	}
	sync := well("disk", "64 KiB are durable in %s after %s at worst", dir, worst.Round(100*time.Microsecond))
	switch {
	case worst > deadSync:
		sync = sync.fail("a kill of the process may cost more than a second of audio; use a faster disk")
	case worst > slowSync:
		sync = sync.warn("the disk is slow or busy; the journal writes four times a second")
	}
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return []Finding{sync, well("space", "%v", err).warn("look at the disk")}
	}
	free, total := int64(st.Bavail)*st.Bsize, int64(st.Blocks)*st.Bsize
	space := well("space", "%.1f of %.1f GiB free, %d inodes", float64(free)/(1<<30), float64(total)/(1<<30), st.Ffree)
	switch {
	case free < none || st.Files > 0 && st.Ffree < 1000:
		space = space.fail("make room: captures stop when the disk is full")
	case free < scarce || free < total/10:
		space = space.warn("make room, or let the spool empty itself into a bucket")
	}
	return []Finding{sync, space}
}

// Clock asks the kernel whether the clock is kept by a time service.
func Clock() Finding {
	var tx unix.Timex
	state, err := unix.Adjtimex(&tx)
	if err != nil {
		return well("clock", "the kernel does not tell: %v", err).warn("see that a time service (chrony, systemd-timesyncd) runs")
	}
	if state == unix.TIME_ERROR || tx.Status&unix.STA_UNSYNC != 0 {
		return well("clock", "no time service keeps the clock").warn("run chrony or systemd-timesyncd: a recording's times are this clock's")
	}
	return well("clock", "kept by a time service, at most %.0f ms off", float64(tx.Maxerror)/1000)
}

// Port looks whether an address can be listened on. running says that the
// daemon of this configuration does that now.
func Port(key, network, address string, running bool) Finding {
	if running {
		return well(key, "%s %s: the daemon has it", network, address)
	}
	var err error
	if network == "udp" {
		var c net.PacketConn
		if c, err = net.ListenPacket("udp", address); err == nil {
			defer c.Close()
			return udpBuffer(key, address, c)
		}
	} else {
		var l net.Listener
		if l, err = net.Listen("tcp", address); err == nil {
			l.Close()
			return well(key, "%s %s is free", network, address)
		}
	}
	next := "set " + key + " to an address of this machine"
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		next = "another program has it: stop that one or set " + key + " to another port"
	case errors.Is(err, fs.ErrPermission):
		next = "ports below 1024 need CAP_NET_BIND_SERVICE: set " + key + " to a higher one"
	}
	return well(key, "%v", err).fail(next)
}

// udpBuffer asks how large a receive buffer the kernel gives: a busy machine
// drops packets that find none.
func udpBuffer(key, address string, c net.PacketConn) Finding {
	ok := well(key, "udp %s is free", address)
	u, isUDP := c.(*net.UDPConn)
	if !isUDP || u.SetReadBuffer(smallBuffer) != nil {
		return ok
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return ok
	}
	got := 0
	_ = raw.Control(func(fd uintptr) { got, _ = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF) })
	if got >= smallBuffer { // the kernel tells twice what it gives
		return ok
	}
	return well(key, "udp %s is free; the kernel gives a receive buffer of %d KiB", address, got/2048).
		warn("for hundreds of streams: sysctl -w net.core.rmem_max=4194304")
}

// Files looks how many files the process may open: sockets and segments.
func Files() Finding {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return well("files", "%v", err).warn("see that the limit of open files is 65536")
	}
	f := well("files", "%d files may be open", l.Max)
	if l.Max < fewFiles {
		return f.warn("raise the limit (LimitNOFILE=65536 in the unit): each stream of a recording is a file")
	}
	return f
}

// Codec encodes a tone and decodes it again: what comes out must be the tone.
func Codec() Finding {
	const hz, frames, skip = 440.0, 25, 10
	bad := func(err error) Finding {
		return well("codec", "%v", err).fail("reinstall libopus (libopus0)")
	}
	enc, err := opus.NewEncoder(opus.EncoderConfig{Channels: 1, Bitrate: 64000})
	if err != nil {
		return bad(err)
	}
	dec, err := opus.NewDecoder(1)
	if err != nil {
		return bad(err)
	}
	var packet [1500]byte
	out := make([]float32, 5760)
	var re, im, energy float64
	n := 0
	for i := range frames {
		var f pcm.Frame
		for j := range f {
			v := float32(0.25 * math.Sin(2*math.Pi*hz*float64(i*pcm.FrameSize+j)/pcm.Rate))
			f[j] = [2]float32{v, v}
		}
		size, err := enc.Encode(&f, packet[:])
		if err != nil {
			return bad(err)
		}
		samples, err := dec.Decode(packet[:size], out)
		if err != nil {
			return bad(err)
		}
		if i < skip {
			continue
		}
		for _, v := range out[:samples] {
			a := 2 * math.Pi * hz * float64(n) / pcm.Rate
			re, im, energy, n = re+float64(v)*math.Cos(a), im+float64(v)*math.Sin(a), energy+float64(v*v), n+1
		}
	}
	inTone := 2 * (re*re + im*im) / float64(n)
	if n != (frames-skip)*pcm.FrameSize || energy == 0 || inTone/energy < 0.99 {
		return bad(fmt.Errorf("a tone came back changed: %.1f %% of it is the tone", 100*inTone/max(energy, 1e-9)))
	}
	return well("codec", "a tone survives libopus: %.2f %% of what comes back is the tone", 100*inTone/energy)
}

// Bucket tries a bucket out: it puts a byte, reads it and deletes it.
func Bucket(ctx context.Context, name string, b storage.Bucket) Finding {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	check := "storage " + name
	p, err := storage.Probe(ctx, b, storage.ProbeOptions{})
	if err != nil {
		return well(check, "%s: %v", storage.FailureOf(err), err).fail("mend storages." + name + " in the configuration, or the bucket")
	}
	f := well(check, "took, gave back and deleted a byte in %s", p.Took.Round(time.Millisecond))
	if p.Skew.Abs() > 2*time.Second {
		return well(check, "this machine's clock is %s from the bucket's", p.Skew).warn("set the clock that is wrong")
	}
	if len(p.Notes) > 0 {
		return well(check, "%s", p.Notes[0]).warn("no obstacle for recording; retention needs the right to delete")
	}
	return f
}

// Secrets looks whether files that hold secrets can be read by others.
func Secrets(dir string) Finding {
	open := ""
	for _, name := range []string{"api-key", "app.json", "api-keys.json", "keys/signing.key"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			open = name
		}
	}
	if open != "" {
		return well("secrets", "%s can be read by other users", filepath.Join(dir, open)).fail("chmod 600 " + filepath.Join(dir, open))
	}
	return well("secrets", "keys in %s can be read by this user only", dir)
}
