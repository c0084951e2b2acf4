package cms_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"countersign/mailer/cms"
	"countersign/mailer/cms/ber"
)

// This file builds signed messages by hand, as no honest program would send them.

var (
	oidData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSigned        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidEnveloped     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 3}
	oidAES256CBC     = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
	oidOther         = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
	oidContentType   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidSigningTime   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}
	oidMessageDigest = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSigningCertV2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}
	oidProtection    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 52}
	oidSHA256        = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidSHA512        = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}
	oidRSA           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidSHA512RSA     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 13}
)

var oidCountersignature = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 6}

var utcTime = []byte("\x17\x0d260303091200Z")

func octets(b []byte) []byte {
	return append(ber.AppendHeader(nil, ber.OctetString, false, int64(len(b))), b...)
}

func oid(id asn1.ObjectIdentifier) []byte {
	b, err := asn1.Marshal(id)
	must(err)
	return b
}

func alg(id asn1.ObjectIdentifier) []byte { return ber.Nest(ber.Sequence, oid(id)) }

func attr(id asn1.ObjectIdentifier, values ...[]byte) []byte {
	return ber.Nest(ber.Sequence, oid(id), ber.Nest(ber.Set, values...))
}

func sha(b []byte) []byte { s := sha256.Sum256(b); return s[:] }

// crafted is a signer of a message made by hand.
type crafted struct {
	who          person
	id           []byte   // nil: issuer and serial number
	attrs        [][]byte // in the order in which they are sent; nil: none
	signed       []byte   // what is signed; nil: the attributes, sorted, or the content
	digestAlg    []byte
	signatureAlg []byte
	signature    []byte
	unsigned     [][]byte // attributes
	version      []byte   // nil: 1
}

// usual are the attributes that there must be.
func usual(content []byte) [][]byte {
	return [][]byte{attr(oidContentType, oid(oidData)), attr(oidMessageDigest, octets(sha(content)))}
}

func (c crafted) info(content []byte) []byte {
	if c.id == nil {
		var b cryptobyte.Builder
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(c.who.cert.RawIssuer)
			b.AddASN1BigInt(c.who.cert.SerialNumber)
		})
		c.id = b.BytesOrPanic()
	}
	if c.digestAlg == nil {
		c.digestAlg = alg(oidSHA256)
	}
	if c.signatureAlg == nil {
		c.signatureAlg = alg(oidRSA)
	}
	if c.signed == nil {
		c.signed = content
		if c.attrs != nil {
			c.signed = ber.SortedSet(c.attrs)
		}
	}
	if c.signature == nil {
		var err error
		c.signature, err = c.who.key.Sign(rand.Reader, sha(c.signed), crypto.SHA256)
		must(err)
	}
	var attrs []byte
	if c.attrs != nil {
		attrs = ber.Nest(ber.Context, c.attrs...)
	}
	var unsigned []byte
	if c.unsigned != nil {
		unsigned = ber.Nest(ber.Context+1, c.unsigned...)
	}
	if c.version == nil {
		c.version = []byte{2, 1, 1}
	}
	return ber.Nest(ber.Sequence, c.version, c.id, c.digestAlg, attrs, c.signatureAlg, octets(c.signature), unsigned)
}

// letter is the whole of a message made by hand.
type letter struct {
	typ       asn1.ObjectIdentifier
	announced [][]byte
	content   []byte // nil: not enclosed
	certs     []*x509.Certificate
	infos     [][]byte
	lists     []byte // revocation information
}

func (l letter) der() []byte {
	if l.typ == nil {
		l.typ = oidData
	}
	if l.announced == nil {
		l.announced = [][]byte{alg(oidSHA256)}
	}
	info := [][]byte{oid(l.typ)}
	if l.content != nil {
		info = append(info, ber.Nest(ber.Context, octets(l.content)))
	}
	var certs [][]byte
	for _, c := range l.certs {
		certs = append(certs, c.Raw)
	}
	return ber.Nest(ber.Sequence, oid(oidSigned), ber.Nest(ber.Context, ber.Nest(ber.Sequence,
		[]byte{2, 1, 1}, ber.Nest(ber.Set, l.announced...), ber.Nest(ber.Sequence, info...),
		ber.Nest(ber.Context, certs...), l.lists, ber.Nest(ber.Set, l.infos...))))
}

