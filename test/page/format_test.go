//go:build e2e

package page

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"
)

// choose sets a field of the settings as a user does.
func (p *tab) choose(selector, value string) {
	p.Helper()
	p.do(chromedp.SetValue(selector, value))
	evaluate[bool](p, `document.querySelector("`+selector+`").dispatchEvent(new Event("input", { bubbles: true }))`)
}

// json decodes the JSON that the last answer shows.
func (p *tab) json() map[string]any {
	p.Helper()
	return evaluate[map[string]any](p, `(() => {
		const shown = [...document.querySelectorAll(".answer")].at(-1).querySelector(".prose pre")?.innerText;
		try { return JSON.parse(shown) } catch (error) { return { "not JSON": String(shown), error: error.message } }
	})()`)
}

// objects asks until an answer in JSON mode is complete, and returns how many that took. The demo model loses itself in long
// strings, which end with the limit of tokens: then the page says so.
func (p *tab) objects() int {
	p.Helper()
	questions := []string{"What is 2 plus 3?", "Explain Kubernetes", "What is 48 plus 37?", "What is the capital of Japan?", "Hello", "List six planets"}
	for i, q := range questions {
		p.ask(q)
		p.answered(i + 1)
		if p.json()["not JSON"] == nil {
			return i + 1
		}
		if got := p.lastText(".notice"); !strings.Contains(got, "before its JSON was complete") {
			p.Errorf("%s: %v; %q", q, p.json(), got)
		}
	}
	p.fail("no answer in JSON mode is JSON")
	return 0
}

// TestFormats has the demo model itself answer in JSON, which it was never taught.
func TestFormats(t *testing.T) {
	f := startFront(t, startServer(t))
	p := openTab(t, f.address, 1280, 860)
	p.wait(`document.querySelector(".ask")`)

	p.click("#format-chip")
	p.choose("#format", "json")
	p.choose("[name=max_tokens]", "400")
	p.click(`#settings header button`)
	p.wait(`document.getElementById("format-chip").innerText === "JSON"`)
	answers := p.objects()
	if diff := cmp.Diff(map[string]any{"type": "json_object"}, f.sent(t)["response_format"]); diff != "" {
		t.Errorf("response_format (-want,+sent):\n%s", diff)
	}
	p.shot("format-json")

	p.click("#format-chip")
	p.choose("#format", "schema")
	p.click("#example-schema")
	p.wait(`document.getElementById("schema-note").innerText === "The answer will fit this schema."`)
	p.shot("format-settings")
	p.choose("#schema", `{"type": "object", "properties": {"city": {"enum": ["Lima", "Tokyo"]}, "large": {"type": "boolean"}}, "required": ["city", "large"], "additionalProperties": false}`)
	p.click(`#settings header button`)
	p.wait(`document.getElementById("format-chip").innerText === "JSON Schema"`)
	p.ask("What is the capital of Peru?")
	p.answered(answers + 1)
	got := p.json()
	if _, isBool := got["large"].(bool); !isBool || len(got) != 2 || got["city"] != "Lima" && got["city"] != "Tokyo" {
		t.Errorf("the schema gives %v; %s", got, p.lastText(".notice"))
	}
	p.shot("format-schema")

	p.expect("400 (Bad Request)")
	p.click("#format-chip")
	p.choose("#schema", `{"type": "object", "not": {"required": ["a"]}}`)
	p.click(`#settings header button`)
	p.ask("And of Chile?")
	p.answered(answers + 2)
	if got := p.lastText(".notice.error"); !strings.Contains(got, `the keyword "not"`) || !strings.Contains(got, "Open the settings") {
		t.Errorf("a schema that the server refuses is shown as %q", got)
	}
	p.shot("format-refused")

	p.click("#format-chip")
	p.choose("#schema", `{"type": `)
	p.wait(`document.getElementById("schema-note").innerText.startsWith("This is not JSON") && document.getElementById("schema").getAttribute("aria-invalid") === "true"`)
	p.click(`#settings header button`)
	p.wait(`document.getElementById("format-chip").innerText === "Schema: error"`)
	p.ask("And of Italy?") // what is wrong is shown, nothing is sent
	p.wait(`document.getElementById("settings").open && document.activeElement.id === "schema"`)
	if n := evaluate[int](p, `document.querySelectorAll(".user").length`); n != answers+2 {
		t.Errorf("%d messages were sent, want %d", n, answers+2)
	}
}

// TestForcedCall has a tool called that the question does not ask for.
func TestForcedCall(t *testing.T) {
	f := startFront(t, startServer(t))
	p := openTab(t, f.address, 1280, 860)
	p.wait(`document.querySelector(".ask")`)
	p.click("#tools-chip")
	p.choose("#tools", `{"name": "look_up", "strict": true, "parameters": {"type": "object", "properties": {"city": {"enum": ["Lima", "Tokyo"]}}, "required": ["city"], "additionalProperties": false}}`)
	p.choose("#choice", "required")
	p.click(`#settings header button`)
	p.ask("What is the capital of Peru?")
	p.answered(1)
	if got := p.lastText(".call header"); !strings.Contains(got, "look_up") {
		t.Fatalf("no call but %q, %q", got, p.lastText(".notice"))
	}
	if got := p.lastText(".call pre"); !strings.Contains(got, `"Lima"`) && !strings.Contains(got, `"Tokyo"`) {
		t.Errorf("the arguments are %q", got)
	}
	if got := f.sent(t)["tool_choice"]; got != "required" {
		t.Errorf("tool_choice %v was sent", got)
	}
}
