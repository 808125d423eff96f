//go:build e2e

package page

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"
)

// TestConversation talks with the demo model itself.
func TestConversation(t *testing.T) {
	f := startFront(t, startServer(t))
	p := openTab(t, f.address, 1280, 860)
	p.wait(`document.getElementById("model").textContent === "gpt-oss-demo" && document.getElementById("state-text").textContent === "Ready"`)

	gate := f.gate()
	p.ask("What is the capital of Japan?")
	for range 4 { // the role, and the first of the reasoning
		gate <- struct{}{}
	}
	p.wait(`document.querySelector(".thought[open].live") && document.querySelector(".thought-text").textContent`)
	if got := p.lastText(".prose"); got != "" {
		t.Errorf("an answer %q while the model thinks", got)
	}
	close(gate)
	p.answered(1)
	if got := p.lastText(".prose"); got != "The capital of Japan is Tokyo." {
		t.Errorf("the answer is %q", got)
	}
	p.wait(`!document.querySelector(".thought").open && document.querySelector(".thought summary").innerText.startsWith("Thought for ")`)
	p.wait(`/^\d+ tokens/.test(document.querySelector(".facts").textContent) && /^\d+ \/ 8,192$/.test(document.getElementById("meter-text").textContent)`)
	p.wait(`[...document.querySelectorAll("#live p")].some((n) => n.textContent.includes("Tokyo"))`)
	p.click(".thought summary")
	p.wait(`document.querySelector(".thought").open && document.querySelector(".thought-text").innerText.length > 3`)

	p.click(`label:has([value="high"])`)
	p.ask("and of peru?")
	p.answered(2)
	if got := p.lastText(".prose"); !strings.Contains(got, "Lima") {
		t.Errorf("the second answer is %q", got)
	}
	sent := f.sent(t)
	if sent["reasoning_effort"] != "high" || len(sent["messages"].([]any)) != 3 {
		t.Errorf("sent %v", sent)
	}

	p.do(chromedp.Reload()) // the conversation outlives it
	p.wait(`document.querySelectorAll(".answer").length === 2 && document.querySelector("[value=high]").checked`)
	p.click("#new")
	p.wait(`!document.getElementById("welcome").hidden && document.activeElement.id === "message"`)
	p.click("#toast button")
	p.wait(`document.querySelectorAll(".answer").length === 2`)
}

// shownLength counts what is shown of an answer.
const shownLength = `[...document.querySelectorAll(".thought-text, .prose")].map((n) => n.textContent).join("").length`

func TestStopInTheMiddle(t *testing.T) {
	f := startFront(t, startServer(t))
	p := openTab(t, f.address, 1280, 860)
	p.wait(`document.querySelector(".ask")`)
	gate := f.gate()
	p.ask("List six planets")
	for !evaluate[bool](p, `document.querySelector(".prose")?.textContent.length > 3`) {
		size := evaluate[int](p, shownLength)
		select {
		case gate <- struct{}{}:
		case <-p.ctx.Done():
			t.Fatal("the answer ended before any of it was seen")
		}
		// Some events hold no text: the wait for their effect ends, too.
		evaluate[bool](p, fmt.Sprintf(`new Promise((done) => {
			const until = performance.now() + 1000;
			const look = () => (%s !== %d || performance.now() > until ? done(true) : setTimeout(look, 10));
			look();
		})`, shownLength, size))
	}
	p.click("#stop")
	select {
	case <-f.left:
	case <-p.ctx.Done():
		t.Fatal("the request went on after Stop")
	}
	p.answered(1)
	p.wait(`document.querySelector(".notice.info")?.innerText === "Stopped." && !document.getElementById("send").hidden`)
	if got := p.lastText(".prose"); got == "" || strings.Contains(got, "Saturn") {
		t.Errorf("what was said before Stop is %q", got)
	}
	close(gate)
	p.click(".again")
	p.wait(`document.querySelectorAll(".prose li").length === 6`)
	p.answered(1)
}