func TestOneSigner(t *testing.T) {
	rsa, other := people()["rsa"], people()["rsa2"]
	content := text(500)
	with := func(more ...[]byte) [][]byte { return append(usual(content), more...) }
	certID := func(c *x509.Certificate) []byte {
		return ber.Nest(ber.Sequence, ber.Nest(ber.Sequence, ber.Nest(ber.Sequence, octets(sha(c.Raw)))))
	}
	protection := func(digest, signature asn1.ObjectIdentifier) []byte {
		return attr(oidProtection, ber.Nest(ber.Sequence, alg(digest), ber.Nest(ber.Context+1, oid(signature))))
	}
	backwards := slices.Clone(usual(content))
	slices.SortFunc(backwards, func(a, b []byte) int { return bytes.Compare(b, a) })
	indefinite := func(b []byte) []byte { // the same attribute with indefinite lengths
		return slices.Concat([]byte{0x30, 0x80}, ber.Contents(b), []byte{0, 0})
	}
	many := with()
	for n := range 64 {
		many = append(many, attr(append(slices.Clone(oidOther), n), octets(nil)))
	}
	for _, c := range []struct {
		name   string
		signer crafted
		change func(*letter)
		want   error
	}{
		{"nothing odd", crafted{attrs: usual(content)}, nil, nil},
		{"without attributes", crafted{}, nil, nil},
		{"attributes out of order, signed in order", crafted{attrs: backwards}, nil, nil},
		{"attributes out of order, signed so", crafted{attrs: backwards, signed: ber.Nest(ber.Set, backwards...)}, nil, nil},
		{"attributes in BER", crafted{attrs: [][]byte{indefinite(backwards[0]), indefinite(backwards[1])}, signed: ber.SortedSet(backwards)}, nil, nil},
		{"by key identifier", crafted{attrs: usual(content), id: append([]byte{0x80, byte(len(rsa.cert.SubjectKeyId))}, rsa.cert.SubjectKeyId...)}, nil, nil},
		{"by no identifier", crafted{attrs: usual(content), id: []byte{0x80, 0}}, nil, cms.ErrNoCertificate},
		{"a digest not announced", crafted{attrs: usual(content)}, func(l *letter) { l.announced = [][]byte{alg(oidSHA512)} }, nil},
		{"no digest announced", crafted{attrs: usual(content)}, func(l *letter) { l.announced = [][]byte{} }, nil},
		{"an unknown attribute twice", crafted{attrs: with(attr(oidOther, octets(nil)), attr(oidOther, octets(nil)))}, nil, nil},
		{"an unknown attribute of nothing", crafted{attrs: with(attr(oidOther))}, nil, nil},
		{"two signing times in one", crafted{attrs: with(attr(oidSigningTime, utcTime, utcTime))}, nil, nil},
		{"version 3 with another identifier", crafted{attrs: usual(content), version: []byte{2, 1, 3}}, nil, nil},
		{"a version of its own", crafted{attrs: usual(content), version: []byte{2, 2, 1, 0}}, nil, nil},
		{"no version", crafted{attrs: usual(content), version: []byte{5, 0}}, nil, cms.ErrMalformed},
		{"unsigned attributes", crafted{attrs: usual(content), unsigned: [][]byte{attr(oidOther, octets(content)), octets(nil)}}, nil, nil},
		{"a countersignature of nonsense", crafted{attrs: usual(content), unsigned: [][]byte{attr(oidCountersignature, octets(nil))}}, nil, nil},
		{"its certificate named", crafted{attrs: with(attr(oidSigningCertV2, certID(rsa.cert)))}, nil, nil},
		{"its algorithms protected", crafted{attrs: with(protection(oidSHA256, oidRSA))}, nil, nil},

		{"another certificate named", crafted{attrs: with(attr(oidSigningCertV2, certID(other.cert)))}, nil, cms.ErrAttributes},
		{"another digest protected", crafted{attrs: with(protection(oidSHA512, oidRSA))}, nil, cms.ErrAttributes},
		{"another signature protected", crafted{attrs: with(protection(oidSHA256, oidSHA512RSA))}, nil, cms.ErrAttributes},
		{"nonsense for a protection", crafted{attrs: with(attr(oidProtection, octets(nil)))}, nil, cms.ErrAttributes},
		{"no content type", crafted{attrs: usual(content)[1:]}, nil, cms.ErrAttributes},
		{"no digest", crafted{attrs: usual(content)[:1]}, nil, cms.ErrAttributes},
		{"no attributes at all in their field", crafted{attrs: [][]byte{}}, nil, cms.ErrAttributes},
		{"two digests", crafted{attrs: with(attr(oidMessageDigest, octets(sha(nil))))}, nil, cms.ErrAttributes},
		{"two digests in one", crafted{attrs: [][]byte{usual(content)[0], attr(oidMessageDigest, octets(sha(content)), octets(sha(nil)))}}, nil, cms.ErrAttributes},
		{"a digest of nothing in it", crafted{attrs: [][]byte{usual(content)[0], attr(oidMessageDigest)}}, nil, cms.ErrAttributes},
		{"a content type of nothing in it", crafted{attrs: [][]byte{attr(oidContentType), usual(content)[1]}}, nil, cms.ErrAttributes},
		{"two content types", crafted{attrs: with(usual(content)[0])}, nil, cms.ErrAttributes},
		{"two content types in one", crafted{attrs: [][]byte{attr(oidContentType, oid(oidData), oid(oidOther)), usual(content)[1]}}, nil, cms.ErrAttributes},
		{"two signing times", crafted{attrs: with(attr(oidSigningTime, utcTime), attr(oidSigningTime, utcTime))}, nil, cms.ErrAttributes},
		{"two protections", crafted{attrs: with(protection(oidSHA256, oidRSA), protection(oidSHA256, oidRSA))}, nil, cms.ErrAttributes},
		{"the digest of something else", crafted{attrs: usual(nil)}, nil, cms.ErrDigest},
		{"another content type", crafted{attrs: usual(content)}, func(l *letter) { l.typ = oidOther }, cms.ErrAttributes},
		{"another content type without attributes", crafted{}, func(l *letter) { l.typ = oidOther }, cms.ErrAttributes},
		{"too many attributes", crafted{attrs: many}, nil, cms.ErrTooManyAttributes},
		{"an attribute that is none", crafted{attrs: with(octets(nil))}, nil, cms.ErrMalformed},
		{"another's signature", crafted{attrs: usual(content), signature: make([]byte, 256)}, nil, cms.ErrSignature},
		{"no signature", crafted{attrs: usual(content), signature: []byte{}}, nil, cms.ErrSignature},
		{"an algorithm at odds with its digest", crafted{attrs: usual(content), signatureAlg: alg(oidSHA512RSA)}, nil, cms.ErrUnsupported},
		{"an unknown signature algorithm", crafted{attrs: usual(content), signatureAlg: alg(oidOther)}, nil, cms.ErrUnsupported},
		{"an unknown digest", crafted{attrs: usual(content), digestAlg: alg(oidOther)}, nil, cms.ErrUnsupported},
		{"no certificate", crafted{attrs: usual(content)}, func(l *letter) { l.certs = nil }, cms.ErrNoCertificate},
		{"a certificate that cannot be read", crafted{attrs: usual(content)}, func(l *letter) { l.certs = []*x509.Certificate{{Raw: alg(oidOther)}} }, cms.ErrNoCertificate},
		{"a certificate that cannot be read, so that nobody knows", crafted{attrs: usual(content)}, func(l *letter) { l.certs = []*x509.Certificate{{Raw: alg(oidOther)}} }, cms.ErrUnsupported},
		{"a signer that is none", crafted{attrs: usual(content)}, func(l *letter) { l.infos = [][]byte{octets(nil)} }, cms.ErrMalformed},
		{"no content", crafted{attrs: usual(content)}, func(l *letter) { l.content = nil }, cms.ErrNoContent},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.signer.who = rsa
			l := letter{content: content, certs: []*x509.Certificate{other.cert, rsa.cert}, infos: [][]byte{c.signer.info(content)}}
			if c.change != nil {
				c.change(&l)
			}
			s := readSigned(t, l.der(), nil)
			if len(s.Signers) != 1 || !isError(s.Signers[0].Err, c.want) {
				t.Errorf("got %+v, want %v", s.Signers, c.want)
			}
		})
	}
}

