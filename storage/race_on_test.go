//go:build race

package storage_test

// raced says that the race detector is at work, which makes everything ten
// times slower: long calls are shorter then.
const raced = true
