package web

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"

	"countersign/tray/control"
)

const maxIdentity = 1 << 20 // bytes of a PKCS #12 file

// settingUp is the content of the set-up page: what is still to do, and the
// forms that do it, which serve later additions too.
type settingUp struct {
	Identities []control.Identity
	Anchors    []control.Anchor
	Accounts   []control.Account
	Recovery   control.Recovery
	Requests   []control.IdentityRequest
	Lost       *control.LostReport // of a key just given up: shown once
	Preview    []control.Anchor    // read from a file, to be confirmed
	Words      []string            // of a recovery file just made: shown once
	HasFile    bool
}

type recoveryFile struct {
	name string
	data []byte
}

func (v *visit) setup() error { return v.settingUp(settingUp{}) }

// arranged reads what the user has set up.
func (v *visit) arranged(s *settingUp) (err error) {
	ctx, svc := v.ctx(), v.p.svc
	if s.Identities, err = svc.Identities.List(ctx, control.None{}); err != nil {
		return err
	}
	if s.Anchors, err = svc.Anchors.List(ctx, control.None{}); err != nil {
		return err
	}
	if s.Accounts, err = svc.Accounts.List(ctx, control.None{}); err != nil {
		return err
	}
	s.Recovery, err = svc.Identities.Recovery(ctx, control.None{})
	return err
}

func (v *visit) settingUp(s settingUp) error {
	err := v.arranged(&s)
	if err != nil {
		return err
	}
	if s.Requests, err = v.p.svc.Identities.Requests(v.ctx(), control.None{}); err != nil {
		return err
	}
	v.s.mu.Lock()
	file := v.s.file
	s.HasFile = v.s.recovery != nil
	v.s.mu.Unlock()
	if file != nil {
		if s.Preview, err = v.p.svc.Anchors.Preview(v.ctx(), control.None{}, bytes.NewReader(file)); err != nil {
			return err
		}
	}
	return v.show("setup", "setup", s)
}

func (v *visit) addIdentity() error {
	data, fields, err := v.smallFile(maxIdentity)
	if err != nil {
		return v.tell("setup", noteOf(err))
	}
	_, err = v.p.svc.Identities.ImportPKCS12(v.ctx(), control.PKCS12Order{Password: fields.Get("password")}, bytes.NewReader(data))
	return v.done("setup", err, "Your identity is in the keychain. The file is no longer needed here; keep or destroy it as your authority says.")
}

// previewAnchor keeps the file until its fingerprints are confirmed.
func (v *visit) previewAnchor() error {
	data, _, err := v.smallFile(maxCertificates)
	if err != nil {
		return v.tell("setup", noteOf(err))
	}
	found, err := v.p.svc.Anchors.Preview(v.ctx(), control.None{}, bytes.NewReader(data))
	if err == nil && len(found) == 0 {
		err = &control.Error{Code: control.CodeInvalid, Says: "There is no certificate in that file."}
	}
	if err != nil {
		return v.tell("setup", noteOf(err))
	}
	v.s.mu.Lock()
	v.s.file = data
	v.s.mu.Unlock()
	return v.goTo("setup")
}

func (v *visit) addAnchor() error {
	v.s.mu.Lock()
	file := v.s.file
	v.s.file = nil
	v.s.mu.Unlock()
	confirmed := v.r.PostForm["confirm"]
	if len(confirmed) == 0 || file == nil {
		return v.tell("setup", note{Level: "care", Says: "Nothing was added: no fingerprint was confirmed."})
	}
	_, err := v.p.svc.Anchors.Add(v.ctx(), control.AnchorOrder{Confirm: confirmed}, bytes.NewReader(file))
	return v.done("setup", err, "Certificates of this authority are now checked against it.")
}

func (v *visit) removeAnchor() error {
	_, err := v.p.svc.Anchors.Remove(v.ctx(), control.AnchorQuery{Fingerprint: v.form("fingerprint")})
	return v.done("settings", err, "That authority is no longer trusted.")
}

func (v *visit) addAccount() error {
	a := control.NewAccount{User: strings.TrimSpace(v.form("user")), Password: v.form("password"), Confirmed: v.form("confirmed") != "", RootsPEM: v.form("roots")}
	a.Address = strings.TrimSpace(v.form("address"))
	var err error
	if a.IMAP, err = server(v, "imap"); err == nil {
		a.SMTP, err = server(v, "smtp")
	}
	if err == nil {
		_, err = v.p.svc.Accounts.Add(v.ctx(), a)
	}
	if err != nil {
		n := noteOf(err)
		v.r.PostForm.Del("password")
		v.r.PostForm.Del("token")
		n.Kept = v.r.PostForm
		return v.tell("setup", n)
	}
	return v.tell("setup", note{Level: "good", Says: "Both servers answered. Your mail is being fetched."})
}

