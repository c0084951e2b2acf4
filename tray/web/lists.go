package web

import (
	"strings"

	"countersign/tray/control"
)

// following is the content of the page of lists of authorities.
type following struct {
	Bundles []control.Bundle
	Found   *control.Bundle // fetched to be looked at; nobody follows it yet
	Order   control.BundleOrder
}

func (v *visit) lists() error {
	all, err := v.p.svc.Anchors.Bundles(v.ctx(), control.None{})
	if err != nil {
		return err
	}
	return v.show("lists", "settings", following{Bundles: all})
}

func (v *visit) bundleOrder() control.BundleOrder {
	return control.BundleOrder{URL: strings.TrimSpace(v.form("url")), For: v.form("for"),
		Domains: strings.FieldsFunc(v.form("domains"), func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\r' || r == '\t' })}
}

// findList fetches a list and shows who signs it: it is followed when that is confirmed.
func (v *visit) findList() error {
	f := following{Order: v.bundleOrder()}
	found, err := v.p.svc.Anchors.Follow(v.ctx(), f.Order)
	if err != nil {
		return v.tell("lists", noteOf(err))
	}
	if f.Bundles, err = v.p.svc.Anchors.Bundles(v.ctx(), control.None{}); err != nil {
		return err
	}
	f.Found = &found
	return v.show("lists", "settings", f)
}

func (v *visit) followList() error {
	o := v.bundleOrder()
	if o.Signer = v.form("signer"); o.Signer == "" {
		return v.tell("lists", note{Level: "care", Says: "The list is not followed: who signs it was not confirmed."})
	}
	_, err := v.p.svc.Anchors.Follow(v.ctx(), o)
	return v.done("lists", err, "The list is followed. Nobody in it is trusted until you confirm it below.")
}

// acceptFromList trusts those of a list whose fingerprints were compared.
func (v *visit) acceptFromList() error {
	confirmed := v.r.PostForm["confirm"]
	if len(confirmed) == 0 {
		return v.tell("lists", note{Level: "care", Says: "Nothing was added: no fingerprint was confirmed."})
	}
	_, err := v.p.svc.Anchors.Accept(v.ctx(), control.BundleConfirm{URL: v.form("url"), Confirm: confirmed})
	return v.done("lists", err, "Certificates of what you confirmed are now checked against it.")
}

func (v *visit) renewLists() error {
	_, err := v.p.svc.Anchors.Refresh(v.ctx(), control.None{})
	return v.done("lists", err, "The lists were fetched.")
}

func (v *visit) leaveList() error {
	_, err := v.p.svc.Anchors.Leave(v.ctx(), control.BundleQuery{URL: v.form("url")})
	return v.done("lists", err, "The list is followed no longer. Authorities that came from it stay; remove them under Settings if you want to.")
}