func TestEdit(t *testing.T) {
	f := startFront(t, startServer(t))
	p := openTab(t, f.address, 1280, 860)
	p.wait(`document.querySelector(".ask")`)
	p.ask("What is the capital of Japan?")
	p.answered(1)
	p.keys(kb.ArrowUp) // in the empty box
	p.wait(`document.activeElement.closest(".editor")`)
	evaluate[bool](p, `document.activeElement.select(), true`)
	p.keys("What is the capital of Peru?")
	p.do(enter)
	p.wait(`document.querySelector(".prose")?.innerText.includes("Lima")`)
	p.answered(1)
	if n := evaluate[int](p, `document.querySelectorAll(".user").length`); n != 1 {
		t.Errorf("%d messages of the user after an edit", n)
	}
}

func TestToolCall(t *testing.T) {
	f := startFront(t, startServer(t))
	p := openTab(t, f.address, 1280, 860)
	p.wait(`document.querySelector(".ask .icon")`)
	p.click(".ask:has(.icon)")
	p.answered(1)
	if got := p.lastText(".call header"); !strings.Contains(got, "get_weather") {
		t.Fatalf("no call but %q", got)
	}
	if got := p.lastText(".call pre"); !strings.Contains(got, `"Lisbon"`) {
		t.Errorf("the arguments are %q", got)
	}
	p.wait(`document.activeElement.matches(".call textarea")`)
	p.keys(`{"temperature": 21, "condition": "sunny"}`)
	p.click(".call ~ button")
	p.answered(2)
	if got := p.lastText(".prose"); !strings.Contains(got, "21") {
		t.Errorf("the answer from the tool's result is %q", got)
	}
	var roles []string
	for _, m := range f.sent(t)["messages"].([]any) {
		roles = append(roles, m.(map[string]any)["role"].(string))
	}
	if diff := cmp.Diff([]string{"user", "assistant", "tool"}, roles); diff != "" {
		t.Errorf("roles sent (-want,+got):\n%s", diff)
	}
}

func TestKey(t *testing.T) {
	const right = "sk-right-key"
	f := startFront(t, startServer(t, "--api-key="+right))
	p := openTab(t, f.address, 1280, 860)
	p.expect("401 (Unauthorized)")
	p.do(chromedp.WaitVisible("#key"))
	p.do(chromedp.SendKeys("#key", "sk-wrong"), enter)
	p.wait(`document.getElementById("key-dialog").open && document.getElementById("key-reason").innerText.includes("did not accept")`)
	p.do(chromedp.SendKeys("#key", right), enter)
	p.wait(`!document.getElementById("key-dialog").open && document.querySelector(".ask")`)
	p.ask("What is 2 plus 3?")
	p.answered(1)
	if got := p.lastText(".prose"); got != "2 + 3 = 5" {
		t.Errorf("the answer is %q", got)
	}
	kept := evaluate[[]string](p, `[JSON.stringify(localStorage) + document.cookie, sessionStorage.getItem("gptoss.key")]`)
	if strings.Contains(kept[0], right) || kept[1] != right {
		t.Errorf("the key is kept as %q", kept)
	}

	// A key that is revoked in the middle is asked for again, and the question is not lost.
	evaluate[bool](p, `sessionStorage.setItem("gptoss.key", "sk-revoked"), true`)
	p.ask("What is 3 plus 3?")
	p.do(chromedp.WaitVisible("#key"))
	p.do(chromedp.SendKeys("#key", right), enter)
	p.answered(2)
	if got := p.lastText(".prose"); got != "3 + 3 = 6" {
		t.Errorf("the answer after the new key is %q", got)
	}
}

