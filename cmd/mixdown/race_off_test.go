//go:build !race

package main

// raced says that the race detector, which takes several times the memory, is
// in the binary.
const raced = false
