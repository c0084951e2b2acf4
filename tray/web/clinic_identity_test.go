package web

import (
	"context"
	"io"

	"countersign/tray/control"
)

func (c clinicIdentities) Request(_ context.Context, q control.RequestOrder) (control.IdentityRequest, error) {
	return asked, c.note("Identities.Request", q)
}

func (c clinicIdentities) Requests(context.Context, control.None) ([]control.IdentityRequest, error) {
	if !c.asked {
		return nil, c.note("Identities.Requests", nil)
	}
	return []control.IdentityRequest{asked}, c.note("Identities.Requests", nil)
}

func (c clinicIdentities) TakeOver(_ context.Context, q control.IdentityQuery) (control.None, error) {
	return control.None{}, c.note("Identities.TakeOver", q)
}

func (c clinicIdentities) Discard(_ context.Context, q control.RequestQuery) (control.None, error) {
	return control.None{}, c.note("Identities.Discard", q)
}

func (c clinicIdentities) Install(_ context.Context, _ control.None, r io.Reader) (control.Installed, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return control.Installed{}, err
	}
	c.uploads["certificate"] = string(data)
	return control.Installed{Says: []string{"The new certificate is in use.", "Make a new recovery file."}}, c.note("Identities.Install", nil)
}

func (c clinicIdentities) Lost(_ context.Context, q control.LostOrder) (control.LostReport, error) {
	return control.LostReport{
		Address: c.status.Address, Name: c.status.Name, At: monday, Says: []string{"Telephone your authority's revocation desk now."}, Request: &asked,
		Certificates: []control.OwnCertificate{{Usage: "signing and encryption", Issuer: "CN=Clinics' Authority 3", Subject: "CN=Dr Ada Osei", Serial: "0a1b2c", Fingerprint: "3f0c99aa01020304", Addresses: []string{c.status.Address}, Expires: monday}},
		Call:         []control.ToCall{{Name: "Dr Imran Shah", Address: "imran@north.example", Number: "+44 20 7946 0123"}, {Address: "met@north.example"}},
	}, c.note("Identities.Lost", q)
}

// asked is a request that waits.
var asked = control.IdentityRequest{ID: "r1", Address: "ada.osei@harbour.example", Name: "Dr Ada Osei", Key: "rsa-3072", Made: monday, PEM: "-----BEGIN CERTIFICATE REQUEST-----\n"}
