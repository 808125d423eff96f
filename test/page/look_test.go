//go:build e2e

package page

import (
	_ "embed"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

//go:embed testdata/long.md
var longAnswer string

//go:embed testdata/hard.md
var hardAnswer string

//go:embed testdata/rtl.md
var rightToLeft string

//go:embed testdata/audit.js
var audit string

const thought = "The user wants a comparison they can skim. A table of the properties comes first, then a short program that shows one of them.\n\nKeep it brief: reliability, order, overhead, typical uses. For the code, a UDP echo in Go is small enough to read at a glance."

// TestLook holds every state of the page to what everybody needs: enough contrast, names for all controls, nothing cut
// off, targets that a finger hits. With SHOTS it also saves pictures.
func TestLook(t *testing.T) {
	server := startServer(t)
	looks := map[string]struct {
		scheme        string
		width, height int64
	}{
		"light": {"light", 1280, 860},
		"dark":  {"dark", 1280, 860},
		"phone": {"light", 390, 844},
		"night": {"dark", 390, 844},
		"small": {"light", 320, 640},
	}
	for name, look := range looks {
		t.Run(name, func(t *testing.T) {
			f := startFront(t, server)
			p := openTab(t, f.address, look.width, look.height, media("prefers-color-scheme", look.scheme, "prefers-reduced-motion", "reduce"))
			p.expect("Failed to load resource")
			p.wait(`document.getElementById("state-text").textContent === "Ready" && document.querySelector(".ask")`)
			p.judge(name + "-empty")
			p.lookAtAnswers(f, name)
			p.lookAtFailures(f, name)
			p.lookAtTheRest(f, name)
		})
	}
}

func (p *tab) lookAtAnswers(f *front, name string) {
	p.Helper()
	f.intercept(scripted(says(thought, ""), "stop", make(chan struct{})))
	p.ask("Compare TCP and UDP in a table, and show a small UDP server in Go.")
	p.wait(`document.querySelector(".thought-text")?.textContent.endsWith("glance.")`)
	p.judge(name + "-thinking")
	p.keys("\x1b")
	p.answered(1)

	f.intercept(scripted(says(thought, longAnswer), "stop", nil))
	p.click(".again")
	p.wait(`document.querySelector(".prose table")`)
	p.answered(1)
	p.judge(name + "-long")
	p.top()
	p.judge(name + "-long-top")
	p.click(".thought summary")
	p.judge(name + "-reasoning")

	p.click("#new")
	f.intercept(scripted(says("", hardAnswer), "stop", nil))
	p.ask("Show " + strings.Repeat("Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz", 5))
	p.answered(1)
	p.judge(name + "-hard")
	p.top()
	p.judge(name + "-hard-top")

	p.click("#new")
	f.intercept(scripted(says("المستخدم يريد مقارنة قصيرة.", rightToLeft), "stop", nil))
	p.ask("قارن بين TCP و UDP من فضلك")
	p.answered(1)
	p.judge(name + "-rtl")
	p.top()
	p.judge(name + "-rtl-top")
}

// top shows the beginning of the conversation.
func (p *tab) top() {
	p.Helper()
	evaluate[bool](p, `document.getElementById("log").scrollTop = 0, new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))`)
}

func (p *tab) lookAtFailures(f *front, name string) {
	p.Helper()
	p.click("#new")
	f.intercept(refuse(http.StatusBadRequest, nil, "invalid_json_schema", "response_format.json_schema.schema",
		`Invalid value for 'response_format.json_schema.schema': the keyword "not" at #: it is not supported.`))
	p.ask("And as JSON?")
	p.answered(1)
	p.judge(name + "-refused")
	f.intercept(refuse(http.StatusTooManyRequests, map[string]string{"Retry-After": "30"}, "queue_full", "", "Too many requests are waiting; try again after the time in the Retry-After header."))
	p.click(".notice button:last-child")
	p.wait(`document.querySelector(".notice .primary:disabled")`)
	p.judge(name + "-busy")

	f.intercept(refuse(http.StatusUnauthorized, nil, "invalid_api_key", "", "You didn't provide an API key. Send it as a header: Authorization: Bearer YOUR_KEY."))
	p.click("#new")
	p.ask("Hello")
	p.do(chromedp.WaitVisible("#key"))
	p.judge(name + "-key")
	p.keys("\x1b")
	p.answered(1)
	p.judge(name + "-key-refused")

	cut := make(chan struct{})
	f.intercept(tear(says(thought, longAnswer[:600]), cut))
	p.click("#new")
	p.ask("Compare TCP and UDP")
	p.wait(`document.querySelector(".prose td")`)
	close(cut)
	p.answered(1)
	p.judge(name + "-gone")
}

func (p *tab) lookAtTheRest(f *front, name string) {
	p.Helper()
	p.click("#open-settings")
	p.choose("#format", "schema")
	p.click("#example-schema")
	p.click("#example-tool")
	p.judge(name + "-settings")
	evaluate[bool](p, `document.querySelector("#settings").scrollTop = 1e6, true`)
	p.judge(name + "-settings-end")
	p.choose("#format", "text")
	p.click("#settings header button")

	f.intercept(scripted([]map[string]any{
		{"reasoning": "They ask for the weather. There is a tool for that."},
		{"tool_calls": []any{map[string]any{"index": 0, "id": "call_1", "function": map[string]any{"name": "get_weather", "arguments": `{"location":"Lisbon"}`}}}},
	}, "tool_calls", nil))
	p.click("#new")
	p.ask("What is the weather like in Lisbon?")
	p.answered(1)
	p.judge(name + "-call")
}

// judge audits the page as it is and saves its picture.
func (p *tab) judge(name string) {
	p.Helper()
	p.shot(name)
	for _, finding := range evaluate[[]string](p, strings.TrimSuffix(strings.TrimSpace(audit), ";")) {
		p.Errorf("%s: %s", name, finding)
	}
}
