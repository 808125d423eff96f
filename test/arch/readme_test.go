package arch

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// skeleton is what translations of a page share: the commands and code without their comments, and where links lead.
type skeleton struct {
	Code, Links, Inline []string
	Headings            int
}

var (
	fence    = regexp.MustCompile("(?s)```.*?```")
	comment  = regexp.MustCompile(`(?m)\s+#.*$`)
	target   = regexp.MustCompile(`\]\(([^)]+)\)`)
	span     = regexp.MustCompile("`[^`\n]+`")
	headings = regexp.MustCompile(`(?m)^#+ `)
)

func skeletonOf(t *testing.T, name, other string) skeleton {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	s := skeleton{Headings: len(headings.FindAllString(fence.ReplaceAllString(page, ""), -1))}
	for _, block := range fence.FindAllString(page, -1) {
		s.Code = append(s.Code, comment.ReplaceAllString(block, ""))
	}
	for _, m := range target.FindAllStringSubmatch(page, -1) {
		s.Links = append(s.Links, m[1])
	}
	s.Inline = span.FindAllString(fence.ReplaceAllString(page, ""), -1)
	slices.Sort(s.Inline) // another language may have another order of words
	if len(s.Links) == 0 || s.Links[0] != other {
		t.Errorf("%s does not begin with a link to %s", name, other)
	} else {
		s.Links = s.Links[1:]
	}
	return s
}

// TestReadmeInChinese: README.zh-CN.md has the commands, the code and the links of README.md, in the same order.
func TestReadmeInChinese(t *testing.T) {
	english, chinese := skeletonOf(t, "README.md", "README.zh-CN.md"), skeletonOf(t, "README.zh-CN.md", "README.md")
	if len(english.Code) < 3 || len(english.Links) < 10 {
		t.Fatalf("found %d blocks and %d links in README.md", len(english.Code), len(english.Links))
	}
	if diff := cmp.Diff(english, chinese); diff != "" {
		t.Errorf("(-README.md +README.zh-CN.md)\n%s", diff)
	}
}
