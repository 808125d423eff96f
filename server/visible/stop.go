package visible

import "strings"

// Stop ends visible text at the first of the stop sequences. Text that may be the beginning of one is
// held back until the next text decides.
type Stop struct {
	Sequences []string
	held      string
	stopped   bool
}

// Push returns the text that may be shown now.
func (f *Stop) Push(text string) string {
	if len(f.Sequences) == 0 {
		return text
	}
	if f.stopped {
		return ""
	}
	f.held += text
	end := -1
	for _, s := range f.Sequences {
		if i := strings.Index(f.held, s); i >= 0 && (end < 0 || i < end) {
			end = i
		}
	}
	if end >= 0 {
		shown := f.held[:end]
		f.held, f.stopped = "", true
		return shown
	}
	keep := f.beginning()
	shown := f.held[:len(f.held)-keep]
	f.held = f.held[len(shown):]
	return shown
}

// Flush returns what is held when the text ends without a stop sequence.
func (f *Stop) Flush() string {
	shown := f.held
	f.held = ""
	return shown
}

// beginning is the length of the longest suffix of the held text that begins a stop sequence.
func (f *Stop) beginning() int {
	longest := 0
	for _, s := range f.Sequences {
		for n := min(len(s)-1, len(f.held)); n > longest; n-- {
			if strings.HasSuffix(f.held, s[:n]) {
				longest = n
			}
		}
	}
	return longest
}

// Stopped reports whether a sequence came.
func (f *Stop) Stopped() bool { return f.stopped }
