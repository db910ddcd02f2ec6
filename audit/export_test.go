package audit

import "os"

// SetStretch makes files of the log shorter.
func (l *Log) SetStretch(n int64) { l.stretch = n }

// FailSync makes every fsync of the log fail, or none with nil.
func (l *Log) FailSync(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sync = (*os.File).Sync
	if err != nil {
		l.sync = func(*os.File) error { return err }
	}
}

// FailWrites makes every write fail until the returned function is called.
func (l *Log) FailWrites() (mend func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	good := l.file
	bad, err := os.Open(os.DevNull)
	if err != nil {
		panic(err)
	}
	l.file = bad
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		bad.Close()
		l.file = good
	}
}

// Checkpoint signs the head now.
func (l *Log) Checkpoint() error { return l.checkpoint() }
