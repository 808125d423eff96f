package openai

import (
	"net/url"
	"testing"
)

// FuzzChatQuery looks for queries that become no body, and for bodies that no query should become.
func FuzzChatQuery(f *testing.F) {
	for _, seed := range []string{
		"", "stream=true", "stream=true&model=m&prompt=a&system=b", `stream=true&model=m&messages=[{"role":"user","content":"a"}]&temperature=1`,
		`stream=true&prompt=a&messages=1`, "stream=true&stop=a&stop=b", "stream=true&prompt=%00%ff&tools=[", "stream=true&=1",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		query, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		body, err := ChatQuery(query)
		if err != nil {
			return
		}
		if r, err := DecodeChatRequest(body); err == nil && !r.Stream {
			t.Fatalf("%q becomes %s, which does not stream", text, body)
		}
	})
}
