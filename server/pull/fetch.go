package pull

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gptoss/gptoss-operator/server/terminal"
)

const (
	// DefaultEndpoint is where repositories live when nothing else is said.
	DefaultEndpoint = "https://huggingface.co"

	heartbeat   = time.Second
	maxRestarts = 2 // of a file that keeps changing at its URL
)

// ErrOption marks an option that cannot be used; nothing was done.
var ErrOption = errors.New("pull: wrong option")

// optionError is an ErrOption that says what is wrong, and no more.
type optionError struct{ error }

func (optionError) Is(target error) bool { return target == ErrOption }

// Token is a secret: every way of printing it hides it.
type Token string

// String hides the token.
func (Token) String() string { return "[redacted]" }

// GoString hides the token from %#v.
func (Token) GoString() string { return "[redacted]" }

// LogValue hides the token from slog.
func (Token) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalJSON hides the token from dumps.
func (Token) MarshalJSON() ([]byte, error) { return []byte(`"[redacted]"`), nil }

// Options say what to fetch. Zero values mean the defaults.
type Options struct {
	// Source is a repository (OWNER/NAME, optionally @REVISION) or the http(s) URL of one file.
	Source string
	// To is the target folder; empty means one in the current folder, named after the source.
	To string
	// Revision is a branch, a tag or a commit; empty means main.
	Revision string
	// Endpoint is the origin (and perhaps a path) of a Hugging-Face-compatible server, without a final slash.
	Endpoint string
	// Token is sent as Bearer to the endpoint, or to TokenOrigin for the URL of a file; never elsewhere.
	Token Token
	// TokenOrigin is where the token goes when Source is a URL; empty means the endpoint.
	TokenOrigin string
	// TokenHint is what sentences about a missing token tell to set; empty means what the command line has for it.
	TokenHint string
	// Include are globs of names to fetch instead of the model's own files; * matches slashes too.
	Include []string
	// Exclude are globs of names to leave out.
	Exclude []string
	// SHA256 is the checksum of a URL's file, as 64 hex digits.
	SHA256 string
	// Parallel is the number of connections, 4 by default.
	Parallel int
	// Retries is how many failures in a row, without progress, are put up with; negative means none, 0 means 8.
	Retries int
	// StallTimeout ends a request that brings nothing for so long; 30 s by default.
	StallTimeout time.Duration
	// Offline uses no network: the target must be complete already.
	Offline bool
	// Verify reads again all files that are there, instead of going by size and time.
	Verify bool
	// Proxy chooses the proxy for a request; nil means none.
	Proxy func(*http.Request) (*url.URL, error)
	// Report gets events, one at a time.
	Report func(Event)

	clock     clock
	jitter    func() float64
	freeBytes func(dir string) (int64, bool)
	pieceSize int64
}

// Result is what a download ended with.
type Result struct {
	// Dir is the target folder.
	Dir string `json:"dir"`
	// Source and Commit say what it holds; Commit is empty for a URL.
	Source string `json:"source"`
	Commit string `json:"commit,omitempty"`
	// Files are the names of the request's files, inside Dir.
	Files []string `json:"files"`
	// Bytes is their size, Downloaded what this run transferred.
	Bytes      int64 `json:"bytes"`
	Downloaded int64 `json:"downloaded"`
	// Kept is how much of an unfinished download the next run need not transfer again.
	Kept int64 `json:"-"`
}

