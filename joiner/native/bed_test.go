package native_test

import (
	"errors"
	"testing"
	"time"

	"mixdown/joiner"
	"mixdown/joiner/joinertest"
	"mixdown/rooms/roomstest"
)

var errTestOver = errors.New("test over")

// joined is a participant that runs on a host of a bed.
type joined struct {
	*joinertest.Recorder
	host *roomstest.Host
}

func join(t *testing.T, bed *roomstest.Bed, host *roomstest.Host, login joiner.Login) *joined {
	t.Helper()
	return joinAs(t, bed, host, login, joinertest.NewEar())
}

func joinAs(t *testing.T, bed *roomstest.Bed, host *roomstest.Host, login joiner.Login, ear *joinertest.Ear) *joined {
	t.Helper()
	return &joined{joinertest.Join(t, host.System, login, ear, bed.Log.With("host", login.UserID)), host}
}

// connected waits for the login.
func (j *joined) connected(t *testing.T) *joined {
	t.Helper()
	j.Connected(t, time.Second)
	return j
}

// within waits until what is true, for at most d.
var within = joinertest.Within
