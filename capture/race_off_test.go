//go:build !race

package capture_test

// raced says that the race detector is at work.
const raced = false
