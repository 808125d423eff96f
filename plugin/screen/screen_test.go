package screen

import (
	"strings"
	"testing"
	"unicode"
)

func TestHostileTextIsHarmless(t *testing.T) {
	for name, tc := range map[string]struct{ in, line, text string }{
		"plain text stays":                 {"wörter 好", "wörter 好", "wörter 好"},
		"an escape sequence can be read":   {"a\x1b[2Jb", `a\x1b[2Jb`, `a\x1b[2Jb`},
		"a title is not set":               {"\x1b]0;x\a", `\x1b]0;x\x07`, `\x1b]0;x\x07`},
		"the eight-bit introducer":         {"a\u009b31m", `a\u009b31m`, `a\u009b31m`},
		"text is not turned around":        {"a\u202eb", `a\u202eb`, `a\u202eb`},
		"line breaks":                      {"a\r\nb\tc", "a  b c", "a\nb\tc"},
		"a line is not overwritten":        {"good\rbad", "good bad", "goodbad"},
		"what is not UTF-8 is replaced":    {"a\xffb", "a\ufffdb", "a\ufffdb"},
		"delete is a control character":    {"a\x7f", `a\u007f`, `a\u007f`},
		"a zero byte is a control as well": {"a\x00b", `a\x00b`, `a\x00b`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Line(tc.in); got != tc.line {
				t.Errorf("Line: %q, want %q", got, tc.line)
			}
			if got := Text(tc.in); got != tc.text {
				t.Errorf("Text: %q, want %q", got, tc.text)
			}
		})
	}
}

func FuzzText(f *testing.F) {
	f.Add("a\x1b[2Jb\r\n\u202e\xff")
	f.Fuzz(func(t *testing.T, in string) {
		for _, out := range []string{Line(in), Text(in)} {
			if strings.ContainsFunc(out, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }) {
				t.Errorf("%q has a control character", out)
			}
		}
		if strings.ContainsAny(Line(in), "\n\t") {
			t.Error("a line has more than one line")
		}
	})
}

func TestColoursAreForTerminals(t *testing.T) {
	for name, tc := range map[string]struct {
		terminal bool
		noColor  string
		want     string
	}{
		"a terminal":                           {true, "", "\x1b[31mno\x1b[0m"},
		"a terminal of somebody with NO_COLOR": {true, "1", "no"},
		"a pipe":                               {false, "", "no"},
	} {
		t.Run(name, func(t *testing.T) {
			s := New(&strings.Builder{}, &strings.Builder{}, func(name string) string { return map[string]string{"NO_COLOR": tc.noColor}[name] })
			s.OutTerminal = tc.terminal
			if got := s.Paint(Red, "no"); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}

func TestTable(t *testing.T) {
	var out strings.Builder
	s := New(&out, &out, func(string) string { return "" })
	s.Table([][]Cell{{{Text: "NAME"}, {Text: "READY"}}, {{Text: "größer\x1b"}, {Text: "yes", Style: Green}}})
	if want := "NAME         READY\ngrößer\\x1b   yes\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}