// Signed attributes are a document in themselves. Whoever strips them off a signature
// has a valid signature without attributes over their encoding.
func TestAttributesPassedOffAsContent(t *testing.T) {
	rsa, content := people()["rsa"], text(500)
	attrs := ber.SortedSet(usual(content))
	l := letter{content: attrs, certs: []*x509.Certificate{rsa.cert}, infos: [][]byte{crafted{who: rsa}.info(attrs)}}
	if s := readSigned(t, l.der(), nil); !errors.Is(s.Signers[0].Err, cms.ErrAttributes) {
		t.Errorf("got %+v", s.Signers)
	}
}

func TestEverySignerIsJudgedAlone(t *testing.T) {
	a, b, content := people()["rsa"], people()["rsa2"], text(500)
	l := letter{content: content, certs: []*x509.Certificate{a.cert, b.cert}, infos: [][]byte{
		crafted{who: a, attrs: usual(content)}.info(content),
		crafted{who: b, attrs: usual(nil)}.info(content),
		octets(nil),
		crafted{who: b, attrs: usual(content)}.info(content),
	}}
	s := readSigned(t, l.der(), nil)
	for i, want := range []error{nil, cms.ErrDigest, cms.ErrMalformed, nil} {
		if !isError(s.Signers[i].Err, want) {
			t.Errorf("signer %d: %v, want %v", i, s.Signers[i].Err, want)
		}
	}
}

