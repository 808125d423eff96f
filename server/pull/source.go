package pull

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
)

const (
	maxEntries  = 100_000 // of one repository
	maxPages    = 1000
	maxFileSize = 1 << 44 // 16 TiB: what larger numbers mean is a lie or an overflow
)

// source is what the user asked for: a repository at a revision, or the URL of one file.
type source struct {
	repo, revision string
	url            *url.URL
}

// remote is one file on offer.
type remote struct {
	path     string
	size     int64 // -1 where the server does not say
	identity string
	sha256   string // hex, empty when not announced
	gitOID   string // SHA-1 of the git blob, empty when not announced
	etag     string // of a URL; a change means another file
	noRanges bool   // the server is known to send whole files only
	url      *url.URL
}

// listing is what a source offers at one moment.
type listing struct {
	source, revision, commit string // as the manifest shows them; the last two empty for a URL
	files                    []remote
}

// parseSource reads the SOURCE argument. Addresses of pages of the endpoint count as the repository they show.
func parseSource(text, revision, endpoint string) (source, error) {
	text = strings.TrimPrefix(text, "hf://")
	if u, err := url.Parse(text); err == nil && (u.Scheme == "http" || u.Scheme == "https") {
		if u.Host == "" {
			return source{}, errors.New("SOURCE is a URL without a host")
		}
		if page, ok := hubPage(u, endpoint); ok {
			return parseSource(page, revision, endpoint)
		}
		if revision != "" {
			return source{}, errors.New("--revision goes with a repository, not with the URL of a file")
		}
		u.Fragment = ""
		if before, after, blob := strings.Cut(u.Path, "/blob/"); blob && sameOrigin(u, endpoint) {
			u.Path, u.RawPath = before+"/resolve/"+after, "" // a page about a file
		}
		return source{url: u}, nil
	}
	repo, at, found := strings.Cut(text, "@")
	if found && revision != "" && at != revision {
		return source{}, fmt.Errorf("SOURCE names revision %q, --revision another", at)
	}
	if found {
		revision = at
	}
	if !validRepo(repo) {
		return source{}, fmt.Errorf("SOURCE %q must be a repository such as openai/gpt-oss-20b, or an http(s) URL of one file", text)
	}
	if found && at == "" || len(revision) > 255 || strings.ContainsFunc(revision, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return source{}, fmt.Errorf("revision %q must be a branch, a tag or a commit", revision)
	}
	if revision == "" {
		revision = "main"
	}
	return source{repo: repo, revision: revision}, nil
}

// hubPage turns the address of a repository's page, or of its tree at a revision, into OWNER/NAME@REVISION.
func hubPage(u *url.URL, endpoint string) (string, bool) {
	if !sameOrigin(u, endpoint) {
		return "", false
	}
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	switch {
	case len(parts) == 2:
		return parts[0] + "/" + parts[1], true
	case len(parts) == 4 && parts[2] == "tree":
		return parts[0] + "/" + parts[1] + "@" + parts[3], true
	}
	return "", false
}

// validRepo holds a name to the Hub's own rules.
func validRepo(name string) bool {
	parts := strings.Split(name, "/")
	if len(parts) > 2 {
		return false
	}
	for _, p := range parts {
		bad := strings.ContainsFunc(p, func(r rune) bool {
			return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("-_.", r)
		})
		if bad || p == "" || len(p) > 96 || strings.Contains(p, "..") || strings.Contains(p, "--") || strings.Trim(p, "-.") != p {
			return false
		}
	}
	return true
}

// name is what the target folder is called where the user does not say.
func (s source) name() string {
	if s.url == nil {
		return path.Base(s.repo)
	}
	return strings.TrimSuffix(path.Base(s.url.Path), path.Ext(s.url.Path))
}

// display is the source without user, password and query, which may hold secrets.
func (s source) display() string {
	if s.url == nil {
		return s.repo
	}
	plain := url.URL{Scheme: s.url.Scheme, Host: s.url.Host, Path: s.url.Path}
	return plain.String()
}

