package cmd_test

import (
	"go/ast"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// documents are the pages that name files and tests, by their path from the top.
var documents = []string{"README.md", "THREATS.md", "CHANGELOG.md", "mailer/SPECS.md", "cmd/README.md"}

var (
	quoted   = regexp.MustCompile("`([^`\n]+)`")
	inTree   = regexp.MustCompile(`^(?:(?:cmd|mailer|pkcs11|platform|tray|vault)/[\w./-]*|\w+\.md|Makefile|go\.(?:mod|sum)|\.ci/run)$`)
	picture  = regexp.MustCompile(`\]\(([^)#:\s]+)\)`)
	testName = regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w*`)
	// named is a file or a test, as a reader comes upon them.
	named = regexp.MustCompile("`[^`\n]+`|" + testName.String())
)

// page reads a document, by its path from the top.
func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func exists(path ...string) bool {
	_, err := os.Stat(filepath.Join(append([]string{".."}, path...)...))
	return err == nil
}

// TestDocumentsNameFilesThatExist: every file, folder and picture that a page names is there.
func TestDocumentsNameFilesThatExist(t *testing.T) {
	for _, name := range documents {
		text := page(t, name)
		for _, m := range quoted.FindAllStringSubmatch(text, -1) {
			if inTree.MatchString(m[1]) && !exists(m[1]) {
				t.Errorf("%s names %s, which is not there", name, m[1])
			}
		}
		for _, m := range picture.FindAllStringSubmatch(text, -1) {
			if !exists(filepath.Dir(name), m[1]) {
				t.Errorf("%s points to %s, which is not there", name, m[1])
			}
		}
	}
}

// TestDocumentsNameTestsThatExist: every test that a page names is in the test file
// that was named last before it in the same paragraph or row; where none was, anywhere.
func TestDocumentsNameTestsThatExist(t *testing.T) {
	tests := map[string][]string{} // by file; all under ""
	for _, s := range house(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && s.test && f.Recv == nil {
				tests[s.path] = append(tests[s.path], f.Name.Name)
				tests[""] = append(tests[""], f.Name.Name)
			}
		}
	}
	for _, name := range documents {
		for part := range strings.SplitSeq(strings.ReplaceAll(page(t, name), "|\n", "\n\n"), "\n\n") {
			in := ""
			for _, m := range named.FindAllString(part, -1) {
				m = strings.Trim(m, "`")
				switch {
				case strings.HasSuffix(m, "_test.go"):
					in = m
				case strings.HasSuffix(m, ".go") || strings.HasSuffix(m, ".txtar"):
					in = ""
				case testName.FindString(m) == m && !slices.Contains(tests[in], m):
					t.Errorf("%s names %s, which is not in %s", name, m, in)
				}
			}
		}
	}
}

// options collects the names that the programs give to commands and flags: the first
// word of the text literal in every call that makes one.
func options(t *testing.T) (commands, flags []string) {
	for _, s := range house(t) {
		if s.test || !slices.Contains([]string{"cmd/countersign", "tray/agent", "tray/demo"}, s.room) {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			i := slices.IndexFunc(call.Args, func(e ast.Expr) bool { _, ok := e.(*ast.BasicLit); return ok })
			if !ok || i < 0 {
				return true
			}
			text, _ := strconv.Unquote(call.Args[i].(*ast.BasicLit).Value) // a number gives no text
			word, _, _ := strings.Cut(text, " ")
			switch name := method.Sel.Name; {
			case strings.HasSuffix(name, "Var") || name == "Bool":
				flags = append(flags, "--"+word)
			case slices.Contains([]string{"command", "local", "group", "aboutContact"}, name):
				commands = append(commands, word)
			}
			return true
		})
	}
	return append(commands, "help", "completion"), flags
}

// TestReadmeCommands: every command and flag in the README's blocks is one that a
// program has. A command has one word or two.
func TestReadmeCommands(t *testing.T) {
	commands, flags := options(t)
	lower := regexp.MustCompile(`^[a-z][a-z-]*$`)
	found := 0
	for i, block := range strings.Split(page(t, "README.md"), "```") {
		for line := range strings.SplitSeq(block, "\n") {
			words := strings.Fields(line)
			if i%2 == 0 || len(words) < 2 || words[0] != "countersign" && words[0] != "countersign-agent" {
				continue
			}
			found++
			for n, w := range words[1:] {
				if strings.HasPrefix(w, "--") && !slices.Contains(flags, w) || n < 2 && lower.MatchString(w) && !slices.Contains(commands, w) {
					t.Errorf("README.md: %q: there is no %s", line, w)
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("README.md: only %d commands were found", found)
	}
}

// TestNoPathOfOneMachine: no text names a folder of the machine that it was written on.
func TestNoPathOfOneMachine(t *testing.T) {
	path := regexp.MustCompile(`(?m)(?:^|[\s"'(=:` + "`" + `])/(?:` + strings.Join([]string{"work", "root"}, "|") + `)(?:/|\s|$)`)
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "bin"):
			return fs.SkipDir
		case !d.Type().IsRegular() || filepath.Ext(name) == ".png":
			return nil
		}
		text, err := os.ReadFile(name)
		if m := path.Find(text); m != nil {
			t.Errorf("%s names a path of one machine: %q", name, m)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestNamesOfFiles: every system can hold every file. On Windows nul, con and their like are
// devices, with any extension; some characters cannot stand in a name, nor a dot at its end.
func TestNamesOfFiles(t *testing.T) {
	barred := regexp.MustCompile(`(?i)^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)|[<>:"|?*\\]|[. ]$`)
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.Name() == ".git" || d.Name() == "bin":
			return fs.SkipDir
		case name != ".." && barred.MatchString(d.Name()):
			t.Errorf("%s has a name that Windows cannot bear", name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
