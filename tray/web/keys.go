package web

import (
	"bytes"
	"io"
	"slices"
	"strings"

	"countersign/tray/control"
)

// request makes a new key and its request, which waits on the set-up page.
func (v *visit) request() error {
	_, err := v.p.svc.Identities.Request(v.ctx(), control.RequestOrder{
		Address: strings.TrimSpace(v.form("address")), Name: strings.TrimSpace(v.form("name")), Key: v.form("key"), Separate: v.form("separate") != "", Token: v.form("card"),
	})
	return v.done("setup", err, "The key is made. Save the request and hand it to your authority, and make a new recovery file.")
}

// requestFile is a request as the authority needs it.
func (v *visit) requestFile() error {
	all, err := v.p.svc.Identities.Requests(v.ctx(), control.None{})
	if err != nil {
		return err
	}
	n := slices.IndexFunc(all, func(r control.IdentityRequest) bool { return r.ID == v.query("id") })
	if n < 0 {
		return &control.Error{Code: control.CodeNotFound, Says: "That request is no longer here.", Next: "Look at the set-up page."}
	}
	return v.download("request-"+all[n].Made.Format("2006-01-02")+".csr", io.NopCloser(strings.NewReader(all[n].PEM)))
}

func (v *visit) discardRequest() error {
	_, err := v.p.svc.Identities.Discard(v.ctx(), control.RequestQuery{ID: v.form("id")})
	return v.done("setup", err, "The request and its key are gone.")
}

// install takes in what the authority issued.
func (v *visit) install() error {
	data, _, err := v.smallFile(maxIdentity)
	if err != nil {
		return v.tell("setup", noteOf(err))
	}
	got, err := v.p.svc.Identities.Install(v.ctx(), control.None{}, bytes.NewReader(data))
	return v.done("setup", err, strings.Join(got.Says, " "))
}

// takeOver makes a new key sign before its day.
func (v *visit) takeOver() error {
	_, err := v.p.svc.Identities.TakeOver(v.ctx(), control.IdentityQuery{ID: v.form("id")})
	return v.done("settings", err, "The new certificate is in use.")
}

// giveUp shows what to do about a lost key in its own answer.
func (v *visit) giveUp() error {
	if v.form("sure") == "" {
		return v.tell("settings", note{Level: "care", Says: "Nothing was changed."})
	}
	report, err := v.p.svc.Identities.Lost(v.ctx(), control.LostOrder{ID: v.form("id")})
	if err != nil {
		return v.tell("settings", noteOf(err))
	}
	return v.settingUp(settingUp{Lost: &report})
}
