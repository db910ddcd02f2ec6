//go:build race

package playout_test

// brief is by how much the long runs are shorter: the race detector makes them
// ten times slower and finds in them what it finds in short ones.
const brief = 10
