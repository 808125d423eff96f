package screen

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// Style is a way to show a word.
type Style string

// The styles, as the numbers of ECMA-48.
const (
	Plain  Style = ""
	Bold   Style = "1"
	Dim    Style = "2"
	Red    Style = "31"
	Green  Style = "32"
	Yellow Style = "33"
)

// Screen is where a command writes.
type Screen struct {
	Out io.Writer // the answer
	Err io.Writer // progress and errors

	// OutTerminal and ErrTerminal say whether a person looks at it directly.
	OutTerminal, ErrTerminal bool
	// Colour is off where NO_COLOR says so, or the terminal knows none.
	Colour bool

	live bool // a live line is on Err
}

// New looks at the streams and the environment.
func New(out, err io.Writer, env func(string) string) *Screen {
	return &Screen{
		Out: out, Err: err, OutTerminal: terminal(out), ErrTerminal: terminal(err),
		Colour: env("NO_COLOR") == "" && env("TERM") != "dumb",
	}
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Paint shows text in a style where Out is a terminal. The text must be safe already.
func (s *Screen) Paint(style Style, text string) string {
	if !s.OutTerminal || !s.Colour || style == Plain || text == "" {
		return text
	}
	return "\x1b[" + string(style) + "m" + text + "\x1b[0m"
}

// Safe is Text for a terminal, and the text itself for a file or pipe, where it harms nobody and has to be exact.
func (s *Screen) Safe(text string) string {
	if s.OutTerminal {
		return Text(text)
	}
	return text
}

// Progress shows how far something is in one live line, where a terminal is there.
func (s *Screen) Progress(format string, args ...any) {
	if s.ErrTerminal {
		s.live = true
		fmt.Fprint(s.Err, "\r\x1b[K"+Line(fmt.Sprintf(format, args...)))
	}
}

// Step writes a line that stays, over the live one.
func (s *Screen) Step(format string, args ...any) {
	s.End()
	fmt.Fprintln(s.Err, Line(fmt.Sprintf(format, args...)))
}

// End removes the live line.
func (s *Screen) End() {
	if s.live {
		fmt.Fprint(s.Err, "\r\x1b[K")
		s.live = false
	}
}

// Cell is a word of a table.
type Cell struct {
	Text  string
	Style Style
}

// Table writes rows in columns as wide as their widest cell. The last column has no padding.
func (s *Screen) Table(rows [][]Cell) {
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(Line(c.Text)))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, c := range row {
			text := Line(c.Text)
			line.WriteString(s.Paint(c.Style, text))
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text)+3))
			}
		}
		fmt.Fprintln(s.Out, strings.TrimRight(line.String(), " "))
	}
}
