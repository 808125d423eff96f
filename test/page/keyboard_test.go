//go:build e2e

package page

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"
)

// focused names what has the focus, and says where that cannot be seen.
const focused = `((n) => {
	if (n === document.body) return "";
	const drawn = n.matches(".segments input") ? n.nextElementSibling : n.id === "message" ? n.form : n;
	const style = getComputedStyle(drawn);
	const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 || drawn === n.form && style.boxShadow.includes(" 1px");
	const box = n.getBoundingClientRect();
	const inside = box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth;
	const name = n.id || (n.type === "radio" ? n.value : n.name) || n.getAttribute("aria-label") || n.title || n.textContent.trim() || n.tagName;
	return name + (n.matches(":focus-visible") && ring ? "" : " without a ring") + (inside ? "" : " out of sight") + (+getComputedStyle(n).opacity || n.matches(".segments input") ? "" : " transparent");
})(document.activeElement)`

// walk presses Tab until something has the focus for the second time, and returns the round from the first of a name on.
func (p *tab) walk(first string) []string {
	p.Helper()
	var order []string
	for range 60 {
		p.keys("\t")
		at := evaluate[string](p, focused)
		if len(order) > 0 && at == order[0] {
			if i := slices.Index(order, first); i > 0 {
				order = slices.Concat(order[i:], order[:i])
			}
			return order
		}
		if at != "" { // between the last and the first, where the browser's own controls would be
			order = append(order, at)
		}
	}
	p.Fatalf("Tab never comes back: %q", order)
	return nil
}

// TestFocus reaches everything with Tab, in the order in which it is seen, with a ring around it.
func TestFocus(t *testing.T) {
	f := startFront(t, startServer(t))
	p := openTab(t, f.address, 1280, 860, media("prefers-reduced-motion", "reduce"))
	p.wait(`document.querySelector(".ask") && document.activeElement.id === "message"`)
	bar := []string{"Skip to the message", "new", "theme", "open-settings", "log"}
	foot := []string{"message", "medium", "tools-chip", "format-chip"}
	asks := []string{"Explain Kubernetes", "List six planets", "What is 48 plus 37?", "What is the weather like in Lisbon?"}
	compare := func(where string, want []string) {
		t.Helper()
		if diff := cmp.Diff(want, p.walk(want[0])); diff != "" {
			t.Errorf("%s, Tab goes (-want,+got):\n%s", where, diff)
		}
	}
	compare("at first", slices.Concat(bar, asks, foot))

	f.intercept(scripted([]map[string]any{
		{"reasoning": "They ask for the weather."},
		{"content": "A [page](https://ok.example) and\n\n```go\nx\n```\n"},
		{"tool_calls": []any{map[string]any{"index": 0, "id": "call_1", "function": map[string]any{"name": "get_weather", "arguments": `{}`}}}},
	}, "tool_calls", nil))
	p.do(chromedp.Focus("#message"))
	p.ask("Weather?")
	p.answered(1)
	answer := []string{"Edit", "Copy message", "Thought", "page", "Copy code, go", "Code, go", "Copy code, Arguments", "Code, Arguments", "result-call_1", "Send result", "Copy answer", "Answer again"}
	compare("with an answer", slices.Concat(bar, answer, foot))

	p.click("#open-settings")
	p.choose("#format", "schema")
	p.click("#example-tool")
	compare("in the settings", []string{
		"settings", "Close", "system", "temperature", "top_p", "max_tokens", "seed", "format", "example-schema", "schema", "example-tool", "tools", "choice", "forget", "saved-key",
	})
}

// TestKeyboard does everything without a pointer.
func TestKeyboard(t *testing.T) {
	f := startFront(t, startServer(t))
	p := openTab(t, f.address, 1280, 860)
	p.wait(`document.querySelector(".ask") && document.activeElement.id === "message"`)
	alt, shift := chromedp.KeyModifiers(chromedp.ModifierAlt), chromedp.KeyModifiers(chromedp.ModifierShift)
	p.keys("a")
	p.keys(kb.Enter, shift)
	p.keys("b")
	if got := evaluate[[]any](p, `[document.getElementById("message").value, document.querySelectorAll(".user").length]`); got[0] != "a\nb" || got[1] != 0.0 {
		t.Errorf("Shift+Enter gives %q", got)
	}
	evaluate[bool](p, `document.getElementById("message").select(), true`)
	p.keys("What is 2 plus 3?")
	p.do(enter)
	p.answered(1)
	p.wait(`document.activeElement.id === "message"`)
	p.keys("r", alt)
	p.wait(`document.querySelector(".prose")?.innerText === "2 + 3 = 5" && !document.querySelector("[aria-busy]")`)
	p.keys("s", alt)
	p.wait(`document.getElementById("settings").open`)
	p.keys("\x1b")
	p.wait(`!document.getElementById("settings").open && document.activeElement.id === "message"`)

	f.intercept(scripted(says("Hm", ""), "stop", make(chan struct{})))
	p.keys("Wait")
	for range 4 { // reasoning, tools, format, send
		p.keys("\t")
	}
	p.wait(`document.activeElement.id === "send"`)
	p.do(enter)
	p.wait(`document.querySelectorAll(".thought-text").length === 2 && document.activeElement.id === "stop"`)
	p.keys("\x1b")
	p.answered(2)
	p.wait(`document.activeElement.id === "message"`)
	p.keys("n", alt)
	p.wait(`!document.getElementById("welcome").hidden`)
	p.keys("\t") // from the message to the level, which arrows choose
	p.keys(kb.ArrowRight)
	p.wait(`document.querySelector("[value=high]").checked`)
}

