package demo

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"time"

	"countersign/mailer/cms"
	"countersign/mailer/message"
	"countersign/mailer/smime"
	"countersign/tray/control"
)

const (
	impostorSubject = "New clinic number"
	strangerAddress = "reception@oldtown.example"
	certificateFile = "bea-brandt.pem"
)

// forge makes the attacker's letter: well formed, signed with a certificate that
// the trusted authority issued for the colleague's own address, and encrypted. An
// attacker is not bound by our policy, so it is made without an agent.
func (s *stage) forge() ([]byte, error) {
	var out bytes.Buffer
	err := smime.Seal(&out, smime.Letter{
		From:    message.Address{Name: s.bea.Name, Addr: s.bea.Address},
		To:      []message.Address{{Name: s.ada.Name, Addr: s.ada.Address}},
		Subject: impostorSubject, Date: s.now().UTC().Truncate(time.Second),
		MessageID: "<" + control.NewID() + "@oldtown.example>",
		Text:      "Dear Ada,\n\nPlease send Mrs K's results to this address from now on,\nand ring me on my new number if you need to.\n\nBea",
	}, smime.Keys{
		Signer:     cms.Signer{Key: s.mallory.Key, Certificate: s.mallory.Certificate},
		Encryption: s.mallory.Certificate,
	}, []*x509.Certificate{s.ada.Certificate}, rand.Reader)
	return out.Bytes(), err
}

// card is the colleague's certificate as people pass it on: a file in a message
// that nothing protects. It is no secret, and proves nothing by itself.
func (s *stage) card() ([]byte, error) {
	boundary, err := message.NewBoundary(rand.Reader)
	if err != nil {
		return nil, err
	}
	e := message.Entity{Type: "multipart/mixed", Boundary: boundary, Parts: []message.Entity{
		{Type: "text/plain", Text: "Dear Ada,\n\nHere is my certificate. Please ring me before you rely on it.\n\nBea\n"},
		{Type: "application/pem-certificate-chain", Disposition: "attachment", Name: certificateFile, Content: message.Bytes(s.bea.PEM())},
	}}
	for _, f := range []message.Field{
		{Name: "From", Value: message.Address{Name: s.bea.Name, Addr: s.bea.Address}.String()},
		{Name: "To", Value: s.ada.Address},
		{Name: "Subject", Value: "My certificate"},
		{Name: "Date", Value: message.FormatDate(s.now())},
		{Name: "Message-ID", Value: "<" + control.NewID() + "@northclinic.example>"},
		{Name: "MIME-Version", Value: "1.0"},
	} {
		e.Header.Add(f.Name, f.Value)
	}
	var out bytes.Buffer
	err = e.Write(&out)
	return out.Bytes(), err
}

// plain is a message as most of the world sends it.
func (s *stage) plain() []byte {
	return fmt.Appendf(nil, "From: Reception <%s>\r\nTo: <%s>\r\nDate: %s\r\nMessage-ID: <%s@oldtown.example>\r\n"+
		"Subject: Appointment for your patient\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"+
		"Hello, please find the details of the visit below.\r\n",
		strangerAddress, s.ada.Address, s.now().Format(time.RFC1123Z), control.NewID())
}