// withDefaults fills in what is not set and checks the rest.
func (o Options) withDefaults() (Options, source, error) {
	wrong := func(err error) (Options, source, error) {
		return o, source{}, optionError{err}
	}
	o.Endpoint = strings.TrimRight(cmp.Or(o.Endpoint, DefaultEndpoint), "/")
	u, err := url.Parse(o.Endpoint)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return wrong(errors.New("--endpoint must be an http(s) URL without user and query, such as https://huggingface.co"))
	}
	src, err := parseSource(o.Source, o.Revision, o.Endpoint)
	if err != nil {
		return wrong(err)
	}
	if o.SHA256 = strings.ToLower(o.SHA256); o.SHA256 != "" && (!isHex(o.SHA256, 64) || src.url == nil) {
		return wrong(errors.New("--sha256 must be 64 hex digits, and goes with the URL of a file"))
	}
	if src.url != nil && len(o.Include)+len(o.Exclude) > 0 {
		return wrong(errors.New("--include and --exclude go with a repository, not with the URL of a file"))
	}
	o.To = cmp.Or(o.To, src.name())
	o.Parallel = cmp.Or(o.Parallel, 4)
	o.Retries = max(0, cmp.Or(o.Retries, 8))
	o.StallTimeout = cmp.Or(o.StallTimeout, 30*time.Second)
	o.pieceSize = cmp.Or(o.pieceSize, defaultPiece)
	if o.clock == nil {
		o.clock = wallClock{}
	}
	if o.jitter == nil {
		o.jitter = rand.Float64
	}
	if o.freeBytes == nil {
		o.freeBytes = freeBytes
	}
	if o.Report == nil {
		o.Report = func(Event) {}
	}
	return o, src, nil
}

// Fetch makes the target folder hold the request's files, complete and verified. After an error the Result says how
// much of the download is kept for the next call, which goes on from there. A cancelled ctx is such an error.
func Fetch(ctx context.Context, o Options) (Result, error) {
	o, src, err := o.withDefaults()
	if err != nil {
		return Result{}, err
	}
	f := &fetcher{Options: o, src: src, meter: &meter{clock: o.clock, report: o.Report}, client: newClient(o, src)}
	f.client.notice = func(about string, err error, wait time.Duration) {
		f.meter.retry(about, fmt.Errorf("%w; trying again in %s", err, wait.Round(100*time.Millisecond)))
	}
	result := Result{Dir: o.To, Source: src.display()}
	if o.Offline {
		err = f.offline(ctx, &result)
	} else {
		err = f.online(ctx, &result)
	}
	result.Downloaded = f.meter.downloaded
	if ctx.Err() != nil && err != nil {
		err = errInterrupted
	}
	if err != nil {
		return result, fmt.Errorf("pull: %w", err)
	}
	return result, nil
}

// fetcher is one call of Fetch.
type fetcher struct {
	Options
	src    source
	meter  *meter
	client *client
	target *target
}

func (f *fetcher) request() request { return request{Include: f.Include, Exclude: f.Exclude} }

