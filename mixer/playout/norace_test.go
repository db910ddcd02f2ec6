//go:build !race

package playout_test

const brief = 1