// list asks the source what it offers.
func (s source) list(ctx context.Context, c *client, want string) (listing, error) {
	if s.url != nil {
		return s.probe(ctx, c, want)
	}
	l := listing{source: s.repo, revision: s.revision, commit: s.revision}
	if !isHex(s.revision, 40) {
		u, err := url.Parse(c.endpoint + "/api/models/" + s.repo + "/revision/" + url.PathEscape(s.revision))
		if err != nil {
			return l, fmt.Errorf("revision %q: %w", s.revision, err)
		}
		data, _, err := c.page(ctx, u, "revision "+s.revision)
		if err != nil {
			return l, err
		}
		if l.commit, err = decodeRevision(data); err != nil {
			return l, fmt.Errorf("%s is no Hugging Face endpoint: %w", u.Host, err)
		}
	}
	tree, err := url.Parse(c.endpoint + "/api/models/" + s.repo + "/tree/" + l.commit + "?recursive=true")
	if err != nil {
		return l, fmt.Errorf("list %s: %w", s.repo, err)
	}
	for range maxPages {
		data, header, err := c.page(ctx, tree, "list of files")
		if err != nil {
			return l, err
		}
		files, err := decodeTree(data)
		if err != nil {
			return l, fmt.Errorf("%s is no Hugging Face endpoint: %w", tree.Host, err)
		}
		for _, f := range files {
			f.url = fileURL(c.endpoint, s.repo, l.commit, f.path)
			l.files = append(l.files, f)
		}
		if len(l.files) > maxEntries {
			return l, fmt.Errorf("%s lists more than %d files", s.repo, maxEntries)
		}
		query, more := nextPage(header)
		if !more {
			return l, nil
		}
		tree.RawQuery = query
	}
	return l, fmt.Errorf("%s lists its files on more than %d pages", s.repo, maxPages)
}

// fileURL is where the endpoint serves a file. A name that does not make a URL is refused later, as a name.
func fileURL(endpoint, repo, commit, name string) *url.URL {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	u, err := url.Parse(endpoint + "/" + repo + "/resolve/" + commit + "/" + strings.Join(parts, "/"))
	if err != nil {
		return &url.URL{}
	}
	return u
}

// nextPage reads `Link: <URL>; rel="next"`. Only the query is taken: mirrors often pass on links to the original host.
func nextPage(h http.Header) (query string, ok bool) {
	for _, line := range h.Values("Link") {
		for link := range strings.SplitSeq(line, ",") {
			target, attributes, _ := strings.Cut(strings.TrimSpace(link), ">")
			attributes = strings.ReplaceAll(attributes, " ", "")
			if !strings.Contains(attributes, `;rel="next"`) && !strings.Contains(attributes, ";rel=next") {
				continue
			}
			u, err := url.Parse(strings.TrimPrefix(target, "<"))
			if err != nil || u.RawQuery == "" {
				return "", false
			}
			return u.RawQuery, true
		}
	}
	return "", false
}

func decodeRevision(data []byte) (commit string, err error) {
	var info struct {
		SHA string `json:"sha"`
	}
	if err := json.Unmarshal(data, &info); err != nil {
		return "", fmt.Errorf("the answer about a revision is no JSON object: %w", err)
	}
	if !isHex(info.SHA, 40) {
		return "", fmt.Errorf("the answer about a revision has no commit (sha) of 40 hex digits")
	}
	return info.SHA, nil
}

// decodeTree reads one page of GET /api/models/REPO/tree/REVISION. Names are checked when a file is chosen.
func decodeTree(data []byte) ([]remote, error) {
	var entries []struct {
		Type string `json:"type"`
		Path string `json:"path"`
		OID  string `json:"oid"`
		Size int64  `json:"size"`
		LFS  *struct {
			OID  string `json:"oid"`
			Size int64  `json:"size"`
		} `json:"lfs"`
	}
	if err := json.Unmarshal(data, &entries); err != nil {
		return nil, fmt.Errorf("the list of files is no JSON array of entries: %w", err)
	}
	var files []remote
	for _, e := range entries {
		if e.Type != "file" {
			continue
		}
		f := remote{path: e.Path, size: e.Size}
		if e.LFS != nil {
			f.size, f.sha256 = e.LFS.Size, strings.TrimPrefix(e.LFS.OID, "sha256:")
			if !isHex(f.sha256, 64) {
				return nil, fmt.Errorf("%q has no SHA-256 in lfs.oid", e.Path)
			}
			f.identity = "sha256:" + f.sha256
		} else if isHex(e.OID, 40) {
			f.gitOID = e.OID
			f.identity = "git:" + f.gitOID
		}
		if f.size < 0 || f.size > maxFileSize {
			return nil, fmt.Errorf("%q has an impossible size of %d bytes", e.Path, f.size)
		}
		files = append(files, f)
	}
	return files, nil
}

