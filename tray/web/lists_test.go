package web

import (
	"reflect"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"countersign/tray/control"
)

// communityList has one authority that is not trusted yet.
var communityList = control.Bundle{URL: "https://bundles.example/community.p7m", Signer: strings.Repeat("5c1e", 16), SignerName: "Community <b>Trust</b>", Signed: monday.AddDate(0, 0, -2),
	Waiting: []control.Anchor{{Fingerprint: strings.Repeat("77aa", 16), Name: "North Clinics' Root", Expires: monday.AddDate(4, 0, 0), CA: true}}}

// followed is communityList once it is.
func followed(problem string) control.Bundle {
	b := communityList
	b.Followed, b.Fetched, b.For, b.Domains, b.Problem = monday.AddDate(0, 0, -1), monday, "receiving", []string{".north.example"}, problem
	return b
}

// TestLists: a list is followed only when its signer is confirmed, and who waits in it is
// trusted only when compared.
func TestLists(t *testing.T) {
	g := open(t, true)
	_, body := g.get("settings")
	g.wants(body, `href="lists"`)
	_, body = g.get("lists")
	g.wants(body, "Follow a list")
	order := control.BundleOrder{URL: communityList.URL, For: "receiving", Domains: []string{".north.example", "b.example"}}
	_, body = g.post("lists/find", "url", " "+order.URL+" ", "for", order.For, "domains", ".north.example, b.example")
	g.wants(body, "Community &lt;b&gt;Trust&lt;/b&gt;", "1 in it", `name="signer" value="`+communityList.Signer+`"`, `value=".north.example b.example"`)
	if got := g.clinic.last("Anchors.Follow"); !reflect.DeepEqual(got, order) {
		t.Errorf("%+v", got)
	}
	n := g.clinic.called("Anchors.Follow")
	g.wants(g.follow(g.post("lists/follow", "url", order.URL)), "was not confirmed")
	if g.clinic.called("Anchors.Follow") != n {
		t.Error("a list was followed without its signer")
	}
	order.Signer = communityList.Signer
	g.wants(g.follow(g.post("lists/follow", "url", order.URL, "for", order.For, "domains", ".north.example b.example", "signer", order.Signer)), "Nobody in it is trusted until")
	if got := g.clinic.last("Anchors.Follow"); !reflect.DeepEqual(got, order) {
		t.Errorf("%+v", got)
	}
	g.clinic.bundles = []control.Bundle{followed("It could not be fetched.")}
	_, body = g.get("lists")
	g.wants(body, "Follow another list", "for receiving only", ".north.example", "It could not be fetched.", "1 waits for you", "North Clinics&#39; Root", "Fetch them now")
	g.wants(g.follow(g.post("lists/accept", "url", order.URL)), "no fingerprint was confirmed")
	if g.clinic.called("Anchors.Accept") != 0 {
		t.Error("accepted without a fingerprint")
	}
	g.follow(g.post("lists/accept", "url", order.URL, "confirm", "77aa"))
	if got := g.clinic.last("Anchors.Accept"); !reflect.DeepEqual(got, control.BundleConfirm{URL: order.URL, Confirm: []string{"77aa"}}) {
		t.Errorf("%+v", got)
	}
	g.wants(g.follow(g.post("lists/renew")), "The lists were fetched.")
	g.wants(g.follow(g.post("lists/leave", "url", order.URL)), "followed no longer")
	if got := g.clinic.last("Anchors.Leave"); got != (control.BundleQuery{URL: order.URL}) {
		t.Errorf("%+v", got)
	}
	g.clinic.fail["Anchors.Follow"] = &control.Error{Code: "not-fetched", Says: "The list of authorities could not be fetched."}
	g.wants(g.follow(g.post("lists/find", "url", "https://x.example/")), "could not be fetched")
}

// TestPeerListsInChromium follows a list, confirms who waits in it and leaves it.
func TestPeerListsInChromium(t *testing.T) {
	d := sit(t, false, true)
	d.open("settings")
	d.Press("Lists of authorities")
	d.Until(`document.querySelector("#l-url")`)
	d.accessible("lists")
	d.Do(chromedp.SendKeys("#l-url", communityList.URL))
	d.Press("Show who signs it")
	d.Until(`document.querySelector("input[name=signer]")`)
	d.accessible("list-signer")
	d.Shoot("list-signer")
	d.Do(chromedp.Click("input[name=signer]"))
	d.clinic.mu.Lock()
	d.clinic.bundles = []control.Bundle{followed("")}
	d.clinic.mu.Unlock()
	d.Press("Follow the list")
	d.Until(`document.querySelector("#note .good")`)
	if got := d.clinic.last("Anchors.Follow").(control.BundleOrder); got.Signer != communityList.Signer || got.URL != communityList.URL {
		t.Errorf("%+v", got)
	}
	d.accessible("list-waiting")
	d.Shoot("list-waiting")
	d.Do(chromedp.Click("input[name=confirm]"))
	d.Press("Trust what I have compared")
	d.Until(`document.querySelector("#note")?.textContent.includes("what you confirmed")`)
	if got := d.clinic.last("Anchors.Accept").(control.BundleConfirm); len(got.Confirm) != 1 {
		t.Errorf("%+v", got)
	}
	d.Press("Follow it no longer")
	d.Press("Yes, leave it")
	d.Until(`document.querySelector("#note")?.textContent.includes("followed no longer")`)
	if d.clinic.called("Anchors.Leave") != 1 {
		t.Error("not left")
	}
}
