package server

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/server/openapi"
)

// notDescribed are paths that are not the API's: the answers to everything else, and pages for people.
var notDescribed = []string{"/", "/v1/", "/{$}", "/assets/"}

// TestRoutesAreDescribed compares what is served with what /openapi.json says, both ways.
func TestRoutesAreDescribed(t *testing.T) {
	f := newFixture(t, says(hello))
	served := map[string][]string{}
	_, laid := f.routes()
	for path, methods := range laid {
		path = strings.Replace(path, "...}", "}", 1)
		if slices.Contains(notDescribed, path) {
			continue
		}
		for _, m := range methods {
			served[path] = append(served[path], strings.ToLower(m))
		}
		slices.Sort(served[path])
	}
	described := maps.Clone(openapi.Operations())
	for path := range described {
		slices.Sort(described[path])
	}
	if diff := cmp.Diff(served, described); diff != "" {
		t.Errorf("the tables are in server/openapi/routes_test.go (-served,+described):\n%s", diff)
	}
}

func TestDescription(t *testing.T) {
	f := newFixture(t, nil)
	got := f.do(t, http.MethodGet, "/openapi.json", "")
	d := decode[struct {
		Openapi string
		Info    struct{ Version string }
	}](t, got.body)
	if got.status != 200 || d.Openapi != "3.1.0" || d.Info.Version != "1.1.0" {
		t.Errorf("status %d: %.200s", got.status, got.body)
	}
}
