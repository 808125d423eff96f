//go:build e2e

package page

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// modules opens the page and puts its modules into the global object m.
func modules(t *testing.T) *tab {
	t.Helper()
	p := openTab(t, startServer(t), 800, 600)
	evaluate[bool](p, `(async () => {
		const at = (name) => import(new URL(name, document.querySelector("script[type=module]").src));
		window.m = Object.assign({}, ...(await Promise.all(["sse.js", "render.js", "code.js", "answer.js", "inline.js"].map(at))));
		return true;
	})()`)
	return p
}

func quoted(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestMarkdown(t *testing.T) {
	cases := map[string]struct{ text, want string }{
		"emphasis":                      {"**a** *b* ***c*** ~~d~~ __e__ _f_", `<p><strong>a</strong> <em>b</em> <em><strong>c</strong></em> <del>d</del> <strong>e</strong> <em>f</em></p>`},
		"words with underscores":        {"snake_case_name 2 * 3 * 4 a~b~c", `<p>snake_case_name 2 * 3 * 4 a~b~c</p>`},
		"what is not closed":            {"**a *b `c [d", `<p>**a *b ` + "`" + `c [d</p>`},
		"code in a line":                {"`a *b*` and `` c`d ``", "<p><code>a *b*</code> and <code>c`d</code></p>"},
		"headings below the page's own": {"# One\n## Two ##\n###### Six\n#none", `<h3>One</h3><h4>Two</h4><h6>Six</h6><p>#none</p>`},
		"paragraphs and breaks":         {"a\nb  \nc\\\nd<br>e\n\nf", "<p>a\nb<br>c<br>d<br>e</p><p>f</p>"},
		"a list in a list":              {"1. a\n2. b\n  - c\n   - d\n3. e", `<ol><li>a</li><li>b<ul><li>c</li><li>d</li></ul></li><li>e</li></ol>`},
		"a list that goes on":           {"3. a\n\n   b\n4. c", `<ol start="3"><li><p>a</p><p>b</p></li><li><p>c</p></li></ol>`},
		"tasks":                         {"- [x] a\n- [ ] b", `<ul><li class="task"><input type="checkbox" disabled="" checked="" aria-label="Done">a</li><li class="task"><input type="checkbox" disabled="" aria-label="To do">b</li></ul>`},
		"a quote":                       {"> a\nb\n> > c", "<blockquote><p>a\nb</p><blockquote><p>c</p></blockquote></blockquote>"},
		"rules":                         {"a\n---\n* * *", `<p>a</p><hr><hr>`},
		"a table": {"x\n| a | b |\n|:-:|--:|\n| `c\\|d` |\n\ny", `<p>x</p><div class="table" tabindex="0" role="region" aria-label="Table"><table><thead><tr><th class="center">a</th><th class="right">b</th></tr></thead>` +
			`<tbody><tr><td class="center"><code>c|d</code></td><td class="right"></td></tr></tbody></table></div><p>y</p>`},
		"links":                  {"[a *b*](https://x.example/c_(d) \"t\") https://y.example/(z). <http://z.example>", link("https://x.example/c_(d)", "a <em>b</em>", "<p>", " ") + link("https://y.example/(z)", "https://y.example/(z)", "", ". ") + link("http://z.example/", "http://z.example", "", "</p>")},
		"links that are refused": {"[a](javascript:b) [c](/d) [e](vbscript:f) ![g](data:h)", `<p>[a](javascript:b) [c](/d) [e](vbscript:f) ![g](data:h)</p>`},
		"a picture is a link":    {"![a](https://x.example/b.png)", link("https://x.example/b.png", "a", "<p>", "</p>")},
		"HTML is text":           {"<b onclick=x>a</b> &lt;i&gt; &amp;amp;", `<p>&lt;b onclick=x&gt;a&lt;/b&gt; &lt;i&gt; &amp;amp;</p>`},
		"formulas stay":          {`\(a_1 * b_2\) and \[c\]`, `<p><span class="math">\(a_1 * b_2\)</span> and <span class="math">\[c\]</span></p>`},
		"backslashes":            {`\*a\* \q C:\dir`, `<p>*a* \q C:\dir</p>`},
	}
	p := modules(t)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := evaluate[string](p, `(() => { const prose = new m.Prose(); prose.show(`+quoted(t, tc.text)+`); return prose.node.innerHTML })()`)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%q (-want,+got):\n%s", tc.text, diff)
			}
		})
	}
}

func link(address, text, before, after string) string {
	return fmt.Sprintf(`%s<a href="%s" target="_blank" rel="noopener noreferrer nofollow">%s</a>%s`, before, address, text, after)
}

