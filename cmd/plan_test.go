// Package cmd_test checks the house itself: which room may import what, what
// pure rooms may not name, and how large a thing may grow.
package cmd_test

import (
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// plan is the import plan: a statement of policy. A row names a room, the rooms
// of ours that it may import, and after the semicolon the modules of others. Do
// not change it to make a build pass: a new import is a commit of its own that
// says why.
const plan = `
platform                 - ; x/sys
platform/harden          - ; x/sys
platform/session         platform ; godbus/v5 x/sys
platform/notify          platform ; godbus/v5 go-toast
platform/pinprompt/pinprompttest - ; x/sys
platform/session/sessiontest - ; godbus/v5
platform/localsock       platform ; x/sys go-winio
platform/keychain        platform ; godbus/v5 99designs/keyring age
platform/certstore       pkcs11/padding pkcs11/wire ; x/sys
platform/pinprompt       platform ; x/term x/sys
platform/resolver        platform/resolver/dnssec ; miekg/dns x/sys
platform/resolver/dnssec - ; miekg/dns
platform/resolver/resolvertest platform/resolver ; miekg/dns
mailer/message           mailer/message/transfer ; x/text x/net/idna
mailer/message/transfer  - ; emmansun/base64
mailer/cms               mailer/cms/ber mailer/cms/algorithm mailer/cms/attribute mailer/cms/content mailer/cms/recipient ; x/crypto
mailer/cms/ber           - ; -
mailer/cms/algorithm     mailer/cms/ber ; x/crypto
mailer/cms/attribute     mailer/cms/ber mailer/cms/algorithm mailer/cms/content mailer/cms/recipient ; x/crypto
mailer/cms/content       mailer/cms/ber mailer/cms/algorithm ; x/crypto
mailer/cms/recipient     mailer/cms/ber mailer/cms/algorithm ; x/crypto
mailer/smime             mailer/message mailer/message/transfer mailer/cms vault/contacts/form ; -
pkcs11                   pkcs11/wire pkcs11/form pkcs11/padding pkcs11/uri ; x/crypto
pkcs11/form              pkcs11/wire ; -
pkcs11/uri               pkcs11/wire ; -
pkcs11/padding           - ; -
pkcs11/installed         platform ; -
pkcs11/wire              - ; -
pkcs11/module            pkcs11/wire platform/certstore platform/harden ; purego x/sys
pkcs11/pkcs11test        mailer/server/servertest pkcs11/pkcs11test/fake pkcs11/pkcs11test/piv ; -
pkcs11/pkcs11test/fake   pkcs11/wire ; -
pkcs11/pkcs11test/piv    - ; -
vault/sealed             - ; go-sqlite3
vault/trust              mailer/cms/algorithm vault/trust/der vault/trust/crl vault/trust/ocsp vault/trust/path ; x/crypto x/net/idna
vault/trust/der          mailer/cms/algorithm ; x/crypto
vault/trust/crl          vault/trust/der ; x/crypto
vault/trust/ocsp         mailer/cms/algorithm vault/trust/der vault/trust/crl ; x/crypto
vault/trust/path         vault/trust/der ; x/crypto x/net/idna
vault/contacts           vault/trust vault/contacts/keyset vault/contacts/form ; -
vault/contacts/keyset    vault/trust ; x/crypto go-bip39/wordlists
vault/contacts/form      vault/contacts/keyset ; -
vault/settings           platform/resolver/dnssec ; -
vault/book               vault/contacts vault/contacts/keyset vault/contacts/form vault/sealed ; x/text x/net/idna
vault/bundle             mailer/cms ; -
vault/journal            vault/sealed ; -
vault                    vault/issued vault/identity vault/tokenkey vault/certification vault/phrase vault/pkcs10 vault/renewal vault/keyring vault/sealed platform/keychain mailer/cms ; -
vault/identity           vault/issued vault/keyring vault/tokenkey ; -
vault/certification      mailer/cms ; -
vault/phrase             vault/issued ; age
vault/issued             vault/bundle vault/pkcs10 vault/pkcs12 vault/keyring ; -
vault/tokenkey           vault/issued mailer/cms ; -
vault/pkcs10             - ; -
vault/pkcs12             mailer/cms/ber ; go-pkcs12
vault/renewal            - ; -
vault/keyring            platform/keychain vault/sealed ; -
vault/discover           vault/trust vault/trust/ocsp vault/sealed vault/bundle vault/discover/directory platform/resolver ; -
vault/discover/directory - ; go-ldap x/crypto
vault/discover/directory/directorytest - ; x/crypto
mailer/policy            mailer/message mailer/cms mailer/smime vault/contacts vault/contacts/keyset vault/contacts/form vault/trust ; x/net/html
mailer/transport         - ; go-smtp go-imap/v2 go-sasl
mailer/account           mailer/transport vault vault/sealed ; -
mailer/outbox            mailer/transport vault/sealed ; -
mailer                   mailer/body mailer/detail mailer/people mailer/store mailer/waiting mailer/message mailer/cms mailer/smime mailer/policy mailer/transport mailer/outbox vault vault/sealed vault/trust vault/contacts vault/contacts/keyset vault/contacts/form vault/book vault/renewal ; -
mailer/people            mailer/store mailer/message mailer/smime mailer/policy vault/discover vault vault/trust vault/contacts vault/contacts/keyset vault/contacts/form vault/settings vault/book vault/journal ; -
mailer/waiting           mailer/cms mailer/smime vault ; -
mailer/store             mailer/message mailer/transport vault/sealed vault/contacts/keyset mailer/cms mailer/policy ; -
mailer/body              mailer/message mailer/smime mailer/policy vault/contacts/form ; -
mailer/detail            mailer/message mailer/cms mailer/smime mailer/policy vault/contacts vault/trust ; -
mailer/server            mailer/message ; go-smtp go-imap/v2 go-sasl
mailer/server/servertest - ; -
tray/control             platform/localsock ; -
tray/icon                tray/control platform platform/notify ; systray godbus/v5
tray/icon/icontest       - ; godbus/v5
tray/web                 tray/control tray/web/door tray/web/names tray/web/phrase ; -
tray/web/door            - ; -
tray/web/names           tray/control ; -
tray/web/phrase          - ; -
tray/web/webtest         mailer/server/servertest ; chromedp
tray/agent               platform platform/harden platform/resolver platform/localsock platform/keychain pkcs11/installed mailer mailer/people mailer/message mailer/cms mailer/detail mailer/smime mailer/policy mailer/transport mailer/account mailer/outbox vault vault/pkcs12 vault/sealed vault/trust vault/contacts vault/contacts/keyset vault/settings vault/book vault/journal vault/discover tray/agent/anchors tray/agent/beside tray/agent/events tray/agent/guard tray/agent/keys tray/agent/tokens tray/agent/watch tray/control tray/web ; -
tray/agent/anchors       mailer/message tray/control vault/book vault/bundle vault/sealed vault/trust ; -
tray/agent/beside        platform ; -
tray/agent/guard         platform platform/session platform/localsock tray/control ; -
tray/agent/events        tray/control vault/sealed ; -
tray/agent/keys          mailer mailer/people mailer/policy vault vault/issued vault/pkcs10 vault/renewal vault/trust vault/book tray/control ; -
tray/agent/tokens        mailer/policy pkcs11 pkcs11/installed platform/pinprompt vault vault/issued vault/settings vault/tokenkey tray/control ; -
tray/agent/watch         - ; -
tray/demo                tray/agent tray/control tray/demo/authority mailer/server mailer/cms mailer/message mailer/smime platform/keychain platform/resolver platform platform/harden ; -
tray/demo/authority      - ; go-pkcs12
cmd/countersign          cmd/countersign/plain cmd/countersign/start cmd/countersign/terminal tray/control platform ; cobra
cmd/countersign/plain    - ; -
cmd/countersign/start    tray/control platform platform/localsock ; -
cmd/countersign/terminal - ; x/term x/sys
cmd/countersign-agent    tray/agent tray/demo ; -
cmd/countersign-tray     tray/icon ; -
cmd/countersign-pkcs11   pkcs11/module ; -
cmd/bench                mailer mailer/people mailer/outbox mailer/transport mailer/cms mailer/message mailer/smime pkcs11 pkcs11/module pkcs11/wire vault vault/trust vault/book vault/contacts vault/journal vault/settings vault/sealed platform platform/keychain tray/demo/authority ; go-sqlite3
`

// testPlan is what test files may import beyond their room's own row.
const testPlan = `
mailer/cms   - ; go-pkcs12 mozilla/pkcs7
mailer/smime - ; go-pkcs12
mailer       - ; go-pkcs12
pkcs11       - ; crypto11
vault        - ; go-pkcs12
vault/discover - ; x/crypto miekg/dns
vault/discover/directory - ; asn1-ber
cmd/countersign - ; miekg/dns
`

// modules is every module of others, with the reason why it is here. The short
// name is what the plan uses.
var modules = map[string]struct{ path, why string }{
	"x/sys":              {"golang.org/x/sys", "peer credentials, process hardening, Windows handles"},
	"x/term":             {"golang.org/x/term", "a password typed without being shown, a terminal left as it was found"},
	"x/text":             {"golang.org/x/text", "character sets of other people's mail, and names compared without accents"},
	"x/crypto":           {"golang.org/x/crypto", "cryptobyte, Argon2id for the safety words"},
	"x/net/idna":         {"golang.org/x/net/idna", "domain names compared as A-labels"},
	"x/net/html":         {"golang.org/x/net/html", "HTML mail read as a tree, to take its text"},
	"miekg/dns":          {"github.com/miekg/dns", "DNS messages, and the arithmetic of one DNSSEC signature; the chain is ours"},
	"go-winio":           {"github.com/Microsoft/go-winio", "named pipes with an access list"},
	"godbus/v5":          {"github.com/godbus/dbus/v5", "the Secret Service, logind, the screen saver and notifications, on private connections"},
	"go-toast":           {"git.sr.ht/~jackmordaunt/go-toast", "toasts of Windows, by COM"},
	"systray":            {"fyne.io/systray", "an icon and its menu without cgo on Linux and Windows, behind our own interface"},
	"99designs/keyring":  {"github.com/99designs/keyring", "Windows Credential Manager and the macOS Keychain"},
	"age":                {"filippo.io/age", "the encrypted file keychain and the recovery file"},
	"emmansun/base64":    {"github.com/emmansun/base64", "base64 by SIMD: a third of a message's cost"},
	"go-sqlite3":         {"github.com/ncruces/go-sqlite3", "SQLite without cgo, under an encrypting VFS"},
	"go-bip39/wordlists": {"github.com/tyler-smith/go-bip39/wordlists", "2,048 words that are told apart by four letters"},
	"go-pkcs12":          {"software.sslmate.com/src/go-pkcs12", "identities as authorities hand them out"},
	"go-smtp":            {"github.com/emersion/go-smtp", "submission, and the demo's server"},
	"go-imap/v2":         {"github.com/emersion/go-imap/v2", "mailboxes, and the demo's server"},
	"go-sasl":            {"github.com/emersion/go-sasl", "what go-smtp and go-imap sign in with"},
	"go-ldap":            {"github.com/go-ldap/ldap/v3", "LDAP directories, behind a check of what they answer"},
	"asn1-ber":           {"github.com/go-asn1-ber/asn1-ber", "what go-ldap makes of an answer (tests only)"},
	"cobra":              {"github.com/spf13/cobra", "commands, help and shell completion"},
	"purego":             {"github.com/ebitengine/purego", "a vendor's PKCS#11 library called without cgo"},
	"crypto11":           {"github.com/ThalesGroup/crypto11", "makes keys on test tokens, and is what ours is compared with (tests only)"},
	"mozilla/pkcs7":      {"go.mozilla.org/pkcs7", "an independent reader of what we write (tests only)"},
	"testscript":         {"github.com/rogpeppe/go-internal/testscript", "stories (tests only)"},
	"go-cmp":             {"github.com/google/go-cmp", "readable differences (tests only)"},
	"chromedp":           {"github.com/chromedp", "a real browser (tests only)"},
}

// everyTest is what any test file may import.
var everyTest = []string{"testscript", "go-cmp", "chromedp"}

// pure rooms decide and never act: bytes, keys, evidence, randomness and the
// time come to them as arguments.
var pure = []string{
	"mailer/message", "mailer/message/transfer", "mailer/cms", "mailer/cms/ber", "mailer/cms/algorithm", "mailer/cms/attribute", "mailer/cms/content", "mailer/cms/recipient", "mailer/smime", "mailer/policy", "mailer/detail",
	"platform/resolver/dnssec",
	"pkcs11/wire", "pkcs11/form", "pkcs11/padding", "pkcs11/uri",
	"vault/pkcs10", "vault/renewal", "vault/contacts", "vault/contacts/keyset", "vault/contacts/form", "vault/trust", "vault/trust/der", "vault/trust/crl", "vault/trust/ocsp", "vault/trust/path", "vault/settings", "vault/bundle",
}

var impureImports = []string{"net", "net/http", "os", "syscall", "unsafe", "database/sql", "mime/multipart"}

// unspeakable names what a pure room may not say, by package.
var unspeakable = map[string][]string{
	"time": {"Now", "Since", "Until", "After", "NewTimer", "NewTicker", "Tick", "AfterFunc", "Sleep"},
	"x509": {"SystemCertPool"},
}

// spilling methods write an upload to disk in clear.
var spilling = []string{"ParseMultipartForm", "FormFile", "FormValue", "PostFormValue"}

const module = "countersign"

type source struct {
	room, path string
	test       bool
	file       *ast.File
	fset       *token.FileSet
	lines      int // all
	code       int // those that hold more than a comment
}

// house parses every source file of every operating system and build tag.
func house(t *testing.T) []source {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	var all []source
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin"):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go":
			return nil
		}
		s, err := read(root, path)
		all = append(all, s)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func read(root, path string) (source, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return source{}, err
	}
	rel, err := filepath.Rel(root, path)
	if err != nil {
		return source{}, err
	}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, text, parser.ParseComments|parser.SkipObjectResolution)
	return source{
		room: filepath.ToSlash(filepath.Dir(rel)), path: filepath.ToSlash(rel),
		test: strings.HasSuffix(path, "_test.go"), file: file, fset: fset,
		lines: strings.Count(string(text), "\n"), code: codeLines(text),
	}, err
}