// probe learns size, version and checksum of a URL's file by asking for its first byte; a HEAD would be refused where
// the URL is signed for GET.
func (s source) probe(ctx context.Context, c *client, want string) (listing, error) {
	f := remote{path: path.Base(s.url.Path), url: s.url, size: -1, sha256: want}
	if err := checkName(f.path); err != nil {
		return listing{}, fmt.Errorf("the URL names no file: %w", err)
	}
	err := c.retry(ctx, f.path, func() (bool, error) {
		response, w, err := c.get(ctx, s.url, "0-0", f.path)
		if err != nil {
			return false, err
		}
		defer w.stop()
		defer response.Body.Close()
		switch response.StatusCode {
		case http.StatusPartialContent:
			span, err := parseContentRange(response.Header.Get("Content-Range"))
			if err != nil || span.first != 0 || span.total < 0 {
				return false, passingf("%s answers a request for a range with Content-Range %q", s.url.Host, response.Header.Get("Content-Range"))
			}
			f.size = span.total
		case http.StatusOK:
			f.noRanges = true
			if f.size = response.ContentLength; f.size < 0 && want == "" && !slices.Contains(response.TransferEncoding, "chunked") {
				return false, fmt.Errorf("%s announces no length, so a truncated file could not be told from a whole one: give --sha256", s.url.Host)
			}
		default: // 416: there is no first byte
			f.size = 0
		}
		f.describe(response)
		return true, nil
	})
	if err == nil && f.size > maxFileSize {
		err = fmt.Errorf("%s has an impossible size of %d bytes", f.path, f.size)
	}
	return listing{source: s.display(), files: []remote{f}}, err
}

// describe takes version and checksum from the headers; the Hub puts the SHA-256 into X-Linked-Etag of its redirect.
func (r *remote) describe(response *http.Response) {
	r.etag = response.Header.Get("ETag")
	for hop := response; hop != nil; hop = hop.Request.Response {
		linked := strings.Trim(hop.Header.Get("X-Linked-Etag"), `"`)
		if r.sha256 == "" && isHex(linked, 64) && hop.Request.URL.Host == r.url.Host {
			r.sha256 = linked
		}
	}
	modified := response.Header.Get("Last-Modified")
	switch {
	case r.sha256 != "":
		r.identity = "sha256:" + r.sha256
	case r.etag != "":
		r.identity = "etag:" + r.etag
	case modified != "":
		r.identity = "modified:" + modified
	}
	if len(r.identity) > 1024 {
		r.identity, r.etag = "", ""
	}
}

// contentRange is bytes first-last/total, total -1 for "*".
type contentRange struct{ first, last, total int64 }

func parseContentRange(text string) (contentRange, error) {
	fail := fmt.Errorf("bad Content-Range %q", text)
	rest, ok := strings.CutPrefix(text, "bytes ")
	span, total, ok2 := strings.Cut(rest, "/")
	first, last, ok3 := strings.Cut(span, "-")
	if !ok || !ok2 || !ok3 {
		return contentRange{}, fail
	}
	c := contentRange{total: -1}
	numbers := []struct {
		text string
		into *int64
	}{{first, &c.first}, {last, &c.last}, {total, &c.total}}
	for _, n := range numbers {
		if n.text == "*" && n.into == &c.total {
			continue
		}
		v, err := strconv.ParseUint(n.text, 10, 62)
		if err != nil {
			return contentRange{}, fail
		}
		*n.into = int64(v)
	}
	if c.last < c.first || c.total >= 0 && c.last >= c.total {
		return contentRange{}, fail
	}
	return c, nil
}

