package events

// Match is match.
func Match(pattern, s string) bool { return match(pattern, s) }

// MaxPending is maxPending.
const MaxPending = maxPending
