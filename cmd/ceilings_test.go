package cmd_test

import (
	"go/ast"
	"slices"
	"testing"
)

// The ceilings. A package is counted without its tests and its comments.
const (
	fileLines       = 500
	functionLines   = 80
	packageLines    = 1500
	constructorArgs = 5
)

// roomy packages may be larger; the reason stands beside them.
var roomy = map[string]int{
	"cmd/countersign": 2825, // one file a command, and nothing shared but how things are printed
	"tray/control":    1750, // everything that can be asked, in one language: plain values and one line a method
}

func TestCeilings(t *testing.T) {
	sizes := map[string]int{}
	for _, s := range house(t) {
		if s.test {
			if s.lines > fileLines+200 {
				t.Errorf("%s has %d lines; a test file may have %d", s.path, s.lines, fileLines+200)
			}
			continue
		}
		sizes[s.room] += s.code
		if s.lines > fileLines {
			t.Errorf("%s has %d lines; a file may have %d", s.path, s.lines, fileLines)
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1; n > functionLines {
				t.Errorf("%s: %s has %d lines; a function may have %d", s.path, f.Name.Name, n, functionLines)
			}
			if n := f.Type.Params.NumFields(); f.Recv == nil && n > constructorArgs {
				t.Errorf("%s: %s takes %d parameters; above %d they are a struct", s.path, f.Name.Name, n, constructorArgs)
			}
		}
	}
	for room, n := range sizes {
		if limit := max(packageLines, roomy[room]); n > limit+limit/10 {
			t.Errorf("%s has %d lines; a package may have about %d", room, n, limit)
		}
	}
}

// TestDocumented wants a manual at the head of each package and a docstring on
// everything exported.
func TestDocumented(t *testing.T) {
	manual := map[string]bool{}
	for _, s := range house(t) {
		if s.test {
			continue
		}
		manual[s.room] = manual[s.room] || s.file.Doc != nil
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) {
					t.Errorf("%s: %s is exported and says nothing of itself", s.fset.Position(d.Pos()), d.Name.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					ts, ok := spec.(*ast.TypeSpec)
					if ok && ts.Name.IsExported() && d.Doc == nil && ts.Doc == nil && ts.Comment == nil {
						t.Errorf("%s: type %s is exported and says nothing of itself", s.fset.Position(ts.Pos()), ts.Name.Name)
					}
				}
			}
		}
	}
	for room, has := range manual {
		if !has {
			t.Errorf("package %s has no comment: its manual is missing", room)
		}
	}
}

// conventional methods are documented by the interface that they implement.
var conventional = []string{"Error", "String", "GoString", "MarshalJSON", "LogValue", "Unwrap", "Read", "Write", "Close", "Is", "Format"}

func exportedReceiver(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return true
	}
	if slices.Contains(conventional, f.Name.Name) {
		return false
	}
	e := f.Recv.List[0].Type
	if star, ok := e.(*ast.StarExpr); ok {
		e = star.X
	}
	id, ok := e.(*ast.Ident)
	return ok && id.IsExported()
}
