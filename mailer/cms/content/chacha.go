package content

import (
	"bytes"
	"encoding/binary"
	"io"

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/poly1305" //lint:ignore SA1019 its successor takes no streams
)

const (
	chachaBlock = 64
	chachaMost  = (1<<32 - 1) * chachaBlock // RFC 8439, section 2.8
)

// chacha is ChaCha20-Poly1305 (RFC 8103, RFC 8439) over a stream. Attributes come before
// the content in its tag and behind it in the message: they have to be known beforehand.
type chacha struct {
	*chacha20.Cipher
	mac        *poly1305.MAC
	octets     uint64
	attributes []byte
}

func startChaCha(key, params []byte, _ bool) (mode, error) {
	var nonce []byte
	s := cryptobyte.String(params)
	if !s.ReadASN1Bytes(&nonce, cbasn1.OCTET_STRING) || !s.Empty() || len(nonce) != chacha20.NonceSize {
		return nil, malformed("no nonce")
	}
	c, err := chacha20.NewUnauthenticatedCipher(key, nonce)
	if err != nil {
		return nil, err
	}
	var once [32]byte
	c.XORKeyStream(once[:], once[:])
	c.SetCounter(1)
	return &chacha{Cipher: c, mac: poly1305.New(&once)}, nil
}

func newChaCha(rand io.Reader) ([]byte, error) {
	nonce := make([]byte, chacha20.NonceSize)
	if _, err := io.ReadFull(rand, nonce); err != nil {
		return nil, err
	}
	return octetString(nonce), nil
}

func (c *chacha) blockSize() int        { return chachaBlock }
func (c *chacha) crypt(dst, src []byte) { c.XORKeyStream(dst, src) }

func (c *chacha) seal(dst, rest []byte) []byte {
	n := len(dst)
	dst = append(dst, rest...)
	c.XORKeyStream(dst[n:], dst[n:])
	return dst
}

func (c *chacha) open(last []byte) ([]byte, error) {
	c.XORKeyStream(last, last)
	return last, nil
}

func (c *chacha) begin(attributes []byte) {
	c.attributes = attributes
	c.mac.Write(attributes)
	c.mac.Write(make([]byte, (16-len(attributes)%16)%16))
}

func (c *chacha) absorb(ciphertext []byte) {
	c.mac.Write(ciphertext)
	c.octets += uint64(len(ciphertext))
}

func (c *chacha) tag(attributes []byte) ([]byte, error) {
	if !bytes.Equal(attributes, c.attributes) {
		return nil, ErrIntegrity // they changed since they were read first
	}
	c.mac.Write(make([]byte, (16-c.octets%16)%16))
	lengths := binary.LittleEndian.AppendUint64(nil, uint64(len(attributes)))
	c.mac.Write(binary.LittleEndian.AppendUint64(lengths, c.octets))
	return c.mac.Sum(nil), nil
}