// TestMarkdownInPieces shows the same whether a text comes at once or in pieces, and only ever the elements of prose.
// Texts are made of what Markdown and HTML are made of, from a fixed seed.
func TestMarkdownInPieces(t *testing.T) {
	p := modules(t)
	found := evaluate[[]string](p, `(() => {
		let seed = 7;
		const random = (n) => ((seed = (seed * 48271) % 2147483647), seed % n);
		const parts = ["a", "b c", " ", " ", "\n", "\n", "\n\n", "  ", "    ", "- ", "* ", "1. ", "2) ", "# ", "## ", "> ", "| ", "|", "|--|", "|:-:|\n", "---", "***", "*", "**", "_", "~~",
			"`+"`"+`", "`+"```"+`", "`+"```"+`go\n", "[", "](", ")", "](https://x.example)", "![", "<", ">", "<br>", "<img src=x onerror=window.hit=1>", "<script>", "&lt;", "&", "\\", "\\(", "\\)", "$$", "\\[",
			"https://x.example/a", "javascript:alert(1)", "[ ] ", "[x] ", "\t", "é", "🙂"];
		const allowed = new Set("P H3 H4 H5 H6 HR FIGURE FIGCAPTION SPAN BUTTON svg use PRE CODE BLOCKQUOTE UL OL LI INPUT DIV TABLE THEAD TBODY TR TH TD A STRONG EM DEL BR".split(" "));
		const found = [];
		for (let i = 0; i < 600 && found.length < 5; i++) {
			let text = "";
			for (let n = 1 + random(40); n > 0; n--) text += parts[random(parts.length)];
			const whole = new m.Prose();
			whole.show(text);
			const pieces = new m.Prose();
			for (let at = 0; at < text.length; pieces.show(text.slice(0, at))) at += 1 + random(5);
			if (whole.node.innerHTML !== pieces.node.innerHTML) found.push("differs: " + JSON.stringify(text) + "\n" + whole.node.innerHTML + "\n" + pieces.node.innerHTML);
			for (const n of whole.node.querySelectorAll("*")) {
				const bad = !allowed.has(n.tagName) || n.getAttributeNames().some((a) => a.startsWith("on") || a === "style" || a === "src") || (n.href?.startsWith && !/^https?:/.test(n.href));
				if (bad) found.push("forbidden " + n.outerHTML + " from " + JSON.stringify(text));
			}
		}
		return found;
	})()`)
	for _, f := range found {
		t.Error(f)
	}
}

// TestMarkdownIsLinear gives the parser what makes careless ones take minutes. The limit is patience, not a measurement.
func TestMarkdownIsLinear(t *testing.T) {
	p := modules(t)
	for _, unit := range []string{"*a ", "a*", "*a **b ", "_*", "[", "[](", "[x](a \"", "`a``b", "\\(", "https://a.b/(", "https://", "~~a~~ ~~", "<br", "a\n", "&amp"} {
		evaluate[bool](p, `new m.Prose().show(`+quoted(t, unit)+`.repeat(20000)), true`)
	}
	for _, nested := range []string{"> ", "- "} {
		evaluate[bool](p, `new m.Prose().show(`+quoted(t, nested)+`.repeat(3000) + "x"), true`)
	}
}

func TestEventParser(t *testing.T) {
	cases := map[string]struct {
		text string
		want []string
	}{
		"events":                        {"data: a\n\ndata: b\n\n", []string{"a", "b"}},
		"other ends of lines":           {"data: a\r\n\r\ndata: b\r\rdata: c\n\n", []string{"a", "b", "c"}},
		"several lines of data":         {"data: a\ndata: b\n\n", []string{"a\nb"}},
		"no space, two spaces, nothing": {"data:a\n\ndata:  b\n\ndata\n\n", []string{"a", " b", ""}},
		"comments and other fields":     {": alive\n\nevent: x\nid: 1\nretry: 5\ndata: a\n\n: alive\n\n", []string{"a"}},
		"an event that is cut off":      {"data: a\n\ndata: b\n", []string{"a"}},
		"fields that only look alike":   {"data2: a\n\nxdata: b\n\n", nil},
	}
	p := modules(t)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if tc.want == nil {
				tc.want = []string{}
			}
			for _, size := range []int{1, 2, 3, 1000} {
				got := evaluate[[]string](p, fmt.Sprintf(`(() => {
					const parser = new m.EventParser(), text = %s, out = [];
					for (let i = 0; i < text.length; i += %d) out.push(...parser.push(text.slice(i, i + %d)));
					return out;
				})()`, quoted(t, tc.text), size, size))
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("in pieces of %d (-want,+got):\n%s", size, diff)
				}
			}
		})
	}
}

// TestHighlight loses nothing of the code, whatever its language.
func TestHighlight(t *testing.T) {
	p := modules(t)
	for _, code := range []string{longAnswer, "#!/bin/sh\necho \"a 'b\" # c", "SELECT 'it''s' -- x\nFROM t", "\"\"\"doc", "'", "a = 0x1F + 1e-5", "/* open", "🙂 = `${x}`"} {
		for _, language := range []string{"", "go", "Python", "sql", "sh", "text", "c++", "?"} {
			got := evaluate[string](p, `m.highlight(`+quoted(t, code)+`, `+quoted(t, language)+`).map((x) => x.text).join("")`)
			if got != code {
				t.Errorf("%s: %q became %q", language, code, got)
			}
		}
	}
	kinds := evaluate[map[string]string](p, `Object.fromEntries(m.highlight('return f("x", 1) // y', "go").filter((x) => x.kind).map((x) => [x.kind, x.text]))`)
	want := map[string]string{"word": "return", "call": "f", "string": `"x"`, "number": "1", "comment": "// y"}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("kinds (-want,+got):\n%s", diff)
	}
}
