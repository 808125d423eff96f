package gitops

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	kyaml "k8s.io/apimachinery/pkg/util/yaml"
)

// TestPage: the YAML of docs/gitops.md is YAML, and the folders and files that it names are there.
func TestPage(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs/gitops.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	kinds := map[any]int{}
	for _, block := range blocks {
		stream := kyaml.NewYAMLOrJSONDecoder(strings.NewReader(block[1]), 4096)
		for {
			var o map[string]any
			err := stream.Decode(&o)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%v in\n%s", err, block[1])
			}
			kinds[o["kind"]]++
		}
	}
	if kinds["Kustomization"] != 2 || kinds["Application"] != 1 {
		t.Errorf("the page shows %v", kinds)
	}
	paths := regexp.MustCompile(`(?:config|charts)/[A-Za-z0-9./-]*[A-Za-z0-9]`).FindAllString(string(text), -1)
	if len(paths) < 4 {
		t.Errorf("found the paths %v", paths)
	}
	for _, path := range paths {
		if _, err := os.Stat(filepath.Join(root, path)); err != nil {
			t.Errorf("the page names %s: %v", path, err)
		}
	}
}