func TestTwoCertificatesOfOneName(t *testing.T) {
	rsa, other, content := people()["rsa"], people()["rsa2"], text(500)
	template, authority := *rsa.cert, people()["authority"]
	der, err := x509.CreateCertificate(rand.Reader, &template, authority.cert, other.key.Public(), authority.key)
	must(err)
	double, err := x509.ParseCertificate(der)
	must(err)
	info := crafted{who: rsa, attrs: usual(content)}.info(content)
	l := letter{content: content, certs: []*x509.Certificate{double, rsa.cert}, infos: [][]byte{info}}
	if s := readSigned(t, l.der(), nil); s.Signers[0].Err != nil || !s.Signers[0].Certificate.Equal(rsa.cert) {
		t.Errorf("got %+v", s.Signers[0])
	}
	l.certs = l.certs[:1]
	if s := readSigned(t, l.der(), nil); !errors.Is(s.Signers[0].Err, cms.ErrSignature) {
		t.Errorf("got %+v", s.Signers[0])
	}
}

// A signer whose certificate did not come along is looked for among those that are
// known. One of the same name and another key proves nothing either way.
func TestKnownCertificates(t *testing.T) {
	rsa, other, content := people()["rsa"], people()["rsa2"], text(500)
	template, authority := *rsa.cert, people()["authority"]
	der, err := x509.CreateCertificate(rand.Reader, &template, authority.cert, other.key.Public(), authority.key)
	must(err)
	double, err := x509.ParseCertificate(der)
	must(err)
	certs := func(list ...*x509.Certificate) []*x509.Certificate { return list }
	good, changed := usual(content), usual(nil)
	for _, c := range []struct {
		name            string
		attrs           [][]byte
		enclosed, known []*x509.Certificate
		want            error
		by              *x509.Certificate
		out             bool // of the message: known
	}{
		{"known", good, nil, certs(other.cert, rsa.cert), nil, rsa.cert, true},
		{"known beside a double", good, nil, certs(double, rsa.cert), nil, rsa.cert, true},
		{"known, other content", changed, nil, certs(rsa.cert), cms.ErrDigest, rsa.cert, true},
		{"a double alone", good, nil, certs(double), cms.ErrNoCertificate, nil, false},
		{"others", good, certs(other.cert), certs(other.cert), cms.ErrNoCertificate, nil, false},
		{"enclosed and known", good, certs(rsa.cert), certs(rsa.cert), nil, rsa.cert, false},
		{"what is enclosed goes first", good, certs(double), certs(rsa.cert), cms.ErrSignature, double, false},
	} {
		l := letter{content: content, certs: c.enclosed, infos: [][]byte{crafted{who: rsa, attrs: c.attrs}.info(content)}}
		s, err := cms.ReadSigned(source(l.der()), nil, c.known...)
		must(err)
		if si := s.Signers[0]; !isError(si.Err, c.want) || si.Certificate != c.by && !si.Certificate.Equal(c.by) || si.Known != c.out {
			t.Errorf("%s: %+v", c.name, si)
		}
	}
}

func TestNobodySigned(t *testing.T) {
	s := readSigned(t, letter{content: text(10)}.der(), nil)
	if len(s.Signers) != 0 || !bytes.Equal(readAll(t, s), text(10)) {
		t.Errorf("got %+v", s)
	}
	s = readSigned(t, letter{certs: []*x509.Certificate{people()["rsa"].cert}}.der(), nil) // certs-only
	if len(s.Signers) != 0 || len(s.Certificates) != 1 {
		t.Errorf("got %+v", s)
	}
	if _, err := s.Open(); !errors.Is(err, cms.ErrNoContent) {
		t.Errorf("opened: %v", err)
	}
}