func codeLines(text []byte) int {
	fset := token.NewFileSet()
	f := fset.AddFile("", fset.Base(), len(text))
	var s scanner.Scanner
	s.Init(f, text, nil, 0)
	lines, last := 0, 0
	for {
		pos, tok, lit := s.Scan()
		if tok == token.EOF {
			return lines
		}
		first := f.Line(pos)
		end := first + strings.Count(lit, "\n")
		if tok == token.SEMICOLON && lit == "\n" {
			end = first
		}
		lines += max(0, end-max(first-1, last))
		last = max(last, end)
	}
}

type row struct{ own, others []string }

func rows(t *testing.T, text string) map[string]row {
	t.Helper()
	table := map[string]row{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		left, right, ok := strings.Cut(line, ";")
		fields := strings.Fields(left)
		if !ok || len(fields) < 2 {
			t.Fatalf("plan row %q is not: room, ours ; others", line)
		}
		if _, twice := table[fields[0]]; twice {
			t.Fatalf("the plan names %s twice", fields[0])
		}
		table[fields[0]] = row{fields[1:], strings.Fields(right)}
	}
	return table
}

func TestImportPlan(t *testing.T) {
	allowed, tests := rows(t, plan), rows(t, testPlan)
	for name, r := range allowed {
		for _, m := range r.others {
			if modules[m].why == "" && m != "-" {
				t.Errorf("plan row %s names %s, which has no reason in modules", name, m)
			}
		}
	}
	lived := map[string]bool{}
	for _, s := range house(t) {
		if s.room == "cmd" {
			continue
		}
		lived[s.room] = true
		r, ok := allowed[s.room]
		if !ok {
			t.Errorf("%s: room %s has no row in the plan", s.path, s.room)
			continue
		}
		for _, imp := range s.file.Imports {
			path, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if !mayImport(path, s, r, tests[s.room]) {
				t.Errorf("%s imports %s, which the plan does not allow", s.path, path)
			}
		}
	}
	for name := range allowed {
		if !lived[name] {
			t.Errorf("the plan has a row for %s, where nobody lives", name)
		}
	}
}