func TestFailures(t *testing.T) {
	f := startFront(t, startServer(t))
	p := openTab(t, f.address, 1280, 860)
	p.expect("Failed to load resource")
	p.wait(`document.querySelector(".ask")`)
	again := `.answer:last-child .notice .primary`

	f.intercept(refuse(http.StatusTooManyRequests, map[string]string{"Retry-After": "1"}, "queue_full", "", "Too many requests are waiting."))
	p.ask("What is 2 plus 3?")
	p.answered(1)
	p.wait(`document.querySelector(".notice.error").innerText.includes("Too many requests")`)
	f.intercept(nil)
	p.wait(`!document.querySelector("` + again + `").disabled`) // the second is over
	p.click(again)
	p.wait(`document.querySelector(".prose").innerText === "2 + 3 = 5"`)
	p.answered(1)

	var loaded atomic.Bool
	f.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.URL.Path == "/v1/health" && loaded.CompareAndSwap(false, true):
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"status":"unavailable"}`))
			return true
		case !loaded.Load():
			return refuse(http.StatusServiceUnavailable, nil, "model_not_loaded", "", "The model is not loaded yet; try again in a moment.")(w, r)
		}
		return false
	})
	p.ask("What is 3 plus 3?")
	p.answered(2)
	if got := p.lastText(".prose"); got != "3 + 3 = 6" {
		t.Errorf("after the model was loaded, the answer is %q: %s", got, p.lastText(".notice"))
	}

	cut := make(chan struct{})
	f.intercept(tear(says("", "Half of an ans"), cut))
	p.ask("What is 4 plus 3?")
	p.wait(`document.querySelector(".answer:last-child .prose").innerText === "Half of an ans"`)
	close(cut)
	p.wait(`document.querySelector(".answer:last-child .notice")?.innerText.includes("broke off")`)
	if got := p.lastText(".prose"); got != "Half of an ans" {
		t.Errorf("what came before the connection broke is %q", got)
	}

	f.intercept(refuse(http.StatusBadRequest, nil, "unsupported_parameter", "response_format", "No such format."))
	p.click("#format-chip")
	p.do(chromedp.SetValue("#format", "json"))
	evaluate[bool](p, `document.getElementById("format").dispatchEvent(new Event("input", { bubbles: true })), document.getElementById("settings").close(), true`)
	p.ask("As JSON")
	p.answered(4)
	if got := f.sent(t)["response_format"]; !cmp.Equal(got, map[string]any{"type": "json_object"}) {
		t.Errorf("response_format %v was sent", got)
	}
	if got := p.lastText(".notice"); !strings.Contains(got, "No such format.") || !strings.Contains(got, "Open the settings") {
		t.Errorf("the refusal is shown as %q", got)
	}
}

// TestMarkup has the model and the user say what would be code if it were ever taken for HTML.
func TestMarkup(t *testing.T) {
	f := startFront(t, startServer(t))
	p := openTab(t, f.address, 1280, 860)
	p.wait(`document.querySelector(".ask")`)
	attack := `<img src=x onerror="window.hit=1"><script>window.hit=2</script> [a](javascript:window.hit=3) [b](data:text/html,x) ![c](https://elsewhere.example/p.png) <https://ok.example>`
	f.intercept(scripted(append(says(attack, attack+"\n\n```html\n"+attack+"\n```\n\n| "+attack+" |\n|--|\n| "+attack+" |"),
		map[string]any{"tool_calls": []any{map[string]any{"index": 0, "id": `"><img src=x onerror=window.hit=4>`, "function": map[string]any{"name": attack, "arguments": attack}}}}), "tool_calls", nil))
	p.ask(attack)
	p.answered(1)
	if got := evaluate[string](p, `document.querySelector(".bubble").textContent`); got != attack {
		t.Errorf("the message is shown as %q", got)
	}
	if got := evaluate[string](p, `document.querySelector(".prose pre").textContent`); got != attack {
		t.Errorf("the code is shown as %q", got)
	}
	if n := evaluate[int](p, `document.querySelectorAll("#turns :is(img, script, iframe, object, style, [onerror], [style])").length`); n != 0 {
		t.Errorf("%d elements were made of text", n)
	}
	links := evaluate[[]string](p, `[...new Set([...document.querySelectorAll("#turns a")].map((a) => a.href + " " + a.rel))]`)
	want := []string{"https://elsewhere.example/p.png noopener noreferrer nofollow", "https://ok.example/ noopener noreferrer nofollow"}
	slices.Sort(links)
	if diff := cmp.Diff(want, links); diff != "" {
		t.Errorf("links (-want,+got):\n%s", diff)
	}
	if evaluate[bool](p, `"hit" in window`) {
		t.Error("a model's text was run")
	}
	// The browser itself refuses what the page does not do.
	p.expect("Content Security Policy")
	p.expect("requires 'Trusted")
	p.expect("blocked by policy")
	refused := evaluate[[]bool](p, `(async () => {
		let html = false;
		try { document.createElement("p").innerHTML = "<b>x</b>" } catch { html = true }
		const inline = document.createElement("p");
		try { inline.setAttribute("onclick", "window.hit = 5") } catch { /* refused earlier still */ }
		document.body.append(inline);
		inline.click();
		inline.remove();
		return [html, !("hit" in window)];
	})()`)
	if diff := cmp.Diff([]bool{true, true}, refused); diff != "" {
		t.Errorf("the policy lets through (-want,+got):\n%s", diff)
	}
}

