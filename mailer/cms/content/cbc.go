package content

import (
	stdaes "crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"io"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// cbc is a block cipher in CBC mode with the padding of RFC 5652, section 6.3.
type cbc struct{ cipher.BlockMode }

func startAESCBC(key, params []byte, encrypt bool) (mode, error) {
	b, err := stdaes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return startCBC(b, params, encrypt)
}

func startCBC(b cipher.Block, params []byte, encrypt bool) (mode, error) {
	var iv []byte
	s := cryptobyte.String(params)
	if !s.ReadASN1Bytes(&iv, cbasn1.OCTET_STRING) || !s.Empty() || len(iv) != b.BlockSize() {
		return nil, malformed("no initialisation vector")
	}
	if encrypt {
		return cbc{cipher.NewCBCEncrypter(b, iv)}, nil
	}
	return cbc{cipher.NewCBCDecrypter(b, iv)}, nil
}

func newIV(rand io.Reader) ([]byte, error) {
	iv := make([]byte, stdaes.BlockSize)
	if _, err := io.ReadFull(rand, iv); err != nil {
		return nil, err
	}
	return octetString(iv), nil
}

func (c cbc) blockSize() int             { return c.BlockSize() }
func (c cbc) crypt(dst, src []byte)      { c.CryptBlocks(dst, src) }
func (c cbc) absorb([]byte)              {}
func (c cbc) tag([]byte) ([]byte, error) { return nil, nil }

func (c cbc) seal(dst, rest []byte) []byte {
	pad := c.BlockSize() - len(rest)
	n := len(dst)
	dst = append(dst, rest...)
	for range pad {
		dst = append(dst, byte(pad))
	}
	c.CryptBlocks(dst[n:], dst[n:])
	return dst
}

// open says nothing about what is wrong with the padding, and takes the same time.
func (c cbc) open(last []byte) ([]byte, error) {
	size := c.BlockSize()
	if len(last) == 0 || len(last)%size != 0 {
		return nil, ErrIntegrity
	}
	c.CryptBlocks(last, last)
	end := last[len(last)-size:]
	pad := int(end[size-1])
	good := subtle.ConstantTimeLessOrEq(1, pad) & subtle.ConstantTimeLessOrEq(pad, size)
	for i, b := range end {
		covered := subtle.ConstantTimeLessOrEq(size, i+pad)
		good &= 1 ^ covered | subtle.ConstantTimeByteEq(b, byte(pad))
	}
	if good == 0 {
		return nil, ErrIntegrity
	}
	return last[:len(last)-pad], nil
}
