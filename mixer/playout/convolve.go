package playout

// dot is the sum of the products, by four sums in turn. It is what convolve does
// for each of its sums.
//
//go:norace
func dot(c, x *[taps]float32) float32 {
	s0 := c[0]*x[0] + c[4]*x[4] + c[8]*x[8] + c[12]*x[12] + c[16]*x[16] + c[20]*x[20] + c[24]*x[24] + c[28]*x[28]
	s1 := c[1]*x[1] + c[5]*x[5] + c[9]*x[9] + c[13]*x[13] + c[17]*x[17] + c[21]*x[21] + c[25]*x[25] + c[29]*x[29]
	s2 := c[2]*x[2] + c[6]*x[6] + c[10]*x[10] + c[14]*x[14] + c[18]*x[18] + c[22]*x[22] + c[26]*x[26] + c[30]*x[30]
	s3 := c[3]*x[3] + c[7]*x[7] + c[11]*x[11] + c[15]*x[15] + c[19]*x[19] + c[23]*x[23] + c[27]*x[27] + c[31]*x[31]
	return (s0 + s1) + (s2 + s3)
}
