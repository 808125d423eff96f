//go:build e2e

package page

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// attacks are what would be code, an address that runs code, or a request to somebody else, if it were taken for HTML or
// followed as Markdown.
var attacks = []string{
	`<img src=x onerror="window.hit=1">`, `<script>window.hit=2</script>`, `<svg onload="window.hit=3"><script>window.hit=3</script></svg>`,
	`<iframe srcdoc="<script>parent.hit=4</script>"></iframe>`, `<style>body{display:none}</style>`, `<base href="https://elsewhere.example/">`,
	`<meta http-equiv=refresh content="0;url=https://elsewhere.example">`, `<a href="javascript:window.hit=5">x</a>`,
	`[a](javascript:window.hit=6)`, `[a](JaVaScRiPt:window.hit=6)`, `[a](&#106;avascript:window.hit=6)`, "[a](<java\tscript:window.hit=6>)", `[a](\javascript:window.hit=6)`,
	`[a](data:text/html,x)`, `[a](vbscript:x)`, `[a](//elsewhere.example)`, `[a](file:///etc/passwd)`, `<javascript:window.hit=7>`,
	`![b](data:image/svg+xml,x)`, `![b](//elsewhere.example/p.png)`, `![c](https://elsewhere.example/p.png)`, `[![d](https://elsewhere.example/q.png)](javascript:window.hit=8)`,
	`<https://ok.example>`,
}

// TestMarkup has model, user and server say what would be code if it were ever taken for HTML.
func TestMarkup(t *testing.T) {
	f := startFront(t, startServer(t))
	p := openTab(t, f.address, 1280, 860)
	p.wait(`document.querySelector(".ask")`)
	attack := strings.Join(attacks, " ")
	answer := strings.Join(attacks, "\n\n") + "\n\n# " + attack + "\n\n```html\n" + attack + "\n```\n\n| " + attack + " |\n|--|\n| " + attack + " |"
	f.intercept(scripted(append(says(attack, answer),
		map[string]any{"tool_calls": []any{map[string]any{"index": 0, "id": `"><img src=x onerror=window.hit=4>`, "function": map[string]any{"name": attack, "arguments": attack}}}}), "tool_calls", nil))
	p.ask(strings.ReplaceAll(attack, "\t", " "))
	p.answered(1)
	if got := evaluate[string](p, `document.querySelector(".bubble").textContent`); got != strings.ReplaceAll(attack, "\t", " ") {
		t.Errorf("the message is shown as %q", got)
	}
	if got := evaluate[string](p, `document.querySelector(".prose pre").textContent`); got != attack {
		t.Errorf("the code is shown as %q", got)
	}
	f.intercept(refuse(http.StatusBadRequest, nil, attack, attack, attack))
	p.expect("400 (Bad Request)")
	p.ask("x")
	p.answered(2)
	if got := p.lastText(".notice p"); !strings.Contains(got, `<img src=x onerror="window.hit=1">`) {
		t.Errorf("the server's sentence is shown as %q", got)
	}
	p.inert()
	p.shot("markup")

	links := evaluate[[]string](p, `[...new Set([...document.querySelectorAll("#turns a")].map((a) => a.href + " " + a.rel + " " + a.target))]`)
	slices.Sort(links)
	const how = " noopener noreferrer nofollow _blank"
	want := []string{"https://elsewhere.example/" + how, "https://elsewhere.example/p.png" + how, "https://ok.example/" + how}
	if diff := cmp.Diff(want, links); diff != "" {
		t.Errorf("links (-want,+got):\n%s", diff)
	}
	p.refuses()
}

// inert demands that nothing was run and nothing made that could run, load or hide anything.
func (p *tab) inert() {
	p.Helper()
	made := evaluate[[]string](p, `[...document.querySelectorAll("#turns *")].filter((n) =>
		n.matches("img, script, iframe, object, embed, style, link, base, meta, form[action], video, audio, [src], [srcdoc], [style]") ||
		(n.tagName === "svg" && !n.matches(".icon")) || n.getAttributeNames().some((a) => a.startsWith("on"))).map((n) => n.outerHTML.slice(0, 100))`)
	for _, m := range made {
		p.Errorf("an element was made of text: %s", m)
	}
	if evaluate[bool](p, `"hit" in window`) {
		p.Error("a model's text was run")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.addresses {
		if strings.Contains(a, "elsewhere") {
			p.Errorf("the page asked for %s", a)
		}
	}
}

// refuses has the browser itself refuse what the page does not do.
func (p *tab) refuses() {
	p.Helper()
	for _, part := range []string{"Content Security Policy", "requires 'Trusted", "blocked by policy", "https://elsewhere.example/p.png"} {
		p.expect(part)
	}
	refused := evaluate[[]bool](p, `(async () => {
		let html = false;
		try { document.createElement("p").innerHTML = "<b>x</b>" } catch { html = true }
		const inline = document.createElement("p");
		try { inline.setAttribute("onclick", "window.hit = 5") } catch { /* refused earlier still */ }
		document.body.append(inline);
		inline.click();
		inline.remove();
		const picture = new Image();
		const blocked = new Promise((done) => document.addEventListener("securitypolicyviolation", (e) => e.effectiveDirective === "img-src" && done(true)));
		picture.src = "https://elsewhere.example/p.png";
		return [html, !("hit" in window), await blocked];
	})()`)
	if diff := cmp.Diff([]bool{true, true, true}, refused); diff != "" {
		p.Errorf("the policy lets through (-want,+got):\n%s", diff)
	}
}