// Enclosed revocation information is handed on as it came, unless there is too much of it.
func TestRevocation(t *testing.T) {
	p, content := people()["rsa"], text(500)
	info := crafted{who: p, attrs: usual(content)}.info(content)
	list := ber.Nest(ber.Sequence, octets(make([]byte, 500_000)))
	for name, c := range map[string]struct{ lists, want []byte }{
		"none":       {nil, nil},
		"nothing":    {ber.Nest(ber.Context + 1), []byte{}},
		"two":        {ber.Nest(ber.Context+1, list, list), slices.Concat(list, list)},
		"three":      {ber.Nest(ber.Context+1, list, list, list), nil},
		"indefinite": {slices.Concat([]byte{0xa1, 0x80}, list, []byte{0, 0}), nil},
	} {
		s := readSigned(t, letter{content: content, certs: certificates(p), infos: [][]byte{info}, lists: c.lists}.der(), nil)
		if !bytes.Equal(s.Revocation, c.want) || (s.Revocation == nil) != (c.want == nil) || s.Signers[0].Err != nil {
			t.Errorf("%s: %d octets, want %d; %v", name, len(s.Revocation), len(c.want), s.Signers[0].Err)
		}
	}
	whole := letter{content: content, lists: ber.Nest(ber.Context+1, list)}.der()
	if _, err := cms.ReadSigned(source(whole[:len(whole)-1000]), nil); !errors.Is(err, cms.ErrMalformed) {
		t.Errorf("cut off: %v", err)
	}
}

// A detached signature that encloses content of its own must not vouch for the content beside it.
func TestContentBesideContent(t *testing.T) {
	rsa, content := people()["rsa"], text(500)
	l := letter{content: content, certs: []*x509.Certificate{rsa.cert}, infos: [][]byte{crafted{who: rsa, attrs: usual(content)}.info(content)}}
	if s := readSigned(t, l.der(), source(content)); s.Signers[0].Err != nil {
		t.Errorf("the same: %v", s.Signers[0].Err)
	}
	if s := readSigned(t, l.der(), source(text(400))); !errors.Is(s.Signers[0].Err, cms.ErrDigest) {
		t.Errorf("other content beside: %v", s.Signers[0].Err)
	}
	l.content = text(400)
	if s := readSigned(t, l.der(), source(content)); !errors.Is(s.Signers[0].Err, cms.ErrDigest) {
		t.Errorf("other content within: %v", s.Signers[0].Err)
	}
}

func TestSignedLimits(t *testing.T) {
	rsa, content := people()["rsa"], text(10)
	info := crafted{who: rsa, attrs: usual(content)}.info(content)
	for _, c := range []struct {
		name string
		l    letter
		want error
	}{
		{"certificates", letter{certs: slices.Repeat([]*x509.Certificate{rsa.cert}, 65)}, cms.ErrTooManyCertificates},
		{"signers", letter{infos: slices.Repeat([][]byte{info}, 33)}, cms.ErrTooManySigners},
		{"digests", letter{announced: slices.Repeat([][]byte{alg(oidSHA256)}, 17)}, cms.ErrTooManyAlgorithms},
		{"octets", letter{infos: [][]byte{octets(make([]byte, 1<<20))}}, cms.ErrTooLarge},
		{"depth", letter{infos: [][]byte{bytes.Repeat([]byte{0x30, 0x80}, 70)}}, cms.ErrTooDeep},
	} {
		if _, err := cms.ReadSigned(source(c.l.der()), nil); !errors.Is(err, c.want) || !errors.Is(err, cms.ErrLimit) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// changing gives other bytes the second time.
type changing struct{ opened int }

func (c *changing) Open() (io.ReadCloser, error) {
	c.opened++
	return io.NopCloser(bytes.NewReader(fmt.Append(nil, "opened ", c.opened))), nil
}

func TestSourceThatChanges(t *testing.T) {
	content, first := &changing{}, []byte("opened 1")
	s := readSigned(t, detached(t, first, cms.SignOptions{Time: time.Now()}, people()["rsa"]), content)
	if s.Signers[0].Err != nil {
		t.Fatal(s.Signers[0].Err)
	}
	if got, err := read(s); !errors.Is(err, cms.ErrIntegrity) {
		t.Errorf("read %q: %v", got, err)
	}
}
