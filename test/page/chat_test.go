//go:build e2e

package page

import (
	"fmt"
	"net/http"
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
	p.wait(`!document.querySelector(".thought").open && document.querySelector(".thought summary").innerText.startsWith("Thought")`)
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

// TestServerGone ends the server in the middle of an answer: first with its last words, then without any.
func TestServerGone(t *testing.T) {
	f := startFront(t, startServer(t))
	p := openTab(t, f.address, 1280, 860)
	p.expect("Failed to load resource")
	p.wait(`document.querySelector(".ask")`)
	f.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost {
			return false
		}
		scripted(says("", "Half of an ans"), "", nil)(w, r)
		fmt.Fprint(w, `data: {"error":{"message":"The server is shutting down; send the request again.","type":"unavailable_error","param":null,"code":"shutting_down"}}`+"\n\ndata: [DONE]\n\n")
		return true
	})
	p.ask("What is 2 plus 3?")
	p.answered(1)
	if got := p.lastText(".notice.error"); !strings.HasPrefix(got, "The server went away\n\nThe server is shutting down.") || p.lastText(".prose") != "Half of an ans" {
		t.Errorf("a server that shuts down is shown as %q after %q", got, p.lastText(".prose"))
	}

	f.intercept(scripted(says("", "Half of an ans"), "stop", make(chan struct{})))
	p.click(".again")
	p.wait(`document.querySelector(".prose")?.innerText === "Half of an ans"`)
	f.stop()
	p.answered(1)
	if got := p.lastText(".notice.error"); !strings.HasPrefix(got, "The answer broke off\n\nThe connection broke off") {
		t.Errorf("a server that is gone is shown as %q", got)
	}
	p.click(".notice .primary")
	p.wait(`document.querySelector(".notice.error")?.innerText.startsWith("No connection") && document.getElementById("state-text").innerText === "No connection"`)
	if got := p.lastText(".notice.error"); !strings.Contains(got, "The server cannot be reached.") {
		t.Errorf("a server that cannot be reached is shown as %q", got)
	}
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
