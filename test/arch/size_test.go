package arch

import (
	"go/ast"
	"path"
	"testing"
)

// The budgets come from measuring fourteen well-kept Go projects: their median
// file has 62-159 lines and the 90th percentile 354-421; functions 7-16 and 28-54.
const (
	maxFileLines     = 500
	maxFunctionLines = 80
	maxMainLines     = 150
	maxPackageFiles  = 12
)

// TestFileLength keeps files short enough to be read in one go.
func TestFileLength(t *testing.T) {
	for _, s := range sources(t) {
		limit := maxFileLines
		if path.Base(s.path) == "main.go" && path.Dir(path.Dir(s.path)) == "cmd" {
			limit = maxMainLines
		}
		if n := s.lines(); n > limit && !s.isGenerated() {
			t.Errorf("%s has %d lines, want at most %d", s.path, n, limit)
		}
	}
}

// TestFunctionLength keeps functions on a screen or two.
func TestFunctionLength(t *testing.T) {
	for _, s := range sources(t) {
		if s.isGenerated() {
			continue
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			n := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1
			if n > maxFunctionLines && !s.isTest() {
				t.Errorf("%s: %s has %d lines, want at most %d", s.path, f.Name.Name, n, maxFunctionLines)
			}
		}
	}
}

// TestPackageFiles asks of a package with many files what the two things in it are.
func TestPackageFiles(t *testing.T) {
	files := map[string]int{}
	for _, s := range sources(t) {
		if !s.isTest() && !s.isGenerated() {
			files[s.dir()]++
		}
	}
	for dir, n := range files {
		if n > maxPackageFiles && dir != "engine/kernel" {
			t.Errorf("%s has %d files, want at most %d", dir, n, maxPackageFiles)
		}
	}
}
