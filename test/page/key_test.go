//go:build e2e

package page

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
)

func TestKey(t *testing.T) {
	const right, wrong, revoked = "sk-right-key", "sk-wrong-key", "sk-revoked-key"
	server := startProcess(t, "--api-key="+right, "--log-level=debug", "--audit-log=stdout", "--audit-content=true")
	f := startFront(t, server.address)
	p := openTab(t, f.address, 1280, 860)
	p.expect("401 (Unauthorized)")
	p.do(chromedp.WaitVisible("#key"))
	p.do(chromedp.SendKeys("#key", wrong), enter)
	p.wait(`document.getElementById("key-dialog").open && document.getElementById("key-reason").innerText === "The server did not accept the key. Incorrect API key provided."`)
	p.do(chromedp.SendKeys("#key", right), enter)
	p.wait(`!document.getElementById("key-dialog").open && document.querySelector(".ask")`)
	p.ask("What is 2 plus 3?")
	p.answered(1)
	if got := p.lastText(".prose"); got != "2 + 3 = 5" {
		t.Errorf("the answer is %q", got)
	}

	// A key that is revoked in the middle is asked for again, and the question is not lost.
	evaluate[bool](p, `sessionStorage.setItem("gptoss.key", "`+revoked+`"), true`)
	p.ask("What is 3 plus 3?")
	p.do(chromedp.WaitVisible("#key"))
	p.do(chromedp.SendKeys("#key", right), enter)
	p.answered(2)
	if got := p.lastText(".prose"); got != "3 + 3 = 6" {
		t.Errorf("the answer after the new key is %q", got)
	}
	p.click("#open-settings")
	p.wait(`document.getElementById("saved-key").value === "` + right + `"`)
	p.keys("\x1b")
	p.wait(`!document.getElementById("settings").open && document.getElementById("saved-key").value === ""`)

	kept := evaluate[[]string](p, `[
		JSON.stringify(localStorage) + document.cookie + document.documentElement.outerHTML + [...document.querySelectorAll("input, textarea")].map((n) => n.value) + history.length + location,
		JSON.stringify({ ...sessionStorage, "gptoss.key": "" }), sessionStorage.getItem("gptoss.key")]`)
	if strings.Contains(kept[0]+kept[1], right) || kept[2] != right {
		t.Errorf("the key is kept as %q", kept)
	}
	p.mu.Lock()
	asked := strings.Join(p.addresses, "\n")
	p.mu.Unlock()
	said := server.end()
	for name, text := range map[string]string{"an address": asked, "the server's log": said} {
		if !strings.Contains(text, "/v1/chat/completions") {
			t.Errorf("%s tells of no request:\n%s", name, text)
		}
		for _, key := range []string{right, wrong, revoked} {
			if strings.Contains(text, key) {
				t.Errorf("%s has the key %s:\n%s", name, key, text)
			}
		}
	}
}

// TestNoKey leaves the questions for a key unanswered, and forgets a key.
func TestNoKey(t *testing.T) {
	f := startFront(t, startServer(t, "--api-key=sk-right-key"))
	p := openTab(t, f.address, 1280, 860)
	p.expect("401 (Unauthorized)")
	notice := func() string { return p.lastText(".notice.error") }
	p.do(chromedp.WaitVisible("#key"))
	p.keys("\x1b")
	p.wait(`!document.getElementById("key-dialog").open && document.activeElement.id === "message"`)
	p.ask("Hello")
	p.do(chromedp.WaitVisible("#key"))
	p.keys("\x1b")
	p.answered(1)
	if got := notice(); !strings.HasPrefix(got, "A key is needed\n\nThis server answers those who have an API key.") {
		t.Errorf("without a key the page shows %q", got)
	}
	p.click(".notice .primary") // Enter a key
	p.do(chromedp.WaitVisible("#key"), chromedp.SendKeys("#key", "sk-wrong-key"), enter)
	p.wait(`document.getElementById("key-reason").innerText.includes("did not accept")`)
	p.keys("\x1b")
	p.answered(1)
	if got := notice(); !strings.HasPrefix(got, "The key was not accepted\n\nIncorrect API key provided.") {
		t.Errorf("with a wrong key the page shows %q", got)
	}
	p.click("#open-settings")
	p.click("#forget")
	p.wait(`document.getElementById("saved-key").value === "" && sessionStorage.getItem("gptoss.key") === null`)
}

// TestNobodyAsksForAKey opens a server that needs none.
func TestNobodyAsksForAKey(t *testing.T) {
	p := openTab(t, startServer(t), 1280, 860)
	p.wait(`document.querySelector(".ask")`)
	p.ask("What is 2 plus 3?")
	p.answered(1)
	if got := p.lastText(".prose"); got != "2 + 3 = 5" || evaluate[bool](p, `document.getElementById("key-dialog").open`) {
		t.Errorf("the answer is %q", got)
	}
}

// TestFullQueue fills a real server, and tries again when it says so.
func TestFullQueue(t *testing.T) {
	server := startServer(t, "--max-sequences=1", "--max-queue=1")
	p := openTab(t, server, 1280, 860)
	p.expect("429 (Too Many Requests)")
	p.wait(`document.querySelector(".ask")`)
	free := crowd(t, server)
	p.ask("What is 2 plus 3?")
	p.answered(1)
	for evaluate[bool](p, `!document.querySelector(".notice.error")`) { // it found a gap
		p.click(".again")
		p.answered(1)
	}
	if got := p.lastText(".notice"); !strings.HasPrefix(got, "Too many requests\n\nMore requests are waiting than the server has room for.") || !strings.Contains(got, "Try again") {
		t.Errorf("a full queue is shown as %q", got)
	}
	free()
	p.wait(`document.querySelector(".notice .primary:enabled")`)
	p.click(".notice .primary")
	p.wait(`document.querySelector(".prose").innerText === "2 + 3 = 5"`)
	p.answered(1)
}

// crowd keeps a server busy with one long answer after the other for each of several clients, until free is called.
func crowd(t *testing.T, server string) (free func()) {
	t.Helper()
	const body = `{"model":"gpt-oss-demo","prompt":"a","max_tokens":4000,"ignore_eos":true}`
	stop := make(chan struct{})
	full := make(chan struct{})
	var once sync.Once
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				r, err := http.Post(server+"/v1/completions", "application/json", strings.NewReader(body))
				if err != nil {
					t.Errorf("a client of the crowd: %v", err)
					return
				}
				_, _ = io.Copy(io.Discard, r.Body)
				r.Body.Close()
				if r.StatusCode == http.StatusTooManyRequests {
					once.Do(func() { close(full) })
				} else if r.StatusCode != http.StatusOK {
					t.Errorf("a client of the crowd: status %d", r.StatusCode)
					return
				}
			}
		})
	}
	free = sync.OnceFunc(func() {
		close(stop)
		clients.Wait()
	})
	t.Cleanup(free)
	select {
	case <-full:
	case <-t.Context().Done():
	}
	return free
}
