package page

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

//go:embed assets
var assets embed.FS

const (
	prefix   = "/assets/"
	index    = "index.html"
	minSaved = 64 // bytes that compression must save to be worth its header
)

// policy is the page's Content-Security-Policy. Trusted types are required and none exist, so that the page's own code
// could not turn a model's text into HTML even by mistake.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// file is an asset in the two encodings in which it is sent.
type file struct {
	mediaType     string
	plain, packed []byte // packed is nil where compression saves nothing
	tag           string // of the contents; the encodings' ETags are made of it
	cache         string
}

type handler struct {
	files   map[string]*file // by URL path
	unknown http.Handler
}

// Handler serves the page at "/" and its files below "/assets/"; any other path goes to unknown.
func Handler(unknown http.Handler) http.Handler {
	return &handler{files: files(), unknown: unknown}
}

// files lists what is served, by URL path.
var files = sync.OnceValue(func() map[string]*file {
	all := map[string]*file{}
	contents := read()
	version := digest(contents)
	for name, data := range contents {
		url, cache := prefix+version+"/"+name, "public, max-age=31536000, immutable"
		if name == index {
			// Relative, so that the page also works below a path of a proxy.
			data = bytes.ReplaceAll(data, []byte(`"assets/`), []byte(`"assets/`+version+`/`))
			url, cache = "/", "no-cache"
		}
		all[url] = newFile(name, data, cache)
	}
	return all
})

// read returns the embedded files by name.
func read() map[string][]byte {
	contents := map[string][]byte{}
	err := fs.WalkDir(assets, "assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		contents[path.Base(name)], err = assets.ReadFile(name)
		return err
	})
	if err != nil { // they are part of the binary
		panic(err)
	}
	return contents
}

// digest names a version: it differs wherever any file does.
func digest(contents map[string][]byte) string {
	sum := sha256.New()
	entries, err := assets.ReadDir("assets") // sorted
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		each := sha256.Sum256(contents[e.Name()])
		sum.Write(each[:])
	}
	return hex.EncodeToString(sum.Sum(nil))[:16]
}

func newFile(name string, data []byte, cache string) *file {
	sum := sha256.Sum256(data)
	f := &file{mediaType: mediaType(name), plain: data, tag: hex.EncodeToString(sum[:])[:16], cache: cache}
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil { // memory takes whatever is written
		panic(err)
	}
	if b.Len()+minSaved < len(data) {
		f.packed = b.Bytes()
	}
	return f
}

// mediaType does not ask the machine's tables, which may know JavaScript by another name or not at all.
func mediaType(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return "application/octet-stream"
}

// ServeHTTP answers GET and HEAD; the caller sees to other methods.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f := h.files[r.URL.Path]
	if f == nil {
		h.unknown.ServeHTTP(w, r)
		return
	}
	header := w.Header()
	header.Set("Content-Security-Policy", policy)
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", f.cache)
	header.Add("Vary", "Accept-Encoding") // beside the Origin of server/cors
	body, tag := f.plain, `"`+f.tag+`"`
	if f.packed != nil && acceptsGzip(r.Header.Get("Accept-Encoding")) {
		body, tag = f.packed, `"`+f.tag+`-gzip"`
		header.Set("Content-Encoding", "gzip")
	}
	header.Set("ETag", tag)
	if matches(r.Header.Get("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Type", f.mediaType)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		// A browser that is gone needs no page.
		_, _ = w.Write(body)
	}
}

// acceptsGzip reads Accept-Encoding: gzip is wanted where it is named without a quality of 0.
func acceptsGzip(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		name, parameters, _ := strings.Cut(strings.TrimSpace(part), ";")
		if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
			continue
		}
		quality, given := strings.CutPrefix(strings.ReplaceAll(parameters, " ", ""), "q=")
		q, err := strconv.ParseFloat(quality, 64)
		return !given || err == nil && q > 0
	}
	return false
}

// matches compares an If-None-Match with an ETag, weakly as RFC 9110 asks.
func matches(header, tag string) bool {
	for part := range strings.SplitSeq(header, ",") {
		part = strings.TrimSpace(part)
		if part == "*" || strings.TrimPrefix(part, "W/") == tag {
			return true
		}
	}
	return false
}
