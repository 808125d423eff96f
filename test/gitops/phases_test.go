package gitops

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
)

// phase is an object with a status, and what is to be made of it.
type phase struct {
	object map[string]any
	argo   string
	flux   status.Status
	says   string
}

// families are the three kinds of reasons that the API has for Ready, by the words with which their constants begin.
var families = map[string]struct {
	ready string
	extra string
	argo  string
	flux  status.Status
}{
	"Reasons of Ready=True":  {ready: "True", argo: "Healthy", flux: status.CurrentStatus},
	"Reasons of Reconciling": {ready: "False", extra: "Reconciling", argo: "Progressing", flux: status.InProgressStatus},
	"Reasons of Stalled":     {ready: "False", extra: "Stalled", argo: "Degraded", flux: status.FailedStatus},
}

// reasons reads the constants of the API: every reason by its family.
func reasons(t *testing.T) map[string][]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "api/v1alpha1/*.go"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			decl, ok := d.(*ast.GenDecl)
			if !ok || decl.Tok != token.CONST {
				continue
			}
			for family := range families {
				if strings.HasPrefix(decl.Doc.Text(), family) {
					found[family] = append(found[family], values(t, decl)...)
				}
			}
		}
	}
	return found
}

func values(t *testing.T, decl *ast.GenDecl) []string {
	t.Helper()
	var out []string
	for _, spec := range decl.Specs {
		for _, v := range spec.(*ast.ValueSpec).Values {
			literal, ok := v.(*ast.BasicLit)
			if !ok {
				continue
			}
			text, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, text)
		}
	}
	return out
}

// phases are objects in every phase: one for each reason that Ready can have, and those in which Ready does not tell.
func phases(t *testing.T) map[string]phase {
	t.Helper()
	out := edges(t)
	for family, names := range reasons(t) {
		f := families[family]
		for _, reason := range names {
			out[reason] = phase{object: model(t, f.ready, reason, f.extra), argo: f.argo, flux: f.flux, says: reason + ": why"}
		}
	}
	if len(out) < 20 {
		t.Fatalf("found %d phases, want one for each reason", len(out))
	}
	return out
}

// model is an object of generation 3 whose status speaks of it.
func model(t *testing.T, ready, reason, extra string) map[string]any {
	t.Helper()
	condition := func(kind, state string) map[string]any {
		return map[string]any{
			"type": kind, "status": state, "reason": reason, "message": "why", "observedGeneration": 3, "lastTransitionTime": "2026-01-01T00:00:00Z",
		}
	}
	conditions := []any{condition("Ready", ready), condition("WorkloadAvailable", "True"), condition("AutoscalingActive", "False")}
	if extra != "" {
		conditions = append(conditions, condition(extra, "True"))
	}
	return copyOf(t, map[string]any{
		"apiVersion": "gptoss.dev/v1alpha1", "kind": "GptOssModel",
		"metadata": map[string]any{"name": "chat", "namespace": "team", "generation": 3},
		"spec":     map[string]any{"model": map[string]any{"source": map[string]any{"demo": map[string]any{}}}},
		"status":   map[string]any{"observedGeneration": 3, "conditions": conditions},
	})
}

// edges are the phases in which the status is older than the object, or not there.
func edges(t *testing.T) map[string]phase {
	t.Helper()
	change := func(ready, extra string, edit func(metadata, state map[string]any)) map[string]any {
		o := model(t, ready, "Any", extra)
		edit(o["metadata"].(map[string]any), o["status"].(map[string]any))
		return o
	}
	waiting := func(object map[string]any) phase {
		return phase{object: object, argo: "Progressing", flux: status.InProgressStatus, says: "Waiting"}
	}
	return map[string]phase{
		"as the API server stores a new object": waiting(change("True", "", func(_, state map[string]any) {
			delete(state, "conditions")
			state["observedGeneration"] = float64(-1)
		})),
		"ready of an older generation": waiting(change("True", "", func(metadata, _ map[string]any) { metadata["generation"] = float64(4) })),
		"stalled of an older generation, mended since": waiting(change("False", "Stalled", func(metadata, _ map[string]any) {
			metadata["generation"] = float64(4)
		})),
		"deleted while ready": {
			object: change("True", "", func(metadata, _ map[string]any) { metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z" }),
			argo:   "Progressing", flux: status.TerminatingStatus, says: "deleted",
		},
	}
}
