package pull

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// ManifestName is the file that a complete download leaves in the target folder.
	ManifestName = ".gptoss-pull.json"
	lockName     = ".gptoss-pull.lock"
	partSuffix   = ".gptoss-part"
	stateSuffix  = ".gptoss-state"
	newSuffix    = ".gptoss-new" // a small file until it is renamed

	maxManifest  = 64 << 20
	maxName      = 1024 // bytes of a path; PATH_MAX of the target needs room before it
	maxComponent = 230  // NAME_MAX is 255 on common systems, and two suffixes need room
)

// manifest is written when all files of a request are in place.
type manifest struct {
	Version  int        `json:"version"`
	Source   string     `json:"source"`
	Revision string     `json:"revision,omitempty"`
	Commit   string     `json:"commit,omitempty"`
	Requests []request  `json:"requests"`
	Files    []fileInfo `json:"files"`
}

// request is a selection that is complete.
type request struct {
	Include []string `json:"include,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
}

func (r request) equal(o request) bool {
	return slices.Equal(r.Include, o.Include) && slices.Equal(r.Exclude, o.Exclude)
}

// fileInfo is one verified file. Size and Modified tell later whether it was touched, without reading it again.
type fileInfo struct {
	Path     string `json:"path"`
	Size     int64  `json:"size"`
	SHA256   string `json:"sha256"`
	Identity string `json:"identity,omitempty"`
	Modified int64  `json:"modified"` // unix nanoseconds
}

// decodeManifest reads a manifest, which anyone may have written.
func decodeManifest(data []byte) (manifest, error) {
	var m manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("%s: %w", ManifestName, err)
	}
	if m.Version != 1 {
		return m, fmt.Errorf("%s: version %d, want 1", ManifestName, m.Version)
	}
	seen := map[string]bool{}
	for _, f := range m.Files {
		if err := checkName(f.Path); err != nil {
			return m, fmt.Errorf("%s: %w", ManifestName, err)
		}
		if seen[f.Path] || f.Size < 0 || !isHex(f.SHA256, 64) {
			return m, fmt.Errorf("%s: %q is listed twice, or without size and SHA-256", ManifestName, f.Path)
		}
		seen[f.Path] = true
	}
	return m, nil
}

// put adds files, or replaces what was said of them.
func (m *manifest) put(files []fileInfo) {
	all := map[string]fileInfo{}
	for _, f := range append(m.Files, files...) {
		all[f.Path] = f
	}
	m.Files = slices.SortedFunc(maps.Values(all), func(a, b fileInfo) int { return strings.Compare(a.Path, b.Path) })
}

// target is the folder that is written to, and nothing outside of it.
type target struct {
	dir  string
	root *os.Root
	lock *os.File
}

// openTarget makes the folder where needed and takes it for this process.
func openTarget(dir string) (*target, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("--to: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("--to: %w", err)
	}
	t := &target{dir: dir, root: root}
	for tries := 1; t.lock == nil; tries++ {
		f, err := t.open(lockName, os.O_CREATE|os.O_RDWR)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("cannot write to %s: %w", dir, err), root.Close())
		}
		if !lockFile(f) {
			return nil, errors.Join(fmt.Errorf("another pull is writing to %s", dir), f.Close(), root.Close())
		}
		// Who held the lock before removed the file: then ours has no name any more, and others would not see it.
		if ours, err := f.Stat(); err == nil {
			// Some network mounts give a file a new number each time; there the lock is taken on trust.
			if now, err := root.Lstat(lockName); err == nil && os.SameFile(ours, now) || tries == 10 {
				t.lock = f
				continue
			}
		}
		_ = f.Close()
	}
	return t, nil
}

func (t *target) close() error {
	return errors.Join(t.root.Remove(lockName), t.lock.Close(), t.root.Close())
}

// check refuses names that lead through links or onto anything but a regular file.
func (t *target) check(name string) error {
	for i := 0; ; {
		next := strings.IndexByte(name[i:], '/')
		part := name
		if next >= 0 {
			part = name[:i+next]
		}
		info, err := t.root.Lstat(part)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", part, err)
		case next >= 0 && !info.IsDir():
			return fmt.Errorf("%s in %s is no folder; it is left alone", part, t.dir)
		case next < 0 && !info.Mode().IsRegular():
			return fmt.Errorf("%s in %s is no regular file; it is left alone", part, t.dir)
		case next < 0:
			return nil
		}
		i += next + 1
	}
}

func (t *target) open(name string, flags int) (*os.File, error) {
	if err := t.check(name); err != nil {
		return nil, err
	}
	if flags&os.O_CREATE != 0 {
		if err := t.root.MkdirAll(path.Dir(name), 0o755); err != nil {
			return nil, err
		}
	}
	return t.root.OpenFile(name, flags, 0o644)
}

// read returns a small file in full, nil where there is none.
func (t *target) read(name string, limit int64) ([]byte, error) {
	f, err := t.open(name, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s: has more than %d bytes", name, limit)
	}
	return data, err
}

// replace writes a small file so that it is there in full or not at all.
func (t *target) replace(name string, data []byte) error {
	f, err := t.open(name+newSuffix, os.O_CREATE|os.O_TRUNC|os.O_WRONLY)
	if err != nil {
		return diskFailure(name, err)
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return diskFailure(name, err)
	}
	if err := t.root.Rename(name+newSuffix, name); err != nil {
		return diskFailure(name, err)
	}
	return nil
}

// remove takes a file away, if it is there.
func (t *target) remove(name string) error {
	if err := t.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// sync makes the renames in the folders of these files last.
func (t *target) sync(files []fileInfo) error {
	done := map[string]bool{}
	for _, f := range files {
		dir := path.Dir(f.Path)
		for !done[dir] {
			done[dir] = true
			d, err := t.root.Open(dir)
			if err != nil {
				return err
			}
			if err := errors.Join(syncDir(d), d.Close()); err != nil {
				return diskFailure(dir, err)
			}
			dir = path.Dir(dir)
		}
	}
	return nil
}

// manifest reads the manifest; a missing or broken one is an empty one.
func (t *target) manifest() (manifest, error) {
	data, err := t.read(ManifestName, maxManifest)
	if err != nil || data == nil {
		return manifest{}, err
	}
	return decodeManifest(data)
}

// untouched reports whether the file is as it was when it was verified.
func (t *target) untouched(f fileInfo) bool {
	info, err := t.root.Lstat(f.Path)
	return err == nil && info.Mode().IsRegular() && info.Size() == f.Size && info.ModTime().UnixNano() == f.Modified
}

// reserved are the device names of Windows, taken whatever the extension.
var reserved = []string{"con", "prn", "aux", "nul", "conin$", "conout$", "clock$"}

// checkName holds a path from outside to what is safe on every system: relative, inside, printable, no device, and
// none of our own files.
func checkName(name string) error {
	fail := func(why string) error { return fmt.Errorf("file name %.200q %s", name, why) }
	if name == "" || len(name) > maxName || !utf8.ValidString(name) {
		return fail(fmt.Sprintf("must be 1 to %d bytes of UTF-8", maxName))
	}
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || strings.ContainsRune(`\:*?"<>|`, r) }) {
		return fail(`must not hold control characters or any of \:*?"<>|`)
	}
	for part := range strings.SplitSeq(name, "/") {
		stem, _, _ := strings.Cut(strings.ToLower(part), ".")
		stem = strings.TrimRight(stem, " ")
		port := len(stem) == 4 && (stem[:3] == "com" || stem[:3] == "lpt") && stem[3] >= '0' && stem[3] <= '9'
		switch {
		case part == "" || part == "." || part == "..":
			return fail("must be relative and must not leave the folder")
		case len(part) > maxComponent:
			return fail(fmt.Sprintf("must not have more than %d bytes between slashes", maxComponent))
		case strings.HasSuffix(part, ".") || strings.HasSuffix(part, " "):
			return fail("must not end in a dot or a space")
		case port || slices.Contains(reserved, stem):
			return fail("is the name of a device")
		}
	}
	if base := strings.ToLower(path.Base(name)); strings.HasPrefix(base, ".gptoss-pull.") || strings.Contains(base, ".gptoss-") {
		return fail("is reserved for the download itself")
	}
	return nil
}
