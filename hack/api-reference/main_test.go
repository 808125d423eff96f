package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

const root = "../.."

// TestPageIsFresh: docs/api.md is what the types say today.
func TestPageIsFresh(t *testing.T) {
	want, err := reference(root)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("run `make generate` (-types +%s)\n%s", page, diff)
	}
}

// TestEveryField: whatever the API server takes is on the page, conditions' own fields apart.
func TestEveryField(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "config/crd/bases/gptoss.dev_gptossmodels.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema struct{ OpenAPIV3Schema map[string]any }
			}
		}
	}
	if err := yaml.Unmarshal(text, &crd); err != nil {
		t.Fatal(err)
	}
	reference, err := reference(root)
	if err != nil {
		t.Fatal(err)
	}
	fields := 0
	var walk func(path string, schema map[string]any)
	walk = func(path string, schema map[string]any) {
		properties, _ := schema["properties"].(map[string]any)
		for name, below := range properties {
			if path == "" && (name == "apiVersion" || name == "kind") || path == ".status" && name == "conditions" {
				continue
			}
			fields++
			if !strings.Contains(string(reference), "\n| `"+name+"` |") {
				t.Errorf("%s.%s is not on the page", path, name)
			}
			if s, ok := below.(map[string]any); ok {
				walk(path+"."+name, s)
			}
		}
		if items, ok := schema["items"].(map[string]any); ok {
			walk(path+"[]", items)
		}
	}
	walk("", crd.Spec.Versions[0].Schema.OpenAPIV3Schema)
	if fields < 20 {
		t.Errorf("found %d fields in the CRD", fields)
	}
}

// TestRead: what comments, markers and types become.
func TestRead(t *testing.T) {
	folder := t.TempDir()
	source := `package x

// GptOssModel is it.
//
// +kubebuilder:validation:XValidation:rule="true",message="it must \"be\""
type GptOssModel struct {
	// many are numbers by name, of *.any kind | more.
	// +required
	// +kubebuilder:validation:MaxProperties=3
	Many map[string]Level ` + "`json:\"many\"`" + `

	// list is others.
	// +optional
	// +kubebuilder:validation:Pattern=` + "`^(a|b)$`" + `
	List []*GptOssModel ` + "`json:\"list,omitempty\"`" + `
}

// Level is one of two.
type Level string

const (
	Low  Level = "low"
	High Level = "high"
)

// Reasons of all: they differ.
const (
	// ReasonBad: it is bad.
	ReasonBad = "Bad"
)
`
	if err := os.WriteFile(filepath.Join(folder, "x.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := read(folder)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.TrimPrefix(string(a.render(func(reason string) bool { return reason == "Bad" })), head)
	want := `
## GptOssModel

GptOssModel is it.

- it must "be"

| field | type | |
| --- | --- | --- |
| ` + "`many`" + ` | map of string to [Level](#level) | Numbers by name, of \*.any kind \| more. **Required.** *at most 3 entries.* |
| ` + "`list`" + ` | list of [GptOssModel](#gptossmodel) | Others. *of the form ` + "`^(a\\|b)$`" + `.* |

## Level

Level is one of two.

A string, one of ` + "`low`, `high`" + `.

## Conditions and reasons

### Reasons of all

They differ.

| | |
| --- | --- |
| [` + "`Bad`" + `](runbooks/Bad.md) | It is bad. |
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if _, err := read(t.TempDir()); err == nil {
		t.Error("a folder without the kind gives no error")
	}
}
