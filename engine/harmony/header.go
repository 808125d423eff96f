package harmony

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// header is what stands between start and message.
type header struct {
	role        Role
	channel     string
	recipient   string
	contentType string
}

// segment is a part of a header: the text that follows a control token.
type segment struct {
	after mark
	text  []byte
}

type mark uint8

const (
	afterStart mark = iota // or after nothing at all
	afterChannel
	afterConstrain
)

// maxHeader bounds a header in bytes. What is longer is no header: its message
// token is missing.
const maxHeader = 256

var (
	channels     = []string{ChannelAnalysis, ChannelCommentary, ChannelFinal}
	contentTypes = []string{"json", "code", "text", "markdown"}
)

// headerReader takes a header apart. Models put the recipient before or after the
// channel, repeat the channel, or leave out blanks; later parts win.
type headerReader struct {
	header
	complete bool     // a message token ends the header: no word in it is content
	started  bool     // start came before: the first word is a role
	known    []string // functions on offer
	wantTo   bool     // "to=" came at the end of a word
	stranger bool     // the first word after start is no role
}

// readHeader returns the header and, of an incomplete one, the text in which it
// ends and the content begins.
func readHeader(segments []segment, started, complete bool, known []string) (h header, rest string) {
	r := headerReader{
		header:   header{role: RoleAssistant},
		complete: complete,
		started:  started,
		known:    known,
	}
	for i, s := range segments {
		left, ok := r.segment(s.after, string(s.text))
		if ok {
			continue
		}
		var b strings.Builder
		b.WriteString(left)
		for _, s := range segments[i+1:] {
			b.Write(s.text)
		}
		return r.header, b.String()
	}
	if r.stranger && r.recipient == string(RoleAssistant) {
		r.role = RoleTool
	}
	return r.header, ""
}

// segment reads words until one is content; then it returns what is left.
func (r *headerReader) segment(after mark, text string) (left string, ok bool) {
	first := true
	for {
		trimmed := strings.TrimLeft(text, " \t\r\n")
		if trimmed == "" {
			return "", true
		}
		end := strings.IndexAny(trimmed, " \t\r\n")
		if end < 0 {
			end = len(trimmed)
		}
		used := r.word(trimmed[:end], after, first)
		if used == 0 {
			if !r.complete {
				return strings.TrimPrefix(text, " "), false
			}
			used = end
		}
		text = trimmed[used:]
		first = false
	}
}

// word takes what it can of a word and returns how much that was.
func (r *headerReader) word(word string, after mark, first bool) int {
	if r.wantTo {
		r.wantTo = false
		if !slices.Contains(contentTypes, word) || slices.Contains(r.known, word) {
			return r.to(word)
		}
	}
	switch {
	case strings.HasPrefix(word, "to="):
		if word == "to=" {
			r.wantTo = true
			return len(word)
		}
		return len("to=") + r.to(word[len("to="):])
	case after == afterChannel && first:
		return r.channelName(word)
	case after == afterConstrain && first:
		name := nameLength(word)
		r.contentType = constrainPrefix + word[:name]
		return name
	case after == afterStart && first:
		if n := r.roleName(word); n > 0 {
			return n
		}
	}
	if slices.Contains(contentTypes, word) {
		r.contentType = word
		return len(word)
	}
	for _, name := range contentTypes {
		// The arguments follow at once where the message token is missing.
		if strings.HasPrefix(word, name+"{") && r.recipient != "" && !r.complete {
			r.contentType = name
			return len(name)
		}
	}
	if strings.HasPrefix(strings.TrimLeft(word, "="), functionsNamespace+".") {
		return r.to(word)
	}
	if n := nameLength(word); n > 0 && slices.Contains(r.known, word[:n]) {
		return r.to(word)
	}
	if r.complete && r.contentType == "" {
		r.contentType = word
	}
	return 0
}

// to reads a recipient: the longest name at the start of the word, or behind equals
// signs too many.
func (r *headerReader) to(word string) int {
	name := strings.TrimLeft(word, "=")
	n := nameLength(name)
	if n > 0 {
		r.recipient = name[:n]
	}
	if r.complete {
		return len(word)
	}
	return len(word) - len(name) + n
}

// roleName reads a role, a role run together with its channel, or a channel that
// has lost its token.
func (r *headerReader) roleName(word string) int {
	name, _, _ := strings.Cut(word, ":")
	if name == string(RoleAssistant) {
		return len(word)
	}
	if !r.started && !r.complete {
		return 0 // an ordinary word at the start of a text
	}
	switch Role(name) {
	case RoleUser, RoleSystem, RoleDeveloper, RoleTool:
		r.role = Role(name)
		return len(word)
	}
	if slices.Contains(channels, strings.TrimPrefix(word, string(RoleAssistant))) {
		r.channel = strings.TrimPrefix(word, string(RoleAssistant))
		return len(word)
	}
	if r.started && isTool(word) {
		r.role = RoleTool
		return len(word)
	}
	r.stranger = r.started
	return 0
}

// channelName reads a channel. It ends where "to=" is run together with it, or the
// content whose message token is missing.
func (r *headerReader) channelName(word string) int {
	if name := strings.TrimPrefix(word, string(RoleAssistant)); slices.Contains(channels, name) {
		r.channel = name // the role came behind the channel token
		return len(word)
	}
	n := len(word)
	for _, c := range channels {
		if strings.HasPrefix(word, c+"to=") || !r.complete && strings.HasPrefix(word, c) {
			n = len(c)
		}
	}
	r.channel = word[:n]
	return n
}

// nameLength returns the length of the name that a word begins with. Names of
// functions hold more than identifiers: callers use hyphens, dots and colons.
func nameLength(word string) int {
	for i, r := range word {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		case r == '_', r == '-', r == '.', r == ':', r == '/':
		case r >= utf8.RuneSelf && r != utf8.RuneError:
		default:
			return i
		}
	}
	return len(word)
}

// isTool reports whether a name is that of a tool rather than of a person.
func isTool(name string) bool {
	return strings.HasPrefix(name, functionsNamespace+".") || isBuiltin(name)
}

func isBuiltin(name string) bool {
	namespace, _, _ := strings.Cut(name, ".")
	return namespace == "python" || namespace == "browser"
}

// unfinished reports whether a text may be a header's word that was cut off.
func unfinished(text string) bool {
	begins := func(word string) bool { return strings.HasPrefix(word, text) }
	return begins("to=") || begins(string(RoleAssistant)) ||
		slices.ContainsFunc(channels, begins) || slices.ContainsFunc(contentTypes, begins)
}
