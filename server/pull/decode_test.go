package pull

import (
	"encoding/json"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestChoose(t *testing.T) {
	files := func(names ...string) (list []remote) {
		for _, n := range names {
			list = append(list, remote{path: n})
		}
		return list
	}
	published := []string{
		".gitattributes", "LICENSE", "README.md", "USAGE_POLICY", "chat_template.jinja", "config.json", "generation_config.json", "metal/model.bin",
		"model-00000-of-00002.safetensors", "model.safetensors.index.json", "original/config.json", "original/dtypes.json", "original/model.safetensors",
		"special_tokens_map.json", "tokenizer.json", "tokenizer_config.json",
	}
	cases := map[string]struct {
		files            []string
		include, exclude []string
		want             string // names with spaces between, or the error
	}{
		"gpt-oss":                {published, nil, nil, "LICENSE USAGE_POLICY chat_template.jinja config.json generation_config.json model-00000-of-00002.safetensors model.safetensors.index.json special_tokens_map.json tokenizer.json tokenizer_config.json"},
		"the original layout":    {published, []string{"original/"}, nil, "original/config.json original/dtypes.json original/model.safetensors"},
		"include and exclude":    {published, []string{"*.json"}, []string{"original/*", "*token*"}, "config.json generation_config.json model.safetensors.index.json"},
		"nothing fits":           {published, []string{"*.gguf"}, nil, "no file fits --include and --exclude"},
		"one GGUF file":          {[]string{"README.md", "gpt-oss-20b-mxfp4.gguf", "config.json"}, nil, nil, "gpt-oss-20b-mxfp4.gguf config.json"},
		"one GGUF file in parts": {[]string{"g-00001-of-00002.gguf", "g-00002-of-00002.gguf"}, nil, nil, "g-00001-of-00002.gguf g-00002-of-00002.gguf"},
		"several GGUF files":     {[]string{"a.gguf", "b.gguf"}, nil, nil, `it has several models; choose one with --include 'NAME*', where NAME is one of ["a" "b"]`},
		"one of them left":       {[]string{"a.gguf", "b.gguf"}, nil, []string{"a*"}, "b.gguf"},
		"no weights":             {[]string{"config.json", "original/model.safetensors"}, nil, nil, "it has no safetensors and no GGUF file at its top; choose files with --include"},
		"a bad name left out":    {[]string{"../x", "model.safetensors"}, nil, nil, "model.safetensors"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			chosen, err := choose(files(tc.files...), tc.include, tc.exclude)
			var names []string
			for _, f := range chosen {
				names = append(names, f.path)
			}
			got := strings.Join(names, " ")
			if err != nil {
				got = err.Error()
			}
			if got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestMatchGlob(t *testing.T) {
	for _, tc := range []struct {
		glob, name string
		want       bool
	}{
		{"*", "", true},
		{"*", "a/b", true},
		{"a*", "ba", false},
		{"*.json", "x.json", true},
		{"*.json", "x.json5", false},
		{"a/", "a/b/c", true},
		{"a?c", "a/c", true},
		{"a?c", "ac", false},
		{"*a*b*c", "xaybzbc", true},
		{"*a*b*c", "xaybz", false},
		{"ü?", "üß", true},
		{"[a]", "a", false},
		{strings.Repeat("*a", 30) + "b", strings.Repeat("a", 1000), false}, // quick, too
	} {
		if got := matchGlob(tc.glob, tc.name); got != tc.want {
			t.Errorf("%q matches %q: %v", tc.glob, tc.name, got)
		}
	}
}

func TestParseSource(t *testing.T) {
	const endpoint = "https://huggingface.co"
	for text, want := range map[string]string{
		"openai/gpt-oss-20b":                       "openai/gpt-oss-20b main ",
		"openai/gpt-oss-20b@v1":                    "openai/gpt-oss-20b v1 ",
		"hf://openai/gpt-oss-20b":                  "openai/gpt-oss-20b main ",
		"gpt2":                                     "gpt2 main ",
		endpoint + "/openai/gpt-oss-20b":           "openai/gpt-oss-20b main ",
		endpoint + "/openai/gpt-oss-20b/tree/v1/":  "openai/gpt-oss-20b v1 ",
		endpoint + "/a/b/blob/main/c.gguf":         "  " + endpoint + "/a/b/resolve/main/c.gguf",
		"https://files.example/a/blob/c.gguf#frag": "  https://files.example/a/blob/c.gguf",
		"https://files.example/a%2Fb/c.gguf?key=x": "  https://files.example/a%2Fb/c.gguf?key=x",
		"https://u:p@files.example/c.gguf":         "  https://u:p@files.example/c.gguf",
		"../b":                                     "!", "a/b/c": "!", "a--b/c": "!", "-a/b": "!", "a/.b": "!", "a b/c": "!", "a/b@x y": "!", "": "!", "/abs": "!", "\x00": "!",
	} {
		s, err := parseSource(text, "", endpoint)
		got := "!"
		if err == nil {
			got = s.repo + " " + s.revision + " "
			if s.url != nil {
				got += s.url.String()
			}
		}
		if got != want {
			t.Errorf("%q: got %q, want %q (%v)", text, got, want, err)
		}
	}
	s, err := parseSource("https://u:p@files.example/c.gguf?signature=hush", "", endpoint)
	if err != nil || s.display() != "https://files.example/c.gguf" || s.name() != "c" {
		t.Errorf("shown as %q, named %q, %v", s.display(), s.name(), err)
	}
}

func TestDecodeTree(t *testing.T) {
	oid := strings.Repeat("ab", 32)
	got, err := decodeTree([]byte(`[
		{"type":"directory","oid":"x","size":0,"path":"original"},
		{"type":"file","oid":"` + commit + `","size":12,"path":"config.json"},
		{"type":"file","oid":"` + commit + `","size":4792272488,"path":"a.safetensors","xetHash":"y","lfs":{"oid":"` + oid + `","size":4792272488,"pointerSize":135}}]`))
	want := []remote{
		{path: "config.json", size: 12, gitOID: commit, identity: "git:" + commit},
		{path: "a.safetensors", size: 4792272488, sha256: oid, identity: "sha256:" + oid},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(remote{})); err != nil || diff != "" {
		t.Errorf("%v (-want,+got):\n%s", err, diff)
	}
	for name, data := range map[string]string{
		"an object": `{}`, "a negative size": `[{"type":"file","path":"a","size":-1}]`, "too large": `[{"type":"file","path":"a","size":99999999999999}]`,
		"lfs without a checksum": `[{"type":"file","path":"a","size":1,"lfs":{"oid":"","size":1}}]`, "cut off": `[{"type":"file"`,
	} {
		if _, err := decodeTree([]byte(data)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestNextPage(t *testing.T) {
	for link, want := range map[string]string{
		`<https://huggingface.co/api/x?cursor=a%3D>; rel="next"`:                      "cursor=a%3D",
		`<https://h/x?cursor=first>; rel="first", <https://h/x?cursor=b>; rel="next"`: "cursor=b",
		`</x?cursor=c>;rel=next`:    "cursor=c",
		`<https://h/x>; rel="next"`: "", `<https://h/x?c=1>; rel="prev"`: "", `;;;<>`: "", "%>;rel=next": "", "": "",
	} {
		got, ok := nextPage(http.Header{"Link": {link}})
		if got != want || ok != (want != "") {
			t.Errorf("%q: got %q, %v", link, got, ok)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tc := range []struct {
		name, value string
		want        time.Duration
	}{
		{"Retry-After", "120", 2 * time.Minute},
		{"Retry-After", " 3 ", 3 * time.Second},
		{"Retry-After", "Fri, 02 Jan 2026 03:04:15 GMT", 10 * time.Second},
		{"Retry-After", "Fri, 02 Jan 2026 03:00:00 GMT", 0},
		{"Retry-After", "-5", 0},
		{"Retry-After", "99999999999999999999", 0},
		{"Retry-After", "soon", 0},
		{"RateLimit", `"api";r=0;t=55`, 55 * time.Second},
		{"RateLimit", `"api";r=3;t=55`, 0},
		{"RateLimit", `"api";r=0;x=1`, 0},
		{"X", "", 0},
	} {
		if got := retryAfter(http.Header{http.CanonicalHeaderKey(tc.name): {tc.value}}, now); got != tc.want {
			t.Errorf("%s: %s gives %s, want %s", tc.name, tc.value, got, tc.want)
		}
	}
}

func TestDecodeState(t *testing.T) {
	for name, data := range map[string]string{
		"no JSON": `{`, "another version": `{"version":2,"size":1,"piece":1,"done":[0]}`, "no pieces": `{"version":1,"size":1,"piece":1,"done":[]}`,
		"no piece size": `{"version":1,"size":1,"piece":0,"done":[0]}`, "too few": `{"version":1,"size":10,"piece":5,"done":[0]}`,
		"too many": `{"version":1,"size":10,"piece":5,"done":[0,0,0]}`, "more than a piece": `{"version":1,"size":9,"piece":5,"done":[5,5]}`,
		"less than nothing": `{"version":1,"size":9,"piece":5,"done":[5,-1]}`, "a bad checksum": `{"version":1,"size":1,"piece":1,"done":[1],"sha256":"x"}`,
	} {
		if _, err := decodeState([]byte(data)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	s, err := decodeState([]byte(`{"version":1,"identity":"x","size":9,"piece":5,"done":[5,2]}`))
	if err != nil || s.front() != 7 || s.total() != 7 || !s.finished(0) || s.finished(1) {
		t.Errorf("%+v, %v", s, err)
	}
	for _, size := range []int64{0, 1, 999, 1000, 1001, 64_000, 64_001, 1 << 40, maxFileSize} {
		data, err := json.Marshal(newState(remote{size: size}, 1000))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeState(data); err != nil {
			t.Errorf("a fresh state of %d bytes: %v", size, err)
		}
	}
}

func FuzzDecodeState(f *testing.F) {
	f.Add([]byte(`{"version":1,"identity":"x","size":9,"piece":5,"done":[5,2]}`))
	f.Add([]byte(`{"version":1,"size":0,"piece":1,"done":[0],"sha256":"` + strings.Repeat("0", 64) + `"}`))
	f.Add([]byte(`{"version":1,"size":17592186044416,"piece":9223372036854775807,"done":[1]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := decodeState(data)
		if err != nil {
			return
		}
		if s.total() > s.Size || s.front() > s.total() {
			t.Errorf("%+v has %d bytes, %d at the front", s, s.total(), s.front())
		}
		at := int64(0)
		for i := range s.Done {
			lo, hi := s.span(i)
			if lo != at || hi < lo || hi > s.Size {
				t.Errorf("%+v: piece %d is %d-%d", s, i, lo, hi)
			}
			at = hi
		}
		if at != s.Size {
			t.Errorf("%+v: the pieces end at %d", s, at)
		}
	})
}

func FuzzDecodeManifest(f *testing.F) {
	f.Add([]byte(`{"version":1,"source":"a/b","requests":[{}],"files":[{"path":"a","size":1,"sha256":"` + strings.Repeat("0", 64) + `","modified":1}]}`))
	f.Add([]byte(`{"version":1,"files":[{"path":"../a"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decodeManifest(data)
		if err != nil {
			return
		}
		again, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeManifest(again); err != nil {
			t.Errorf("%s decodes, %s does not: %v", data, again, err)
		}
		for _, file := range m.Files {
			if strings.HasPrefix(file.Path, "/") || strings.Contains("/"+file.Path+"/", "/../") {
				t.Errorf("%q leads out of the folder", file.Path)
			}
		}
	})
}

func FuzzListing(f *testing.F) {
	f.Add([]byte(`[{"type":"file","path":"model.safetensors","size":3,"oid":"`+commit+`"}]`), "bytes 0-0/3", `<https://h/x?c=1>; rel="next"`)
	f.Add([]byte(`[{"type":"file","path":"../x","size":3,"lfs":{"oid":"`+strings.Repeat("0", 64)+`","size":4}}]`), "bytes 5-9/*", "%>;rel=next")
	f.Fuzz(func(t *testing.T, data []byte, contentRange, link string) {
		files, err := decodeTree(data)
		if err == nil {
			chosen, err := choose(files, []string{"*"}, nil)
			for _, c := range chosen {
				if err != nil || c.size < 0 || c.size > maxFileSize || strings.Contains("/"+c.path+"/", "/../") || c.path[0] == '/' {
					t.Errorf("chosen: %+v, %v", c, err)
				}
			}
		}
		if c, err := parseContentRange(contentRange); err == nil && (c.first < 0 || c.last < c.first || c.last == math.MaxInt64 || c.total >= 0 && c.last >= c.total) {
			t.Errorf("%q gives %+v", contentRange, c)
		}
		if query, ok := nextPage(http.Header{"Link": {link}}); ok && strings.ContainsAny(query, "\r\n") {
			t.Errorf("%q gives %q", link, query)
		}
		_, _ = decodeRevision(data)
	})
}