// offline looks at what is there: a manifest of this request, and the files as it describes them.
func (f *fetcher) offline(ctx context.Context, result *Result) (err error) {
	root, err := os.OpenRoot(f.To)
	if err != nil {
		return fmt.Errorf("offline, and %s is not there: %w", f.To, err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	f.target = &target{dir: f.To, root: root}
	m, err := f.target.manifest()
	switch {
	case err != nil:
		return fmt.Errorf("offline: %w", err)
	case m.Version == 0:
		return fmt.Errorf("offline, and %s holds no complete download", f.To)
	case m.Source != f.src.display():
		return fmt.Errorf("offline, and %s holds %s, not %s", f.To, m.Source, f.src.display())
	case f.src.revision != m.Revision && f.src.revision != m.Commit:
		return fmt.Errorf("offline, and %s holds revision %s (commit %s), not %s", f.To, m.Revision, m.Commit, f.src.revision)
	case !slices.ContainsFunc(m.Requests, f.request().equal):
		return fmt.Errorf("offline, and %s was not filled with this --include and --exclude", f.To)
	}
	for _, file := range m.Files {
		if f.SHA256 != "" && file.SHA256 != f.SHA256 {
			return fmt.Errorf("offline, and %s has sha256 %s, not %s", file.Path, file.SHA256, f.SHA256)
		}
		f.meter.total += file.Size
	}
	defer f.beat(ctx)()
	for _, file := range m.Files {
		if err := f.confirm(ctx, file); err != nil {
			return fmt.Errorf("offline, and %w", err)
		}
		result.add(file)
	}
	result.Commit = m.Commit
	return nil
}

// confirm checks a file against the manifest, by its bytes where it was touched since.
func (f *fetcher) confirm(ctx context.Context, file fileInfo) error {
	if err := f.target.check(file.Path); err != nil {
		return err
	}
	if !f.Verify && f.target.untouched(file) {
		f.meter.add(file.Size)
		return nil
	}
	r := remote{path: file.Path, size: file.Size, sha256: file.SHA256}
	_, err := f.inspect(ctx, r)
	return err
}

// inspect reads a file that is there; the error says how it differs from what is announced.
func (f *fetcher) inspect(ctx context.Context, r remote) (fileInfo, error) {
	file, err := f.target.open(r.path, os.O_RDONLY)
	if err != nil {
		return fileInfo{}, fmt.Errorf("%s is missing in %s: %w", r.path, f.To, err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return fileInfo{}, err
	}
	if info.Size() != r.size {
		return fileInfo{}, fmt.Errorf("%s has %d bytes, not %d", r.path, info.Size(), r.size)
	}
	f.meter.on(r.path)
	p := &part{remote: r, file: file, state: state{Size: r.size, Piece: max(1, r.size), Done: []int64{r.size}}}
	sum, blob, err := p.digest(ctx)
	if err != nil {
		return fileInfo{}, err
	}
	if r.sha256 != "" && sum != r.sha256 || r.gitOID != "" && blob != r.gitOID {
		return fileInfo{}, fmt.Errorf("%s is damaged: its sha256 is %s", r.path, sum)
	}
	f.meter.add(r.size)
	return fileInfo{Path: r.path, Size: r.size, SHA256: sum, Identity: r.identity, Modified: info.ModTime().UnixNano()}, nil
}

// online lists, compares, fetches and puts in place.
func (f *fetcher) online(ctx context.Context, result *Result) (err error) {
	if f.target, err = openTarget(f.To); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.target.close()) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer f.beat(ctx)()
	for restarts := 0; ; restarts++ {
		offer, err := f.src.list(ctx, f.client, f.SHA256)
		if err != nil {
			return err
		}
		if f.src.url == nil {
			if offer.files, err = choose(offer.files, f.Include, f.Exclude); err != nil {
				return kindf(ErrNotFound, "%s: %w", f.src.display(), err)
			}
		}
		result.Commit = offer.commit
		err = f.bring(ctx, offer, result)
		if !errors.Is(err, errChanged) {
			return err
		}
		if restarts == maxRestarts {
			return fmt.Errorf("%s keeps changing on the server", offer.files[0].path)
		}
		f.meter.retry(offer.files[0].path, errors.New("the file changed on the server; beginning anew"))
	}
}

// bring makes the folder hold what is on offer.
func (f *fetcher) bring(ctx context.Context, offer listing, result *Result) error {
	old, err := f.target.manifest()
	if err != nil {
		old = manifest{} // broken, so it says nothing; it is written anew below
	}
	m := f.successor(old, offer)
	there, missing, err := f.compare(ctx, old, offer)
	if err != nil {
		return err
	}
	parts, err := f.openParts(missing)
	defer func() {
		for _, p := range parts {
			_ = p.close() // an error of writing was reported by the writer
		}
	}()
	if err != nil {
		return err
	}
	if err := f.checkSpace(parts); err != nil {
		return err
	}
	f.meter.begin()
	p := &pool{client: f.client, meter: f.meter, parts: parts}
	if err := p.run(ctx, f.Parallel); err != nil {
		result.Kept = 0
		for _, part := range parts {
			if part.identity != "" && !part.gone {
				result.Kept += part.total()
			}
		}
		return err
	}
	fresh, err := f.place(parts)
	if err != nil {
		return err
	}
	m.put(append(there, fresh...))
	for _, file := range append(there, fresh...) {
		result.add(file)
	}
	slices.Sort(result.Files)
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return errors.Join(f.target.replace(ManifestName, append(data, '\n')), f.target.sync([]fileInfo{{Path: ManifestName}}))
}

// successor begins the new manifest: with what the old one says where it is about the same commit and still true.
func (f *fetcher) successor(old manifest, offer listing) manifest {
	m := manifest{Version: 1, Source: offer.source, Revision: offer.revision, Commit: offer.commit}
	if old.Version == 1 && old.Source == offer.source && old.Commit == offer.commit && offer.commit != "" && !slices.ContainsFunc(old.Files, func(file fileInfo) bool { return !f.target.untouched(file) }) {
		m.Requests, m.Files = old.Requests, slices.Clone(old.Files)
	}
	if !slices.ContainsFunc(m.Requests, f.request().equal) {
		m.Requests = append(m.Requests, f.request())
	}
	return m
}

func (r *Result) add(file fileInfo) {
	r.Files = append(r.Files, file.Path)
	r.Bytes += file.Size
}

// compare finds which files are there already: by the manifest, or by their bytes.
func (f *fetcher) compare(ctx context.Context, old manifest, offer listing) (there []fileInfo, missing []remote, err error) {
	f.meter.mu.Lock()
	f.meter.done, f.meter.total = 0, 0
	for _, r := range offer.files {
		f.meter.total += max(0, r.size)
	}
	f.meter.mu.Unlock()
	remembered := map[string]fileInfo{}
	for _, file := range old.Files {
		remembered[file.Path] = file
	}
	for _, r := range offer.files {
		if err := f.target.check(r.path); err != nil {
			return nil, nil, err
		}
		known := remembered[r.path]
		same := known.Path == r.path && r.identity != "" && known.Identity == r.identity && known.Size == r.size
		if same && !f.Verify && f.target.untouched(known) {
			f.meter.add(known.Size)
			there = append(there, known)
			continue
		}
		if r.sha256 == "" && r.gitOID == "" && same {
			r.sha256 = known.SHA256 // the server does not say, but the manifest remembers
		}
		if r.sha256 != "" || r.gitOID != "" {
			if file, err := f.inspect(ctx, r); err == nil {
				there = append(there, file)
				continue
			}
		}
		if cause := context.Cause(ctx); cause != nil {
			return nil, nil, cause
		}
		missing = append(missing, r)
	}
	return there, missing, nil
}

// openParts opens the partial files, small ones first: what refuses all files shows at once.
func (f *fetcher) openParts(missing []remote) ([]*part, error) {
	slices.SortStableFunc(missing, func(a, b remote) int {
		big := func(r remote) int { return map[bool]int{true: 1}[r.size > f.pieceSize] }
		return cmp.Or(big(a)-big(b), strings.Compare(a.path, b.path))
	})
	var parts []*part
	for _, r := range missing {
		p, err := openPart(f.target, r, f.pieceSize)
		if err != nil {
			return parts, err
		}
		parts = append(parts, p)
		f.meter.add(p.total())
	}
	return parts, nil
}

// checkSpace refuses a download that cannot fit. Partial files have holes where bytes are still missing.
func (f *fetcher) checkSpace(parts []*part) error {
	var need int64
	for _, p := range parts {
		need += max(0, p.size-p.total())
	}
	if free, ok := f.freeBytes(f.To); ok && need > free {
		return kindf(ErrFull, "%s has %s of free space, but %s more are needed", f.To, terminal.Bytes(free), terminal.Bytes(need))
	}
	return nil
}

// place renames all parts. Before the first, a manifest about other files must go: from here on it is not true.
func (f *fetcher) place(parts []*part) ([]fileInfo, error) {
	if len(parts) > 0 {
		if err := f.target.remove(ManifestName); err != nil {
			return nil, diskFailure(ManifestName, err)
		}
	}
	var files []fileInfo
	for _, p := range parts {
		if err := f.target.check(p.path); err != nil {
			return nil, err
		}
		if err := f.target.root.Rename(p.path+partSuffix, p.path); err != nil {
			return nil, diskFailure(p.path, err)
		}
		if err := f.target.remove(p.path + stateSuffix); err != nil {
			return nil, diskFailure(p.path, err)
		}
		files = append(files, fileInfo{Path: p.path, Size: p.state.Size, SHA256: p.state.SHA256, Identity: p.identity, Modified: p.state.Modified})
	}
	return files, f.target.sync(files)
}

// beat ends stalled requests and reports progress until the returned function is called.
func (f *fetcher) beat(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ticks, stopTicks := f.clock.Tick(heartbeat)
	var running sync.WaitGroup
	running.Go(func() {
		defer stopTicks()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticks:
				f.client.endStalled()
				f.meter.progress()
			}
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}
