// Command api-reference writes docs/api.md: every field of the GptOssModel, read from the Go types and their comments, and
// every condition with its reasons.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

const (
	typesFolder = "api/v1alpha1"
	page        = "docs/api.md"
	kind        = "GptOssModel"
)

func main() {
	if err := write("."); err != nil {
		fmt.Fprintln(os.Stderr, "api-reference:", err)
		os.Exit(1)
	}
}

// write renews the page of a repository.
func write(root string) error {
	text, err := reference(root)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, page), text, 0o644) //nolint:gosec // documentation, for everybody to read
}

// reference is the page's text.
func reference(root string) ([]byte, error) {
	api, err := read(filepath.Join(root, typesFolder))
	if err != nil {
		return nil, err
	}
	runbook := func(reason string) bool {
		_, err := os.Stat(filepath.Join(root, "docs", "runbooks", reason+".md"))
		return err == nil
	}
	return api.render(runbook), nil
}
