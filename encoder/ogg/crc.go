package ogg

// polynomial is that of RFC 3533 section 6: the Ethernet polynomial, but most
// significant bit first and without inversions, so hash/crc32 does not do it.
const polynomial = 0x04c11db7

// crcTable holds the remainders of a byte followed by 0 to 7 zero bytes, so
// that eight bytes are taken at once.
var crcTable = makeCRCTable()

func makeCRCTable() *[8][256]uint32 {
	t := new([8][256]uint32)
	for i := range 256 {
		r := uint32(i) << 24
		for range 8 {
			if r&(1<<31) != 0 {
				r = r<<1 ^ polynomial
			} else {
				r <<= 1
			}
		}
		t[0][i] = r
	}
	for k := 1; k < 8; k++ {
		for i := range 256 {
			r := t[k-1][i]
			t[k][i] = r<<8 ^ t[0][r>>24]
		}
	}
	return t
}

// updateCRC carries the checksum on over b.
//
//go:norace
func updateCRC(crc uint32, b []byte) uint32 {
	t := crcTable
	for len(b) >= 8 {
		crc ^= uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
		crc = t[7][crc>>24] ^ t[6][crc>>16&0xff] ^ t[5][crc>>8&0xff] ^ t[4][crc&0xff] ^
			t[3][b[4]] ^ t[2][b[5]] ^ t[1][b[6]] ^ t[0][b[7]]
		b = b[8:]
	}
	for _, v := range b {
		crc = crc<<8 ^ t[0][byte(crc>>24)^v]
	}
	return crc
}

// pageCRC is the checksum of a page, whose own checksum field counts as zero.
func pageCRC(page []byte) uint32 {
	var zero [4]byte
	crc := updateCRC(0, page[:22])
	crc = updateCRC(crc, zero[:])
	return updateCRC(crc, page[26:])
}
