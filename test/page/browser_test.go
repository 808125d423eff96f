//go:build e2e

package page

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is how long the slowest machine may take for one step.
const patience = 45 * time.Second

// browser is the one Chromium of all tests.
var browser context.Context

func TestMain(m *testing.M) {
	os.Exit(runAll(m))
}

func runAll(m *testing.M) int {
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(os.Getenv("CHROMIUM")),
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("no-proxy-server", true),
		chromedp.Flag("renderer-process-limit", "2"),
		chromedp.Flag("js-flags", "--max-old-space-size=256"),
		chromedp.DisableGPU,
		chromedp.WindowSize(1280, 860),
	)
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	defer stop()
	ctx, cancel := chromedp.NewContext(ctx)
	defer cancel()
	if err := chromedp.Do(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "Chromium %q does not start: %v\n", os.Getenv("CHROMIUM"), err)
		return 1
	}
	browser = ctx
	return m.Run()
}

// tab is a page of its own profile. At the end of its test it must have had no complaints and asked nobody but its server.
type tab struct {
	*testing.T
	ctx context.Context
	// touch: it is a phone, where Enter begins a line.
	touch bool

	mu         sync.Mutex
	complaints []string
	// addresses are all that the page asked for.
	addresses []string
	// expected are parts of complaints that the test provokes.
	expected []string
}

// openTab opens a tab of the given size at an address; what is narrower than any tablet is a phone.
func openTab(t *testing.T, address string, width, height int64, prepare ...chromedp.Action[chromedp.Void]) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	ctx, cancelTime := context.WithTimeout(ctx, 3*time.Minute)
	t.Cleanup(cancelTime)
	p := &tab{T: t, ctx: ctx, touch: width < 500}
	host, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	// The tab lives as long as the context of the first thing done with it.
	var device []chromedp.EmulateViewportOption
	if p.touch {
		device = append(device, chromedp.EmulateMobile, chromedp.EmulateTouch, chromedp.EmulatePortrait)
	}
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, height, device...)); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Listen(ctx, func(event any) { p.listen(event, host.Host) }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.check)
	p.do(prepare...)
	p.do(chromedp.Navigate(address))
	return p
}

func (p *tab) listen(event any, host string) {
	complaint := ""
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" || e.Type == "warning" {
			complaint = "console:"
			for _, a := range e.Args {
				complaint += fmt.Sprintf(" %s %s", a.Value, a.Description)
			}
		}
	case *runtime.EventExceptionThrown:
		complaint = "exception: " + e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			complaint += " " + e.ExceptionDetails.Exception.Description
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == "error" || e.Entry.Level == "warning" {
			complaint = "log: " + e.Entry.Text + " " + e.Entry.URL
		}
	case *network.EventRequestWillBeSent:
		p.mu.Lock()
		p.addresses = append(p.addresses, e.Request.URL)
		p.mu.Unlock()
		if u, err := url.Parse(e.Request.URL); err != nil || u.Host != host && u.Scheme != "data" && u.Scheme != "about" {
			complaint = "a request to another host: " + e.Request.URL
		}
	}
	if complaint != "" {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.complaints = append(p.complaints, complaint)
	}
}

// expect names a complaint that the test provokes.
func (p *tab) expect(part string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expected = append(p.expected, part)
}

func (p *tab) check() {
	p.mu.Lock()
	defer p.mu.Unlock()
complaints:
	for _, c := range p.complaints {
		for _, e := range p.expected {
			if strings.Contains(c, e) {
				continue complaints
			}
		}
		p.Errorf("the browser complains: %s", c)
	}
}

func (p *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.fail(err.Error())
	}
}

// fail ends the test with what the page shows.
func (p *tab) fail(why string) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	shown, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.innerText`))
	p.shot("failed-" + strings.ReplaceAll(p.Name(), "/", "-"))
	p.Fatalf("%s; the page shows:\n%s", why, shown)
}

// wait waits until a JavaScript expression is true.
func (p *tab) wait(expression string) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool]("Boolean("+expression+")", chromedp.WithPollingInterval(50*time.Millisecond))); err != nil {
		p.fail(fmt.Sprintf("never true: %s (%v)", expression, err))
	}
}

// evaluate runs JavaScript in the page; a promise is waited for.
func evaluate[T any](p *tab, expression string) T {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.fail(fmt.Sprintf("%s: %v", expression, err))
	}
	return v
}

func (p *tab) click(selector string) {
	p.Helper()
	p.do(chromedp.Click(selector))
}

// keys presses keys in whatever has the focus.
func (p *tab) keys(keys string, options ...chromedp.KeyOption) {
	p.Helper()
	p.do(chromedp.KeyEvent(keys, options...))
}

// ask types a message and sends it.
func (p *tab) ask(text string) {
	p.Helper()
	p.do(chromedp.SendKeys("#message", text))
	if p.touch {
		p.click("#send")
		return
	}
	p.do(enter)
}

// enter presses Enter as a keyboard does: no character comes where the page took the key.
var enter = chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
	key := input.DispatchKeyEventParams{Type: "keyDown", Key: "Enter", Code: "Enter", Text: "\r", WindowsVirtualKeyCode: 13}
	if _, err := cdp.Call(ctx, t, input.DispatchKeyEvent, key); err != nil {
		return err
	}
	key.Type, key.Text = "keyUp", ""
	_, err := cdp.Call(ctx, t, input.DispatchKeyEvent, key)
	return err
})

// answered waits for the end of the n-th answer.
func (p *tab) answered(n int) {
	p.Helper()
	p.wait(fmt.Sprintf(`document.querySelectorAll(".answer").length === %d && !document.querySelector("[aria-busy]")`, n))
}

// lastText returns what an element of the last answer shows.
func (p *tab) lastText(selector string) string {
	p.Helper()
	return evaluate[string](p, `[...document.querySelectorAll(".answer")].at(-1).querySelector("`+selector+`")?.innerText ?? ""`)
}

// media emulates the preferences of the user.
func media(features ...string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		var list []*emulation.MediaFeature
		for i := 0; i+1 < len(features); i += 2 {
			list = append(list, &emulation.MediaFeature{Name: features[i], Value: features[i+1]})
		}
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: list})
		return err
	})
}

// shot saves a picture into the folder SHOTS, where one is named.
func (p *tab) shot(name string) {
	folder := os.Getenv("SHOTS")
	if folder == "" {
		return
	}
	picture, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, name+".png"), picture, 0o644)
	}
	if err != nil {
		p.Errorf("picture %s: %v", name, err)
	}
}
