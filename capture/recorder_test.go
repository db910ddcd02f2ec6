package capture_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"mixdown/capture"
	"mixdown/mixer/pcm"
)

// A recorder is a process that captures four streams and can be killed. What
// it has received and what it calls durable stands on a board, a page of
// memory that outlives it.

const (
	recorderEnv     = "CAPTURE_TEST_RECORDER"
	recorderStreams = 4
)

// board is what a recorder tells of itself while it lives.
type board struct {
	Running  atomic.Int64 // set when the first packet is in
	First    [recorderStreams]atomic.Int64
	Last     [recorderStreams]atomic.Int64 // number of the newest packet that the capture has received
	Durable  [recorderStreams + 1]atomic.Int64
	Stopping atomic.Int64
	Late     atomic.Int64 // by how much the latest of the packets came after its time
}

func openBoard(t testing.TB, name string) *board {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(4096); err != nil {
		t.Fatal(err)
	}
	b, err := syscall.Mmap(int(f.Fd()), 0, 4096, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	return (*board)(unsafe.Pointer(&b[0])) // for good: a recorder writes until its process ends
}

// recorderOutputs are the outputs of a recorder in the order of the board.
func recorderOutputs() []string {
	all := []string{"mix-wav"}
	for i := range recorderStreams {
		all = append(all, fmt.Sprintf("streams-ogg/user%d/voice%d", i, i))
	}
	return all
}

// recorderJob is what a recorder is to do.
type recorderJob struct {
	Data, Board, Capture string
	Begin                time.Time // of packet 0
	Finish               bool      // stop the capture after a moment and end
	Recipient            string    // to whom the recording is encrypted, if at all
}

// recorder is such a process, seen from the test that kills it.
type recorder struct {
	t     testing.TB
	job   recorderJob
	board *board
	cmd   *exec.Cmd
	out   *os.File
}

func startRecorder(t testing.TB, job recorderJob) *recorder {
	t.Helper()
	r := &recorder{t: t, job: job, board: openBoard(t, job.Board)}
	*r.board = board{}
	raw, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	if r.out, err = os.CreateTemp(t.TempDir(), "recorder"); err != nil {
		t.Fatal(err)
	}
	r.cmd = exec.Command(os.Args[0], "-test.run=^TestRecorderProcess$", "-test.v")
	r.cmd.Env = append(os.Environ(), recorderEnv+"="+string(raw))
	r.cmd.Stdout, r.cmd.Stderr = r.out, r.out
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.kill)
	return r
}

// kill ends it without a word.
func (r *recorder) kill() {
	if r.cmd.ProcessState == nil {
		_ = r.cmd.Process.Kill() // it may have ended
		_ = r.cmd.Wait()
	}
	r.out.Close()
}

// wait lets it end by itself.
func (r *recorder) wait() {
	r.t.Helper()
	if err := r.cmd.Wait(); err != nil {
		r.failed(err)
	}
	r.out.Close()
}

// running waits until it records.
func (r *recorder) running() {
	r.t.Helper()
	for over := time.Now().Add(60 * time.Second); r.board.Running.Load() == 0; <-time.After(2 * time.Millisecond) {
		if time.Now().After(over) {
			r.failed(fmt.Errorf("it does not record"))
		}
	}
}

func (r *recorder) failed(err error) {
	r.t.Helper()
	said, _ := os.ReadFile(r.out.Name())
	r.t.Fatalf("the recorder of %s: %v\n%s", r.job.Capture, err, said)
}

// TestRecorderProcess is the recorder; by itself it does nothing.
func TestRecorderProcess(t *testing.T) {
	var job recorderJob
	if json.Unmarshal([]byte(os.Getenv(recorderEnv)), &job) != nil {
		return // nobody asked for it: the suite runs it as a test too
	}
	b := openBoard(t, job.Board)
	v := newVoice(t, "", 400)
	s := newStage()
	for i := range recorderStreams {
		s.enter(fmt.Sprintf("voice%d", i), fmt.Sprintf("user%d", i), uint32(i+1))
	}
	h := open(t, job.Data, s)
	c, err := h.captures.Get(job.Capture)
	if err != nil {
		c = h.start(job.Capture, func(s *capture.Spec) {
			for i := range s.Record {
				s.Record[i].SegmentSeconds = 3
			}
			if job.Recipient != "" {
				s.Encrypt = &capture.EncryptSpec{Recipients: []string{job.Recipient}}
			}
		})
	}
	go func() { // ends with the process
		for outputs := recorderOutputs(); ; <-time.After(5 * time.Millisecond) {
			for _, o := range c.Status().Outputs {
				if i := slices.Index(outputs, o.ID); i >= 0 {
					b.Durable[i].Store(o.DurableSample)
				}
			}
		}
	}()
	until := time.Now().Add(time.Minute)
	if job.Finish {
		until = time.Now().Add(300 * time.Millisecond)
	}
	for n := int64(time.Since(job.Begin)/pcm.FrameTime) + 1; time.Now().Before(until); n++ {
		due := job.Begin.Add(time.Duration(n) * pcm.FrameTime)
		<-time.After(time.Until(due))
		b.Late.Store(max(b.Late.Load(), int64(time.Since(due))))
		for i := range recorderStreams {
			id := fmt.Sprintf("voice%d", i)
			if !s.reached(id) {
				continue
			}
			s.send(id, uint16(n), uint32(n)*pcm.FrameSize, numbered(v.packets[n%50], n))
			b.First[i].CompareAndSwap(0, n)
			b.Last[i].Store(n)
			b.Running.Store(1)
		}
	}
	b.Stopping.Store(1)
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.stop()
}

// reached says that a stream has receivers.
func (s *stage) reached(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.players[id]
	return p != nil && len(p.receivers) > 0
}
