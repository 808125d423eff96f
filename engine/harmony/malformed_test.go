package harmony

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// malformedCase is a broken output, what the library made of it, and what it made
// of the output before it was broken.
type malformedCase struct {
	Mutation               string
	IDs                    []int32
	Whole, Strict, Lenient libraryAnswer
}

// libraryAnswer is a list of messages, or an error that the library raised.
type libraryAnswer struct {
	raised   bool
	messages []libraryMessage
}

type libraryMessage struct {
	Role                        Role
	Channel, Recipient, Content string
}

func (a *libraryAnswer) UnmarshalJSON(data []byte) error {
	a.raised = data[0] == '{'
	if a.raised {
		return nil
	}
	return json.Unmarshal(data, &a.messages)
}

// fields puts the library's messages into the fields of an answer.
func (a libraryAnswer) fields(p *Parser) (out answer) {
	for _, m := range a.messages {
		switch kind, name := p.route(header{role: m.Role, channel: m.Channel, recipient: m.Recipient}); kind {
		case KindReasoning:
			out.Reasoning += m.Content
		case KindContent:
			out.Content += m.Content
		case KindToolCall:
			out.Calls = append(out.Calls, call{name, m.Content})
		}
	}
	return out
}

// difference names the reason for which the parser reads an output otherwise than
// the library does, where the library reads it at all.
func difference(e *Encoding, ids []int32, library libraryAnswer, lenient bool) string {
	var all strings.Builder
	inventsRecipient, inventsTool, eatsText := false, false, false
	plain := plainText(e, ids)
	for _, m := range library.messages {
		all.WriteString(m.Channel + m.Recipient + m.Content)
		inventsTool = inventsTool || m.Role == RoleTool
		inventsRecipient = inventsRecipient || m.Recipient != "" && !strings.Contains(plain, "to="+m.Recipient) || strings.HasPrefix(m.Recipient, "=")
		eatsText = eatsText || slices.ContainsFunc(channels, func(c string) bool { return m.Channel != c && strings.HasPrefix(m.Channel, c) })
	}
	leaks := slices.ContainsFunc(ids, func(id int32) bool {
		name := string(e.t.TokenBytes(id))
		return e.t.IsSpecial(id) && strings.Count(all.String(), name) > strings.Count(plain, name)
	})
	stop := slices.IndexFunc(ids, func(id int32) bool { return slices.Contains(e.stop, id) })
	switch {
	case leaks:
		return "the library writes control tokens into names and text"
	case stop >= 0 && stop < len(ids)-1:
		return "the library reads on after return, call or endoftext"
	case inventsTool:
		return "the library takes the first word after start for a tool that answers"
	case inventsRecipient:
		return "the library takes any word of a header for a recipient"
	case eatsText:
		return "the library takes text behind a channel without a message token for a part of the channel"
	case lenient:
		return "the library takes header words for text where the message token is missing, or drops the message"
	}
	return ""
}

// recoverable says of how many of the hundred outputs broken in one way the parser
// still reads what they held when whole. The rest have lost it, as those cut off.
var recoverable = map[string]int{
	"a control token anywhere":       46,
	"a control token in a header":    56,
	"a token of a header missing":    69,
	"a token of a header twice":      74,
	"an unknown channel":             40,
	"broken characters":              13,
	"cut off":                        22,
	"no channel token":               96,
	"no end token":                   100,
	"no message token":               97,
	"no start token":                 100,
	"past the end":                   75,
	"text after the end":             57,
	"two tokens of a header swapped": 43,
}

func TestMalformedOutput(t *testing.T) {
	e := newRealEncoding(t)
	reasons, recovered := map[string]int{}, map[string]int{}
	eachGolden(t, "testdata/malformed.jsonl.gz", 1400, func(line []byte) {
		var g malformedCase
		if err := json.Unmarshal(line, &g); err != nil {
			t.Fatal(err)
		}
		checkParse(t, e, g.IDs)
		checkBorders(t, e, g.IDs)
		p := e.NewParser()
		got := parse(t, p, g.IDs)
		if cmp.Equal(g.Whole.fields(p), got) {
			recovered[g.Mutation]++
		}
		library, lenient := g.Strict, false
		if library.raised {
			library, lenient = g.Lenient, true
		}
		if library.raised {
			reasons["the library raises an error"]++
			return
		}
		diff := cmp.Diff(library.fields(p), got)
		if diff == "" {
			reasons["equal"]++
			return
		}
		reason := difference(e, g.IDs, library, lenient)
		reasons[reason]++
		if reason == "" {
			t.Errorf("%s: %q (-library +got):\n%s", g.Mutation, spell(e, g.IDs), diff)
		}
	})
	t.Logf("%v", reasons)
	if diff := cmp.Diff(recoverable, recovered); diff != "" {
		t.Errorf("outputs recovered (-want +got):\n%s", diff)
	}
}

// checkBorders parses an output twice, as its tokens and byte by byte.
func checkBorders(t *testing.T, e *Encoding, ids []int32) {
	t.Helper()
	var single []int32
	for _, id := range ids {
		if e.t.IsSpecial(id) {
			single = append(single, id)
			continue
		}
		for _, b := range e.t.TokenBytes(id) {
			single = append(single, int32(b))
		}
	}
	want, got := parse(t, e.NewParser(), ids), parse(t, newEncoding(t).NewParser(), single)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%q means something else byte by byte (-tokens +bytes):\n%s", spell(e, ids), diff)
	}
}
