package build

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
)

// Key is a hash of all that decides what the build gives: the module's files,
// the Go version and the flags.
func Key(module fs.FS, goVersion string, flags []string) (string, error) {
	h := sha256.New()
	// Lengths keep two different lists from hashing the same bytes.
	add := func(s string) { _, _ = fmt.Fprintf(h, "%d:%s\n", len(s), s) }
	add(goVersion)
	for _, f := range flags {
		add(f)
	}
	names, err := sources(module)
	if err != nil {
		return "", fmt.Errorf("build: key: %w", err)
	}
	for _, name := range names {
		data, err := fs.ReadFile(module, name)
		if err != nil {
			return "", fmt.Errorf("build: key: %w", err)
		}
		add(name)
		add(string(data))
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8]), nil
}