func server(v *visit, name string) (control.Server, error) {
	s := control.Server{Host: strings.TrimSpace(v.form(name + "-host")), TLS: v.form(name + "-tls")}
	var err error
	if s.Port, err = strconv.Atoi(v.form(name + "-port")); err != nil || s.Port < 1 || s.Port > 65535 {
		return s, &control.Error{Code: control.CodeInvalid, Says: "A server's port is a number from 1 to 65535."}
	}
	return s, nil
}

func (v *visit) removeAccount() error {
	_, err := v.p.svc.Accounts.Remove(v.ctx(), control.AccountQuery{Address: v.form("address")})
	return v.done("settings", err, "The mailbox was removed from Countersign. The mail on the server is untouched.")
}

// makeRecovery shows the words in its own answer, once, and keeps the file in
// memory to be downloaded until it is confirmed.
func (v *visit) makeRecovery() error {
	f, err := v.p.svc.Identities.MakeRecovery(v.ctx(), control.None{})
	if err != nil {
		return v.tell("setup", noteOf(err))
	}
	v.s.mu.Lock()
	v.s.recovery = &recoveryFile{name: f.Name, data: f.Bytes}
	v.s.mu.Unlock()
	return v.settingUp(settingUp{Words: f.Words})
}

func (v *visit) recoveryFile() error {
	v.s.mu.Lock()
	f := v.s.recovery
	v.s.mu.Unlock()
	if f == nil {
		return &control.Error{Code: control.CodeNotFound, Says: "The recovery file is no longer here.", Next: "Make a new one under Set-up."}
	}
	return v.download(f.name, io.NopCloser(bytes.NewReader(f.data)))
}

func (v *visit) confirmRecovery() error {
	_, err := v.p.svc.Identities.ConfirmRecovery(v.ctx(), control.RecoveryCheck{Words: v.r.PostForm["word"]})
	if err != nil {
		return v.tell("setup", noteOf(err))
	}
	v.s.mu.Lock()
	v.s.recovery = nil
	v.s.mu.Unlock()
	return v.tell("setup", note{Level: "good", Says: "The recovery file was opened with your words, as a test. Keep the two apart."})
}

// arrangement is the content of the settings' page.
type arrangement struct {
	settingUp
	Preferences control.Preferences
}

func (v *visit) settings() error {
	var a arrangement
	err := v.arranged(&a.settingUp)
	if err != nil {
		return err
	}
	if a.Preferences, err = v.p.svc.Settings.Get(v.ctx(), control.None{}); err != nil {
		return err
	}
	return v.show("settings", "settings", a)
}

func (v *visit) prefer() error {
	prefs := control.Preferences{AllowPrivate: v.form("private") != "", KeepSummaries: v.form("summaries") != "", Directories: strings.Join(strings.Fields(v.form("directories")), " "), LockWithScreen: v.form("lock") != ""}
	for name, to := range map[string]*int{"minutes": &prefs.FetchMinutes, "grace": &prefs.GraceHours} {
		n, err := strconv.Atoi(v.form(name))
		if err != nil {
			return v.tell("settings", note{Level: "stop", Says: fmt.Sprintf("%q is not a number.", v.form(name))})
		}
		*to = n
	}
	_, err := v.p.svc.Settings.Set(v.ctx(), prefs)
	return v.done("settings", err, "Kept.")
}

// startOver begins the address book's records anew.
func (v *visit) startOver() error {
	_, err := v.p.svc.Contacts.StartOver(v.ctx(), control.None{})
	return v.done("contacts", err, "The records begin anew. Confirm each person again before you write to them.")
}

// end stops the agent. The browser's window says so and is of no more use.
func (v *visit) end() error {
	if _, err := v.p.svc.Settings.Stop(v.ctx(), control.None{}); err != nil {
		return v.tell("settings", noteOf(err))
	}
	return v.show("stopped", "", nil)
}

// activity is the content of the activity record.
type activity struct {
	Entries []control.Entry
	Proof   *control.JournalProof
	Older   int64
}

func (v *visit) record() error {
	var a activity
	before, _ := strconv.ParseInt(v.query("before"), 10, 64) // absent: the newest
	var err error
	if a.Entries, err = v.p.svc.Journal.List(v.ctx(), control.JournalQuery{Limit: 100, Before: before}); err != nil {
		return err
	}
	if n := len(a.Entries); n == 100 {
		a.Older = a.Entries[n-1].Seq
	}
	if v.r.Method == "POST" {
		proof, err := v.p.svc.Journal.Verify(v.ctx(), control.None{})
		if err != nil {
			return err
		}
		a.Proof = &proof
	}
	return v.show("record", "record", a)
}
