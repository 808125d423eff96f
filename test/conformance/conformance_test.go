package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPlan holds the lists together: a typing error in one would leave a scenario out without a word.
func TestPlan(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range scenarios {
		if seen[s.name] {
			t.Errorf("two scenarios are called %s", s.name)
		}
		seen[s.name] = true
		if s.tells == "" || len(s.clients) == 0 {
			t.Errorf("%s: says nothing or is played by nobody", s.name)
		}
		for _, name := range s.clients {
			if !slices.ContainsFunc(clients, func(c client) bool { return c.name == name }) {
				t.Errorf("%s: there is no client %s", s.name, name)
			}
		}
	}
	for _, c := range clients {
		if len(plan(c, nil, true)) < 20 {
			t.Errorf("%s plays %v", c.name, plan(c, nil, true))
		}
		if slices.Contains(plan(c, nil, false), "error-limit") {
			t.Errorf("%s would fill the queue of somebody else's server", c.name)
		}
	}
}

func TestCollect(t *testing.T) {
	output := `a library's chatter
{"scenario":"chat","ok":true,"seconds":0.5}
{"scenario":"somebody-elses","ok":true}
{"scenario":"stream","ok":false,"seconds":1,"error":"it broke"}
`
	got := collect("c", []string{"chat", "stream", "stop"}, []byte(output), "nothing was said")
	want := []result{
		{Client: "c", Scenario: "chat", OK: true, Seconds: 0.5},
		{Client: "c", Scenario: "stream", Seconds: 1, Error: "it broke"},
		{Client: "c", Scenario: "stop", Error: "nothing was said"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want,+got):\n%s", diff)
	}
}

func TestTable(t *testing.T) {
	var out bytes.Buffer
	failed := printTable(&out, []result{
		{Client: "openai-node", Scenario: "chat", OK: true, Seconds: 0.25},
		{Client: "openai-node", Scenario: "stream", Seconds: 1, Error: "two\nlines"},
		{Client: "ai-sdk", Scenario: "chat", OK: true},
	})
	if failed != 1 {
		t.Errorf("%d failed, want 1", failed)
	}
	for _, want := range []string{
		"chat                  ok  0.2  ok  0.0\n", "stream              FAIL  1.0        ·\n",
		"openai-node stream: two\n    lines\n", "conformance: 2 passed, 1 failed\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, out.String())
		}
	}
}

func TestBaseURL(t *testing.T) {
	for endpoint, want := range map[string]string{
		"https://example.org": "https://example.org/v1", "http://[::1]:8000/": "http://[::1]:8000/v1", "https://example.org/openai/v1/": "https://example.org/openai/v1",
		"example.org": "", "ftp://example.org": "", "": "",
	} {
		got, err := baseURL(endpoint)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q: got %q, %v", endpoint, got, err)
		}
	}
}

func TestFlags(t *testing.T) {
	t.Setenv(keyVariable, "k")
	var out bytes.Buffer
	s, err := parse([]string{"--clients", "node,openai-go", "--only", "chat,stream"}, &out)
	if err != nil {
		t.Fatal(err)
	}
	var wanted []string
	for _, c := range clients {
		if s.wants(c) {
			wanted = append(wanted, c.name)
		}
	}
	if diff := cmp.Diff([]string{"openai-node", "openai-go", "ai-sdk", "langchain-js"}, wanted); diff != "" {
		t.Errorf("clients (-want,+got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"chat", "stream"}, plan(clients[0], s.only, true)); diff != "" || s.key != "k" {
		t.Errorf("key %q, scenarios (-want,+got):\n%s", s.key, diff)
	}
	for _, bad := range [][]string{{"--only", "chat,nonsense"}, {"--clients", "nobody"}, {"more"}} {
		if _, err := parse(bad, &out); err == nil {
			t.Errorf("%v is accepted", bad)
		}
	}
}

func TestKeysOfOtherServersStayOut(t *testing.T) {
	got := withoutKeys([]string{"OPENAI_API_KEY=x", "PATH=/bin", "LANGSMITH_API_KEY=y", "OPENAI_BASE_URL=z"})
	if diff := cmp.Diff([]string{"PATH=/bin"}, got); diff != "" {
		t.Errorf("(-want,+got):\n%s", diff)
	}
}
