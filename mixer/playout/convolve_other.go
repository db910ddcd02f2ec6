//go:build !amd64

package playout

import "unsafe"

// between sets c to a + w*(b-a).
//
//go:norace
func between(c, a, b *[taps]float32, w float32) {
	for i := range c {
		c[i] = a[i] + float32(w*(b[i]-a[i]))
	}
}

// convolve sets the first n of y to the dots of c with what is at x, x+1 and so
// on. There must be n-1+taps samples at x.
//
//go:norace
func convolve(y *[stride]float32, c *[taps]float32, x *float32, n int) {
	for i := range n {
		y[i] = dot(c, (*[taps]float32)(unsafe.Add(unsafe.Pointer(x), 4*i)))
	}
}
