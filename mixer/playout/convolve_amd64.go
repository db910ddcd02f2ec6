package playout

// between sets c to a + w*(b-a). Every amd64 has what it takes.
//
//go:noescape
func between(c, a, b *[taps]float32, w float32)

// convolve sets the first n of y to the sums of c over x, x+1 and so on, as
// dot adds them up, bit for bit but four products at once. There must be n-1+taps
// samples at x.
//
//go:noescape
func convolve(y *[stride]float32, c *[taps]float32, x *float32, n int)