func mayImport(path string, s source, r, test row) bool {
	if own, ok := strings.CutPrefix(path, module+"/"); ok {
		return slices.Contains(r.own, own) || s.test && !strings.HasPrefix(own, "cmd/")
	}
	if first, _, _ := strings.Cut(path, "/"); !strings.Contains(first, ".") {
		return true // the standard library
	}
	others := r.others
	if s.test {
		others = slices.Concat(others, test.others, everyTest)
	}
	return slices.ContainsFunc(others, func(name string) bool {
		m := modules[name].path
		return m != "" && (path == m || strings.HasPrefix(path, m+"/"))
	})
}

// TestHelperReachesNothing: in the program that loads a vendor's library there is no code for
// networks or for starting programs, not even Go's, and no room of keys, people or mail.
func TestHelperReachesNothing(t *testing.T) {
	allowed := rows(t, plan)
	inside := []string{"cmd/countersign-pkcs11"}
	for i := 0; i < len(inside); i++ {
		for _, own := range allowed[inside[i]].own {
			if own != "-" && !slices.Contains(inside, own) {
				inside = append(inside, own)
			}
		}
	}
	if want := []string{"cmd/countersign-pkcs11", "pkcs11/module", "pkcs11/wire", "platform/certstore", "platform/harden", "pkcs11/padding"}; !slices.Equal(inside, want) {
		t.Errorf("the helper is made of %v, not %v", inside, want)
	}
	for _, s := range house(t) {
		if s.test || !slices.Contains(inside, s.room) {
			continue
		}
		for _, imp := range s.file.Imports {
			path, err := strconv.Unquote(imp.Path.Value)
			first, _, _ := strings.Cut(path, "/")
			if err != nil || first == "net" || path == "os/exec" || path == "crypto/tls" || path == "plugin" {
				t.Errorf("%s: the token helper imports %s", s.path, path)
			}
		}
	}
}

