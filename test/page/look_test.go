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
		"phone": {"light", 320, 640},
		"night": {"dark", 390, 844},
	}
	for name, look := range looks {
		t.Run(name, func(t *testing.T) {
			f := startFront(t, server)
			p := openTab(t, f.address, look.width, look.height, media("prefers-color-scheme", look.scheme, "prefers-reduced-motion", "reduce"))
			p.expect("Failed to load resource")
			p.wait(`document.getElementById("state-text").textContent === "Ready" && document.querySelector(".ask")`)
			p.judge(name + "-1-empty")

			more := make(chan struct{})
			f.intercept(scripted(says(thought, ""), "stop", more))
			p.ask("Compare TCP and UDP in a table, and show a small UDP server in Go.")
			p.wait(`document.querySelector(".thought-text")?.textContent.endsWith("glance.")`)
			p.judge(name + "-2-thinking")
			p.keys("\x1b")
			p.answered(1)

			f.intercept(scripted(says(thought, longAnswer), "stop", nil))
			p.click(".again")
			p.wait(`document.querySelector(".prose table")`)
			p.answered(1)
			p.judge(name + "-3-long")
			evaluate[bool](p, `document.querySelector(".thought").open = true, document.getElementById("log").scrollTop = 0, true`)
			p.judge(name + "-4-top")

			f.intercept(refuse(http.StatusBadRequest, nil, "unsupported_parameter", "response_format", "Unsupported parameter: 'response_format' is not supported with this value: only {\"type\":\"text\"} is available yet."))
			p.ask("And as JSON?")
			p.answered(2)
			p.judge(name + "-5-refused")
			f.intercept(refuse(http.StatusTooManyRequests, map[string]string{"Retry-After": "30"}, "queue_full", "", "Too many requests are waiting; try again after the time in the Retry-After header."))
			p.click(".answer:last-child .notice .primary")
			p.wait(`document.querySelector(".notice .primary:disabled")`)
			p.judge(name + "-6-busy")

			p.click("#open-settings")
			p.click("#example-tool")
			p.judge(name + "-7-settings")
			evaluate[bool](p, `document.getElementById("settings").close(), true`)

			f.intercept(scripted([]map[string]any{
				{"reasoning": "They ask for the weather. There is a tool for that."},
				{"tool_calls": []any{map[string]any{"index": 0, "id": "call_1", "function": map[string]any{"name": "get_weather", "arguments": `{"location":"Lisbon"}`}}}},
			}, "tool_calls", nil))
			p.click("#new")
			p.ask("What is the weather like in Lisbon?")
			p.answered(1)
			p.judge(name + "-8-call")

			f.intercept(refuse(http.StatusUnauthorized, nil, "invalid_api_key", "", "Incorrect API key provided."))
			p.click("#new")
			p.ask("Hello")
			p.do(chromedp.WaitVisible("#key"))
			p.judge(name + "-9-key")
		})
	}
}

// judge audits the page as it is and saves its picture.
func (p *tab) judge(name string) {
	p.Helper()
	p.shot(name)
	for _, finding := range evaluate[[]string](p, strings.TrimSuffix(strings.TrimSpace(audit), ";")) {
		p.Errorf("%s: %s", name, finding)
	}
}
