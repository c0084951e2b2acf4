package content

import (
	stdaes "crypto/aes"
	"crypto/cipher"
	"encoding/binary"
)

// counting is the CTR mode of GCM, whose counter is only the last 32 bits of a block (NIST
// SP 800-38D, section 6.5). After a nonce that is not of 12 octets it may run over.
type counting struct {
	cipher.Stream
	block cipher.Block
	next  [stdaes.BlockSize]byte
	left  uint64 // octets until it runs over
}

// newCounting begins behind at.
func newCounting(block cipher.Block, at [stdaes.BlockSize]byte) *counting {
	c := &counting{block: block, next: at}
	c.begin(binary.BigEndian.Uint32(at[12:]) + 1)
	return c
}

func (c *counting) begin(n uint32) {
	binary.BigEndian.PutUint32(c.next[12:], n)
	c.Stream, c.left = cipher.NewCTR(c.block, c.next[:]), (1<<32-uint64(n))*stdaes.BlockSize
}

// XORKeyStream implements cipher.Stream.
func (c *counting) XORKeyStream(dst, src []byte) {
	for uint64(len(src)) > c.left {
		n := c.left
		c.Stream.XORKeyStream(dst[:n], src[:n])
		dst, src = dst[n:], src[n:]
		c.begin(0)
	}
	c.Stream.XORKeyStream(dst, src)
	c.left -= uint64(len(src))
}
