package cms

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"io"
	"slices"
	"time"

	"countersign/mailer/cms/algorithm"
	"countersign/mailer/cms/ber"
	"countersign/mailer/cms/recipient"
)

// Signed is a signed message whose first pass is done.
type Signed struct {
	Signers      []SignerInfo        // in their order; none means not signed
	Certificates []*x509.Certificate // enclosed, in their order, less those that cannot be read
	Detached     bool                // no content is enclosed
	Type         asn1.ObjectIdentifier
	// Revocation is what the set of enclosed RevocationInfoChoices holds (RFC 5652, section
	// 10.2.1), as it came: lists and the like, to be parsed elsewhere. It is nil where there
	// is none, or more than a megabyte of it.
	Revocation []byte

	src        Source
	content    Source // of a detached signature
	known      []*x509.Certificate
	sums       sums   // of the content, as pass 1 found it
	unreadable int    // certificates
	whole      []byte // the content, where a signature needs it in one piece
	passes     int64  // octets that such signatures were checked over
}

// SignerInfo is what one signer said and whether that holds.
type SignerInfo struct {
	// Err is nil if the signature by Certificate's key is valid for exactly this content.
	// ErrWeak means valid as far as mathematics goes.
	Err error
	// Identifier is how the message names the signer's certificate; empty if it cannot be read.
	Identifier recipient.Identifier
	// Certificate is the signer's; nil if it is neither enclosed nor known. Known says
	// that it did not come with the message.
	Certificate *x509.Certificate
	Known       bool
	// Time is when the signer claims to have signed; zero if they don't say.
	Time time.Time
	// Algorithm and Hash are for people: "RSA", "ECDSA P-256"; "SHA-256".
	Algorithm, Hash string
	// EncryptionCertificate is the enclosed one that the signer prefers for answers.
	EncryptionCertificate *x509.Certificate
	// Capabilities are the ciphers that the signer announces to read, the preferred first.
	Capabilities []Cipher
	// Derives says that the signer announces to read derived keys (RFC 9709), OAEP that
	// it is RSA-OAEP with SHA-256 too.
	Derives, OAEP bool
	// Digest is that of the content by Hash.
	Digest []byte
	// Attributes are the types of those that were signed.
	Attributes []asn1.ObjectIdentifier
}

// ReadSigned makes the first pass over a signed message: it reads all of it, digests the
// content and checks each signature. Content is nil for a message that encloses
// its content; for multipart/signed it is exactly the octets that were signed. A signer
// whose certificate is not enclosed is looked for in those that are known.
//
// The error is about the message as such. A signature that is invalid or cannot be
// checked is no error here: SignerInfo.Err tells.
func ReadSigned(src Source, content Source, known ...*x509.Certificate) (*Signed, error) {
	return readSigned(&Signed{src: src, content: content, known: known})
}

// readSigned takes the sums for those of the content, if there are any.
func readSigned(s *Signed) (*Signed, error) {
	infos, enclosed, err := s.parse()
	if err != nil {
		return nil, fmt.Errorf("reading a signed message: %w", err)
	}
	if s.content == nil {
		s.sums = enclosed
	}
	if s.content != nil || !s.Detached {
		wanted := []crypto.Hash{}
		for _, si := range infos {
			wanted = append(wanted, si.hash)
		}
		if err := s.digest(wanted); err != nil {
			return nil, fmt.Errorf("digesting signed content: %w", err)
		}
	}
	for i := range infos {
		si := &infos[i]
		if err := s.opposes(enclosed, si.hash); err != nil && si.err == nil {
			si.err = err
		}
		s.Signers = append(s.Signers, si.verify(s))
	}
	s.whole = nil
	return s, nil
}

// opposes says whether content was both given and enclosed and is not the same: a
// signature over the one would be shown beside the other.
func (s *Signed) opposes(enclosed sums, h crypto.Hash) error {
	if s.content == nil || s.Detached || bytes.Equal(enclosed.of[h], s.sums.of[h]) {
		return nil
	}
	return fmt.Errorf("%w: the signature encloses other content", ErrDigest)
}

// digest makes sure that the sums of the content that are wanted are there, all of
// them of one reading.
func (s *Signed) digest(wanted []crypto.Hash) error {
	wanted = slices.DeleteFunc(wanted, func(h crypto.Hash) bool { return h == 0 })
	lacking := func(h crypto.Hash) bool { return s.sums.of[h] == nil }
	if len(s.sums.of) > 0 && !slices.ContainsFunc(wanted, lacking) {
		return nil
	}
	content, err := s.open()
	if err != nil {
		return err
	}
	defer content.Close()
	s.sums, err = sum(content, wanted)
	return err
}

