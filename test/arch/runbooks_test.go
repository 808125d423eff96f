package arch

import (
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestRunbooks asks for a page for each reason of a condition, and of each page that somebody can be sent to it. Pages of
// alerts begin with GptOss; what names them checks them.
func TestRunbooks(t *testing.T) {
	const folder = "docs/runbooks"
	reasons := map[string]bool{}
	isReason := regexp.MustCompile(`^Reason[A-Z]`)
	for _, s := range sources(t) {
		if s.dir() != "api/v1alpha1" || s.isTest() {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || !isReason.MatchString(spec.Names[0].Name) || len(spec.Values) != 1 {
				return true
			}
			if value, ok := spec.Values[0].(*ast.BasicLit); ok && value.Kind == token.STRING {
				text, err := strconv.Unquote(value.Value)
				if err != nil {
					t.Fatal(err)
				}
				reasons[text] = true
			}
			return true
		})
	}
	if len(reasons) < 20 {
		t.Fatalf("found %d reasons; are they still in api/v1alpha1?", len(reasons))
	}
	for reason := range reasons {
		if _, err := os.Stat(filepath.Join(root, folder, reason+".md")); err != nil {
			t.Errorf("reason %s has no page %s/%s.md: what it means, how to see it, how to mend it", reason, folder, reason)
		}
	}
	pages, err := filepath.Glob(filepath.Join(root, folder, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		name := strings.TrimSuffix(filepath.Base(page), ".md")
		if !reasons[name] && name != "README" && !strings.HasPrefix(name, "GptOss") {
			t.Errorf("%s/%s.md belongs to no reason", folder, name)
		}
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(text), "# ") || (reasons[name] && !strings.HasPrefix(string(text), "# "+name+"\n")) {
			t.Errorf("%s/%s.md does not begin with its name", folder, name)
		}
	}
}