// spoken are the roles that a screen reader stops at.
var spoken = map[string]bool{
	"heading": true, "main": true, "banner": true, "form": true, "article": true, "region": true, "dialog": true, "status": true, "alert": true, "group": true,
	"link": true, "button": true, "textbox": true, "radio": true, "radiogroup": true, "combobox": true, "spinbutton": true, "DisclosureTriangle": true, "table": true,
}

// tree lists what a screen reader finds, as "role name".
func (p *tab) tree() []string {
	p.Helper()
	var list []string
	p.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		full, err := cdp.Call(ctx, t, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
		if err != nil {
			return err
		}
		nodes := map[accessibility.NodeID]*accessibility.Node{}
		for _, n := range full.Nodes {
			nodes[n.NodeID] = n
		}
		var visit func(n *accessibility.Node)
		visit = func(n *accessibility.Node) {
			if role := value(n.Role); !n.Ignored && spoken[role] {
				list = append(list, strings.TrimSpace(role+" "+value(n.Name)))
			}
			for _, id := range n.ChildIDs {
				if child := nodes[id]; child != nil {
					visit(child)
				}
			}
		}
		visit(full.Nodes[0])
		return nil
	}))
	return list
}

func value(v *accessibility.Value) string {
	var s string
	if v == nil || json.Unmarshal(v.Value, &s) != nil {
		return ""
	}
	return s
}

// TestScreenReader compares what assistive technology is told.
func TestScreenReader(t *testing.T) {
	f := startFront(t, startServer(t))
	p := openTab(t, f.address, 1280, 860)
	p.wait(`document.querySelector(".ask")`)
	compare := func(where string, want []string) {
		t.Helper()
		if diff := cmp.Diff(want, p.tree()); diff != "" {
			t.Errorf("%s, a screen reader finds (-want,+got):\n%s", where, diff)
		}
	}
	bar := []string{
		"link Skip to the message",
		"banner", "heading gpt-oss-demo", "status", "group Page", "button New", "button Light or dark", "button Settings",
		"main Conversation",
	}
	foot := []string{
		"form Message", "textbox Message", "group Reasoning", "radio Low", "radio Medium", "radio High", "button Tools", "button Format: Text", "button Send",
	}
	compare("at first", slices.Concat(bar, []string{
		"heading What can I help with?",
		"button Explain Kubernetes", "button List six planets", "button What is 48 plus 37?", "button What is the weather like in Lisbon?",
	}, foot))
	f.intercept(scripted([]map[string]any{
		{"reasoning": "They ask for the weather."},
		{"content": "# Weather\n\n| a |\n|--|\n| b |\n\n```go\nx\n```\n"},
		{"tool_calls": []any{map[string]any{"index": 0, "id": "call_1", "function": map[string]any{"name": "get_weather", "arguments": `{}`}}}},
	}, "tool_calls", nil))
	p.ask("Weather?")
	p.answered(1)
	compare("with an answer", slices.Concat(bar, []string{
		"article You", "button Edit", "button Copy message",
		"article Answer", "group", "DisclosureTriangle Thought", "heading Weather", "region Table", "table", "button Copy code, go", "region Code, go",
		"form", "region Call of get_weather", "button Copy code, Arguments", "region Code, Arguments", "textbox What did get_weather return?", "button Send result",
		"button Copy answer", "button Answer again",
	}, foot))
	f.intercept(refuse(http.StatusBadRequest, nil, "", "seed", "No such seed."))
	p.expect("400 (Bad Request)")
	p.click("#new")
	p.ask("Weather?")
	p.answered(1)
	compare("with a failure", slices.Concat(bar, []string{
		"article You", "button Edit", "button Copy message", "article Answer", "alert", "button Open the settings", "button Try again",
	}, foot))
	p.click("#open-settings")
	compare("in the settings", []string{
		"dialog Settings", "form", "banner", "heading Settings", "button Close",
		"heading Conversation", "textbox Instructions", "spinbutton Temperature", "spinbutton Top P", "spinbutton Max tokens", "spinbutton Seed",
		"heading Answer", "combobox Format",
		"heading Tools", "button Add an example", "textbox Functions, as JSON", "status", "combobox Use of tools",
		"heading Access", "button Forget the API key", "textbox API key", "heading Keyboard",
	})
}
