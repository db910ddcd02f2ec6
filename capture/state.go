package capture

// State is the state of a capture:
//
//	waiting ──► recording ──► finalizing ──► complete
//	   │  ▲         │  ▲           ▲
//	   ▼  │         ▼  │           │
//	reconnecting ◄──┴──┘   stop, limit, kicked
//	   │
//	   └── crash or shutdown: interrupted ──► waiting (next start)
//
// failed is reached from any of them, with a reason, when nothing more can be
// recorded and nothing was. Only (*Capture).setState changes it.
type State string

// The states of a capture.
const (
	Waiting      State = "waiting"
	Recording    State = "recording"
	Paused       State = "paused"
	Reconnecting State = "reconnecting"
	Finalizing   State = "finalizing"
	Complete     State = "complete"
	Interrupted  State = "interrupted"
	Failed       State = "failed"
)

// inRoom says that the participant changes this state.
func (s State) inRoom() bool { return s == Waiting || s == Recording || s == Reconnecting }

// Ended says that a capture in this state never runs again.
func (s State) Ended() bool { return s == Complete || s == Failed }

// States lists all states.
func States() []State {
	return []State{Waiting, Recording, Paused, Reconnecting, Finalizing, Complete, Interrupted, Failed}
}
