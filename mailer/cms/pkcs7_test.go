package cms_test

import (
	"bytes"
	"testing"

	"countersign/mailer/cms"
	"go.mozilla.org/pkcs7"
)

// An independent implementation reads what we write and the reverse.
func TestPKCS7Peer(t *testing.T) {
	p, content := people()["rsa"], text(1000) // of several segments it keeps only the first

	for _, size := range []int64{int64(len(content)), -1} {
		for name, who := range map[string]person{"rsa": p, "p256": people()["p256"]} {
			theirs, err := pkcs7.Parse(opaque(t, content, size, cms.SignOptions{}, who))
			if err == nil {
				err = theirs.Verify()
			}
			if err != nil || !bytes.Equal(theirs.Content, content) {
				t.Errorf("they verify %s, size %d: %v", name, size, err)
			}
		}
		theirs, err := pkcs7.Parse(enveloped(t, content, cms.EncryptOptions{Size: size}, p))
		var got []byte
		if err == nil {
			got, err = theirs.Decrypt(p.cert, p.key)
		}
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("they decrypt, size %d: %v", size, err)
		}
	}

	for _, apart := range []bool{false, true} {
		signed, err := pkcs7.NewSignedData(content)
		must(err)
		signed.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
		must(signed.AddSigner(p.cert, p.key, pkcs7.SignerInfoConfig{}))
		var beside cms.Source
		if apart {
			signed.Detach()
			beside = source(content)
		}
		der, err := signed.Finish()
		must(err)
		s := readSigned(t, der, beside)
		if s.Signers[0].Err != nil || s.Signers[0].Time.IsZero() || !bytes.Equal(readAll(t, s), content) {
			t.Errorf("we verify: %+v", s.Signers)
		}
	}

	pkcs7.ContentEncryptionAlgorithm = pkcs7.EncryptionAlgorithmAES256CBC
	der, err := pkcs7.Encrypt(content, certificates(p))
	must(err)
	if got := readAll(t, readEnveloped(t, der, p)); !bytes.Equal(got, content) {
		t.Error("we decrypt something else")
	}
}