// TestKeyboard does everything without a pointer.
func TestKeyboard(t *testing.T) {
	f := startFront(t, startServer(t))
	p := openTab(t, f.address, 1280, 860)
	p.wait(`document.querySelector(".ask") && document.activeElement.id === "message"`)
	focused := func() string {
		return evaluate[string](p, `((n) => n.id || n.value || n.className || n.tagName)(document.activeElement)`)
	}
	var order []string
	for range 12 {
		p.keys("\t")
		order = append(order, focused())
	}
	for _, pair := range [][2]string{{"medium", "tools-chip"}, {"tools-chip", "format-chip"}, {"new", "theme"}, {"theme", "open-settings"}, {"open-settings", "log"}} {
		i, j := slices.Index(order, pair[0]), slices.Index(order, pair[1])
		if i < 0 || j != i+1 {
			t.Errorf("focus does not go from %s to %s: %q", pair[0], pair[1], order)
		}
	}
	alt := chromedp.KeyModifiers(chromedp.ModifierAlt)
	p.keys("m", alt)
	p.wait(`document.activeElement.id === "message"`)
	p.keys("What is 2 plus 3?")
	p.do(enter)
	p.answered(1)
	p.wait(`document.activeElement.id === "message"`)
	p.keys("r", alt)
	p.wait(`document.querySelector(".prose").innerText === "2 + 3 = 5" && !document.querySelector("[aria-busy]")`)
	p.keys("s", alt)
	p.wait(`document.getElementById("settings").open`)
	p.keys("\x1b")
	p.wait(`!document.getElementById("settings").open`)
	f.intercept(scripted(says("Hm", ""), "stop", make(chan struct{})))
	p.keys("m", alt)
	p.keys("Wait")
	p.do(enter)
	p.wait(`document.querySelectorAll(".thought-text").length === 2`)
	p.keys("\x1b")
	p.answered(2)
	p.keys("n", alt)
	p.wait(`!document.getElementById("welcome").hidden`)
}

func TestTheme(t *testing.T) {
	f := startFront(t, startServer(t))
	p := openTab(t, f.address, 1280, 860, media("prefers-color-scheme", "dark"))
	ground := `getComputedStyle(document.body).backgroundColor`
	dark := evaluate[string](p, ground)
	p.click("#theme")
	light := evaluate[string](p, ground)
	if dark == light {
		t.Fatalf("both themes have the ground %s", dark)
	}
	p.do(chromedp.Reload())
	p.wait(`document.documentElement.dataset.theme === "light"`)
	p.do(media("prefers-color-scheme", "light"))
	if got := evaluate[string](p, ground); got != light {
		t.Errorf("a system with light colours gives %s, the chosen light theme %s", got, light)
	}
	p.click("#theme")
	if got := evaluate[string](p, ground); got != dark {
		t.Errorf("the chosen dark theme is %s, the system's %s", got, dark)
	}
}