// begin opens src and reads as far as the content.
func (s *Signed) begin() (r *ber.Reader, announced []crypto.Hash, f io.Closer, err error) {
	in, err := s.src.Open()
	if err != nil {
		return nil, nil, nil, err
	}
	r = newReader(in)
	announced, err = s.header(r)
	if err != nil {
		in.Close()
		return nil, nil, nil, err
	}
	return r, announced, in, nil
}

func (s *Signed) header(r *ber.Reader) (announced []crypto.Hash, err error) {
	kind, err := contentInfo(r)
	if err != nil {
		return nil, err
	}
	if kind != KindSigned {
		return nil, malformed("this is " + string(kind))
	}
	if err := version(r); err != nil {
		return nil, err
	}
	err = r.Each(ber.Set, "digest algorithms", maxAlgorithms, ErrTooManyAlgorithms, func(der []byte) error {
		a, err := algorithm.Parse(der, "digest algorithm")
		if h := a.Hash(); h != 0 && !slices.Contains(announced, h) {
			announced = append(announced, h)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := r.Enter(ber.Sequence, "content info"); err != nil {
		return nil, err
	}
	if s.Type, err = readType(r, "content type"); err != nil {
		return nil, err
	}
	has, err := r.At(ber.Context)
	s.Detached = !has
	if has {
		err = r.Enter(ber.Context, "content")
	}
	return announced, err
}

// parse reads the whole of src.
func (s *Signed) parse() (infos []signerInfo, enclosed sums, err error) {
	r, announced, f, err := s.begin()
	if err != nil {
		return nil, enclosed, err
	}
	defer f.Close()
	if !s.Detached {
		content, err := r.Octets(ber.OctetString, "content")
		if err != nil {
			return nil, enclosed, err
		}
		if enclosed, err = sum(content, announced); err != nil {
			return nil, enclosed, err
		}
		if err := r.Leave(); err != nil { // [0]
			return nil, enclosed, err
		}
	}
	if err := r.Leave(); err != nil { // EncapsulatedContentInfo
		return nil, enclosed, err
	}
	if err := s.certificates(r); err != nil {
		return nil, enclosed, err
	}
	if crls, err := r.At(ber.Context + 1); err != nil {
		return nil, enclosed, err
	} else if crls {
		set, err := r.Small(maxRevocation, "revocation information")
		if err != nil {
			return nil, enclosed, err
		}
		if set != nil {
			s.Revocation = ber.Contents(set)
		}
	}
	err = r.Each(ber.Set, "signers", maxSigners, ErrTooManySigners, func(der []byte) error {
		infos = append(infos, parseSignerInfo(der))
		return nil
	})
	if err != nil {
		return nil, enclosed, err
	}
	return infos, enclosed, r.Finish()
}

// certificates reads the CertificateSet. What is not an X.509 certificate, or not
// one that can be read, is passed over.
func (s *Signed) certificates(r *ber.Reader) error {
	has, err := r.At(ber.Context)
	if err != nil || !has {
		return err
	}
	return r.Each(ber.Context, "certificates", maxCertificates, ErrTooManyCertificates, func(der []byte) error {
		if c, err := x509.ParseCertificate(der); err == nil {
			s.Certificates = append(s.Certificates, c)
		} else {
			s.unreadable++
		}
		return nil
	})
}

// Open makes the second pass. The stream gives the signed content octet for octet,
// and ErrIntegrity instead of any octet that is not what ReadSigned digested.
func (s *Signed) Open() (io.ReadCloser, error) {
	if s.Detached && s.content == nil {
		return nil, ErrNoContent
	}
	content, err := s.open()
	if err != nil {
		return nil, err
	}
	return s.sums.marks.Open(content), nil
}

// held is the content in one piece, for signatures over itself and not its digest (RFC
// 8419, section 3.1). It must be what was digested.
func (s *Signed) held() ([]byte, error) {
	if s.passes += s.sums.octets; s.sums.octets > maxWhole || s.passes > 4*maxWhole {
		return nil, ErrTooLongWhole
	}
	if s.whole != nil {
		return s.whole, nil
	}
	f, err := s.Open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	whole := make([]byte, s.sums.octets)
	if _, err := io.ReadFull(f, whole); err != nil {
		return nil, fmt.Errorf("reading signed content again: %w", err)
	}
	s.whole = whole
	return whole, nil
}

// open streams the content, unchecked.
func (s *Signed) open() (io.ReadCloser, error) {
	if s.content != nil {
		return s.content.Open()
	}
	r, _, f, err := (&Signed{src: s.src}).begin()
	if err != nil {
		return nil, err
	}
	content, err := r.Octets(ber.OctetString, "content")
	if err != nil {
		f.Close()
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{content, f}, nil
}
