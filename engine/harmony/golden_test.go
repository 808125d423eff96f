package harmony

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The goldens are what openai-harmony 0.0.8 makes of the same input; see
// hack/harmony-golden.

type goldenTools map[string]struct {
	Name        string
	Description string
	Tools       []Tool
}

func (g goldenTools) namespaces() (out []Namespace) {
	for _, n := range g {
		out = append(out, Namespace{Name: n.Name, Description: n.Description, Tools: n.Tools})
	}
	return out
}

// builtins returns our own definitions of the tools in a system message, so that
// equal ids show them to be the library's.
func (g goldenTools) builtins(t *testing.T) (out []Namespace) {
	t.Helper()
	for _, n := range g {
		switch n.Name {
		case "browser":
			out = append(out, Browser())
		case "python":
			out = append(out, Python())
		default:
			t.Fatalf("unknown built-in tool %q", n.Name)
		}
	}
	return out
}

type goldenMessage struct {
	Role        Role
	Name        string
	Recipient   string
	Channel     string
	ContentType string `json:"content_type"`
	Content     json.RawMessage
}

type goldenContent struct {
	Type          string
	Text          string
	Instructions  string
	Tools         goldenTools
	Identity      string `json:"model_identity"`
	Effort        string `json:"reasoning_effort"`
	Cutoff        string `json:"knowledge_cutoff"`
	Date          string `json:"conversation_start_date"`
	ChannelConfig struct {
		Valid    []string `json:"valid_channels"`
		Required bool     `json:"channel_required"`
	} `json:"channel_config"`
}

func (g goldenMessage) message(t *testing.T) Message {
	t.Helper()
	m := Message{Role: g.Role, Name: g.Name, Recipient: g.Recipient, Channel: g.Channel, ContentType: g.ContentType}
	var text string
	if json.Unmarshal(g.Content, &text) == nil {
		m.Content = []Content{Text(text)}
		return m
	}
	var contents []goldenContent
	if err := json.Unmarshal(g.Content, &contents); err != nil {
		t.Fatal(err)
	}
	for _, c := range contents {
		switch c.Type {
		case "text":
			m.Content = append(m.Content, Text(c.Text))
		case "system_content":
			m.Content = append(m.Content, &System{
				ModelIdentity: c.Identity, KnowledgeCutoff: c.Cutoff, CurrentDate: c.Date,
				Effort: Effort(strings.ToLower(c.Effort)), Tools: c.Tools.builtins(t),
				Channels: c.ChannelConfig.Valid, ChannelRequired: c.ChannelConfig.Required,
			})
		case "developer_content":
			m.Content = append(m.Content, &Developer{Instructions: c.Instructions, Tools: c.Tools.namespaces()})
		default:
			t.Fatalf("unknown content type %q", c.Type)
		}
	}
	return m
}

// eachGolden calls check with every line of a golden file.
func eachGolden(t *testing.T, path string, atLeast int, check func(line []byte)) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 1<<20)
	count := 0
	for ; lines.Scan(); count++ {
		check(lines.Bytes())
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if count < atLeast {
		t.Errorf("%s holds %d cases, want at least %d", path, count, atLeast)
	}
}

func TestRenderEqualsOpenAIsLibrary(t *testing.T) {
	e := newRealEncoding(t)
	failures := 0
	eachGolden(t, "testdata/render.jsonl.gz", 2000, func(line []byte) {
		var g struct {
			Drop         bool
			Conversation struct{ Messages []goldenMessage }
			Text         string
			IDs          string
		}
		if err := json.Unmarshal(line, &g); err != nil {
			t.Fatal(err)
		}
		c := Conversation{Reasoning: KeepAll}
		if g.Drop {
			c.Reasoning = DropFirst
		}
		for _, m := range g.Conversation.Messages {
			c.Messages = append(c.Messages, m.message(t))
		}
		ids, err := e.Render(c)
		if err != nil {
			t.Fatalf("%v\n%s", err, line)
		}
		if diff := cmp.Diff(g.Text, spell(e, ids)); diff != "" {
			t.Errorf("text (-want +got):\n%s", diff)
			failures++
		}
		if got := digest(ids); got != g.IDs {
			t.Errorf("ids hash to %s, want %s, in\n%s", got, g.IDs, g.Text)
			failures++
		}
		if failures > 5 {
			t.FailNow()
		}
	})
}

func digest(ids []int32) string {
	var b []byte
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(id), 10)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])[:16]
}

// answer is what the deltas of one output add up to.
type answer struct {
	Reasoning, Content string
	Calls              []call
}

type call struct{ Name, Arguments string }

func (a *answer) add(t testing.TB, deltas []Delta) {
	t.Helper()
	for _, d := range deltas {
		switch d.Kind {
		case KindReasoning:
			a.Reasoning += d.Text
		case KindContent:
			a.Content += d.Text
		case KindToolCall:
			if d.Name != "" {
				a.Calls = append(a.Calls, call{Name: d.Name})
			}
			if d.Index != len(a.Calls)-1 {
				t.Fatalf("delta %+v belongs to call %d, %d were announced", d, d.Index, len(a.Calls))
			}
			a.Calls[d.Index].Arguments += d.Text
		default:
			t.Fatalf("delta %+v has no kind", d)
		}
	}
}

func parse(t testing.TB, p *Parser, ids []int32) (a answer) {
	t.Helper()
	for _, id := range ids {
		a.add(t, p.Push(id))
	}
	a.add(t, p.Close())
	return a
}

func TestParseEqualsOpenAIsLibrary(t *testing.T) {
	encodings := []*Encoding{newEncoding(t), newRealEncoding(t)}
	eachGolden(t, "testdata/parse.jsonl.gz", 2000, func(line []byte) {
		var g struct {
			Text     string
			Messages []struct{ Channel, Recipient, Content string }
		}
		if err := json.Unmarshal(line, &g); err != nil {
			t.Fatal(err)
		}
		var want answer
		for _, m := range g.Messages {
			function, isFunction := strings.CutPrefix(m.Recipient, "functions.")
			switch {
			case isFunction:
				want.Calls = append(want.Calls, call{function, m.Content})
			case m.Recipient != "": // a built-in tool
			case m.Channel == "analysis":
				want.Reasoning += m.Content
			default:
				want.Content += m.Content
			}
		}
		for _, e := range encodings {
			if diff := cmp.Diff(want, parse(t, e.NewParser(), unspell(t, e, g.Text))); diff != "" {
				t.Fatalf("%q (-want +got):\n%s", g.Text, diff)
			}
		}
	})
}
