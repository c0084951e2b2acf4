package keychain

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"math/big"
)

// The session cipher of the Secret Service API 0.2, "Transfer of Secrets":
// dh-ietf1024-sha256-aes128-cbc-pkcs7. It keeps secrets from what listens on
// the bus. A program that speaks for the service itself gets them anyhow,
// so a group of 1,024 bits and big.Int's timing are good enough here, and
// nowhere else.

const exchangeName = "dh-ietf1024-sha256-aes128-cbc-pkcs7"

// groupBytes is the length of numbers in the group.
const groupBytes = 128

// group returns the Second Oakley Group (RFC 2409, section 6.2), whose
// generator is 2 and whose prime is safe.
func group() *big.Int {
	p, _ := new(big.Int).SetString("FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74"+
		"020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437"+
		"4FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"+
		"EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE65381FFFFFFFFFFFFFFFF", 16)
	return p
}

var (
	errExchange = errors.New("the service sent no usable public key")
	errSecret   = errors.New("the service sent an ill-formed secret")
)

// exchange is our half of a key agreement.
type exchange struct{ private *big.Int }

func newExchange() (*exchange, error) {
	p := group()
	// 2 to p-2, like the public keys that are accepted.
	x, err := rand.Int(rand.Reader, new(big.Int).Sub(p, big.NewInt(3)))
	if err != nil {
		return nil, err
	}
	return &exchange{x.Add(x, big.NewInt(2))}, nil
}

func (e *exchange) public() []byte {
	return new(big.Int).Exp(big.NewInt(2), e.private, group()).FillBytes(make([]byte, groupBytes))
}

// key agrees on a session key. A public key of 0, 1 or p-1 would make the
// secret one that everybody can compute.
func (e *exchange) key(public []byte) (sessionKey, error) {
	p := group()
	y := new(big.Int).SetBytes(public)
	last := new(big.Int).Sub(p, big.NewInt(2))
	if len(public) > groupBytes || y.Cmp(big.NewInt(2)) < 0 || y.Cmp(last) > 0 {
		return nil, errExchange
	}
	shared := new(big.Int).Exp(y, e.private, p).FillBytes(make([]byte, groupBytes))
	return hkdf.Key(sha256.New, shared, nil, "", 16)
}

type sessionKey []byte

// String hides the key.
func (sessionKey) String() string { return "[secret]" }

// GoString hides the key.
func (sessionKey) GoString() string { return "[secret]" }

// seal encrypts under a fresh vector.
func (k sessionKey) seal(plain []byte) (iv, sealed []byte, err error) {
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, nil, err
	}
	iv = make([]byte, aes.BlockSize)
	rand.Read(iv)
	pad := aes.BlockSize - len(plain)%aes.BlockSize
	sealed = append(bytes.Clone(plain), bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(sealed, sealed)
	return iv, sealed, nil
}

// open decrypts, and trusts nothing about lengths and padding (RFC 5652,
// section 6.3).
func (k sessionKey) open(iv, sealed []byte) ([]byte, error) {
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, err
	}
	if len(iv) != aes.BlockSize || len(sealed) == 0 || len(sealed)%aes.BlockSize != 0 {
		return nil, errSecret
	}
	plain := make([]byte, len(sealed))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, sealed)
	pad := int(plain[len(plain)-1])
	if pad < 1 || pad > aes.BlockSize {
		return nil, errSecret
	}
	body, padding := plain[:len(plain)-pad], plain[len(plain)-pad:]
	if !bytes.Equal(padding, bytes.Repeat([]byte{byte(pad)}, pad)) {
		return nil, errSecret
	}
	return body, nil
}