// isHex reports whether s is n lower-case hexadecimal digits.
func isHex(s string, n int) bool {
	if len(s) != n || strings.ToLower(s) != s {
		return false
	}
	_, err := hex.DecodeString(s)
	return err == nil
}

// modelFiles are what serves a model in Hugging Face's layout, and the licence that goes with it. original/* and
// metal/* hold the same weights in other layouts.
var modelFiles = []string{"*.safetensors", "*.json", "*.jinja", "*.tiktoken", "tokenizer.model", "LICENSE*", "USAGE_POLICY*"}

// choose picks the files of a request and refuses names that the target could not hold.
func choose(files []remote, include, exclude []string) ([]remote, error) {
	wanted := func(f remote) bool { return matchAny(include, f.path) }
	if len(include) == 0 {
		model, err := standard(files, exclude)
		if err != nil {
			return nil, err
		}
		wanted = func(f remote) bool { return !strings.Contains(f.path, "/") && matchAny(model, f.path) }
	}
	var chosen []remote
	taken := map[string]string{} // lower case, since some disks do not tell the case apart; "" for a folder
	for _, f := range files {
		if !wanted(f) || matchAny(exclude, f.path) {
			continue
		}
		if err := checkName(f.path); err != nil {
			return nil, err
		}
		lower := strings.ToLower(f.path)
		if _, twice := taken[lower]; twice {
			return nil, fmt.Errorf("two files want the name %q", f.path)
		}
		taken[lower] = f.path
		for dir := path.Dir(lower); dir != "."; dir = path.Dir(dir) {
			if taken[dir] != "" {
				return nil, fmt.Errorf("%q is both a file and a folder", dir)
			}
			taken[dir] = ""
		}
		chosen = append(chosen, f)
	}
	if len(chosen) == 0 {
		return nil, errors.New("no file fits --include and --exclude")
	}
	return chosen, nil
}

// standard returns the globs for a request without --include. A repository of GGUF files is taken if it has one model.
func standard(files []remote, exclude []string) ([]string, error) {
	ggufs := map[string]bool{} // the parts NAME-00001-of-00002.gguf count as one
	for _, f := range files {
		if strings.Contains(f.path, "/") || matchAny(exclude, f.path) {
			continue
		}
		if matchGlob("*.safetensors", f.path) {
			return modelFiles, nil
		}
		if name, ok := strings.CutSuffix(f.path, ".gguf"); ok {
			if i := strings.LastIndex(name, "-of-"); i >= 6 && name[i-6] == '-' {
				name = name[:i-6]
			}
			ggufs[name] = true
		}
	}
	switch len(ggufs) {
	case 0:
		return nil, errors.New("it has no safetensors and no GGUF file at its top; choose files with --include")
	case 1:
		return append([]string{"*.gguf"}, modelFiles...), nil
	}
	names := slices.Sorted(maps.Keys(ggufs))
	more := ""
	if len(names) > 10 {
		names, more = names[:10], ", …"
	}
	return nil, fmt.Errorf("it has several models; choose one with --include 'NAME*', where NAME is one of %q%s", names, more)
}

func matchAny(globs []string, name string) bool {
	return slices.ContainsFunc(globs, func(g string) bool { return matchGlob(g, name) })
}

// matchGlob matches like the Hub's own client: * and ? match slashes too, and a final slash means all below.
func matchGlob(glob, name string) bool {
	if strings.HasSuffix(glob, "/") {
		glob += "*"
	}
	g, n := []rune(glob), []rune(name)
	i, j, star, back := 0, 0, -1, 0
	for j < len(n) {
		switch {
		case i < len(g) && g[i] == '*':
			star, back = i, j
			i++
		case i < len(g) && (g[i] == '?' || g[i] == n[j]):
			i++
			j++
		case star >= 0: // let the last star take one more; earlier ones need not be tried again
			back++
			i, j = star+1, back
		default:
			return false
		}
	}
	for i < len(g) && g[i] == '*' {
		i++
	}
	return i == len(g)
}
