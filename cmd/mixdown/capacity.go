package main

import (
	"errors"
	"runtime"

	"mixdown/capacity"
	"mixdown/capture"
)

// expectedStreams is how many a capture is taken for if nobody is in its room
// yet, or the room is elsewhere.
const expectedStreams = 3

// openCapacity begins to measure what captures cost.
func (d *daemon) openCapacity() {
	d.capacity = capacity.New(capacity.Config{
		Limit: d.config.Capacity.CPU, MaxStreams: d.config.Capacity.MaxStreams, MaxCaptures: d.config.Capacity.MaxCaptures,
		Processors: runtime.GOMAXPROCS(0), CPU: capacity.ProcessCPU,
		Count: func() (int, int) { return d.captures.Count() },
	})
}

// admit says whether there is room for a capture.
func (d *daemon) admit(spec capture.Spec, running int) error {
	streams := expectedStreams
	if room, open := d.rooms.Room(spec.Room.RoomID); open && spec.Room.URL == "" && len(room.Streams) > 0 {
		streams = len(room.Streams)
	}
	return d.capacity.Admit(streams, running)
}

// ready is why nobody should start captures here now.
func (d *daemon) ready() error {
	if d.ending.Load() {
		return errors.New("the daemon stops; its captures go on when it starts again")
	}
	return nil
}