func TestPureRooms(t *testing.T) {
	allowed := rows(t, plan)
	for _, name := range pure {
		for _, own := range allowed[name].own {
			if own != "-" && !slices.Contains(pure, own) {
				t.Errorf("%s is pure and may not import %s", name, own)
			}
		}
	}
	for _, s := range house(t) {
		if s.test || !slices.Contains(pure, s.room) {
			continue
		}
		for _, imp := range s.file.Imports {
			path, err := strconv.Unquote(imp.Path.Value)
			if err != nil || slices.Contains(impureImports, path) || strings.HasPrefix(path, "os/") {
				t.Errorf("%s: a pure room imports %s", s.path, path)
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if pkg, ok := n.X.(*ast.Ident); ok && slices.Contains(unspeakable[pkg.Name], n.Sel.Name) {
					t.Errorf("%s: a pure room names %s.%s", s.fset.Position(n.Pos()), pkg.Name, n.Sel.Name)
				}
			case *ast.CompositeLit:
				if sel, ok := n.Type.(*ast.SelectorExpr); ok && sel.Sel.Name == "VerifyOptions" && !sets(n, "CurrentTime") {
					t.Errorf("%s: a certificate is verified without a stated time", s.fset.Position(n.Pos()))
				}
			}
			return true
		})
	}
}

func sets(lit *ast.CompositeLit, field string) bool {
	return slices.ContainsFunc(lit.Elts, func(e ast.Expr) bool {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok {
			return false
		}
		id, ok := kv.Key.(*ast.Ident)
		return ok && id.Name == field
	})
}

func TestNothingSpillsAndNothingStartsByItself(t *testing.T) {
	for _, s := range house(t) {
		if s.test {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if slices.Contains(spilling, n.Sel.Name) {
					t.Errorf("%s: %s spills uploads to disk in clear", s.fset.Position(n.Pos()), n.Sel.Name)
				}
			case *ast.FuncDecl:
				if n.Recv == nil && n.Name.Name == "init" {
					t.Errorf("%s: init functions are not used here", s.fset.Position(n.Pos()))
				}
			}
			return true
		})
	}
}
