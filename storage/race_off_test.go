//go:build !race

package storage_test

// raced says that the race detector is at work.
const raced = false
