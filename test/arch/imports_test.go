package arch

import (
	"bytes"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/gptoss/gptoss-operator"

// allowed lists, for each package of the product, the packages of the product
// that it may import. docs/architecture.md draws the same arrows.
var allowed = map[string][]string{
	"api/v1alpha1":        {},
	"cmd/gptoss-operator": {"api/v1alpha1", "controllers", "controllers/metricsapi"},
	"cmd/kubectl-gptoss":  {"plugin"},
	"plugin":              {"api/v1alpha1", "plugin/bundle", "plugin/cluster", "plugin/diagnosis", "plugin/keyfile", "plugin/screen", "plugin/talk"},
	"plugin/bundle":       {}, "plugin/keyfile": {}, "plugin/screen": {}, "plugin/talk": {},
	"plugin/cluster":   {"api/v1alpha1", "plugin/diagnosis"},
	"plugin/diagnosis": {"api/v1alpha1"},
	"cmd/gptoss-server": {
		"engine", "engine/cpu", "engine/demo", "engine/harmony", "engine/kernel", "engine/model", "engine/tokenizer", "engine/tokenizer/o200k",
		"engine/weights", "engine/weights/packed", "engine/weights/placement", "server", "server/bench", "server/cache", "server/heap", "server/inspect", "server/options", "server/pack", "server/pull", "server/structure", "server/synth",
		"server/terminal",
	},
	"controllers": {
		"api/v1alpha1", "controllers/diagnosis", "controllers/metricsapi", "controllers/resources", "controllers/resources/edge", "controllers/resources/monitor",
		"controllers/resources/template", "controllers/scaling", "controllers/weights",
	},
	"controllers/diagnosis":          {"api/v1alpha1", "controllers/resources"},
	"controllers/metricsapi":         {"api/v1alpha1", "controllers/resources"},
	"controllers/resources":          {"api/v1alpha1", "controllers/resources/gpu", "controllers/resources/template", "engine/model", "server/options"},
	"controllers/resources/edge":     {"api/v1alpha1", "controllers/resources"},
	"controllers/resources/gpu":      {"api/v1alpha1"},
	"controllers/resources/monitor":  {"api/v1alpha1", "controllers/resources"},
	"controllers/resources/template": {"api/v1alpha1"},
	"controllers/scaling":            {"api/v1alpha1", "controllers/metricsapi", "controllers/resources"},
	"controllers/weights":            {"api/v1alpha1", "controllers/resources", "server/options"},
	"engine": {
		"engine/cpu", "engine/model", "engine/sample", "engine/sched", "engine/tokenizer", "engine/weights", "engine/weights/packed",
	},
	"engine/cpu":                       {"engine/kernel", "engine/model", "engine/weights", "engine/weights/mapping", "engine/weights/packed"},
	"engine/demo":                      {},
	"engine/grammar":                   {"engine/grammar/regular"},
	"engine/grammar/regular":           {},
	"engine/grammar/schema":            {"engine/grammar", "engine/grammar/regular"},
	"engine/grammar/schema/schematest": {}, // schemas made at random, for tests
	"engine/harmony":                   {"engine/tokenizer"},
	"engine/kernel":                    {},
	"engine/model":                     {},
	"engine/reference":                 {"engine/model", "engine/weights"},
	"engine/sample":                    {},
	"engine/sched":                     {},
	"engine/tokenizer":                 {},
	"engine/tokenizer/o200k":           {"engine/tokenizer"},
	"engine/weights":                   {"engine/model", "engine/weights/gguf", "engine/weights/mapping", "engine/weights/safetensors"},
	"engine/weights/gguf":              {},
	"engine/weights/mapping":           {},
	"engine/weights/packed":            {"engine/weights/mapping", "engine/weights/part"},
	"engine/weights/part":              {},
	"engine/weights/placement":         {"engine/kernel", "engine/weights/mapping"},
	"engine/weights/safetensors":       {},
	"engine/weights/weightstest":       {"engine/model", "engine/weights/gguf"}, // writes checkpoints for tests
	"server": {
		"engine", "engine/harmony", "engine/model", "engine/sample", "engine/tokenizer", "server/access", "server/answer", "server/limit", "server/openai",
		"server/openapi", "server/options", "server/page", "server/prompt", "server/responses", "server/sse", "server/structure", "server/tgi", "server/ticket",
		"server/audit", "server/certificate", "server/cors", "server/drain", "server/metric", "server/sanitize", "server/trace",
	},
	"server/access": {"server/limit", "server/openai", "server/options"}, "server/limit": {},
	"server/audit": {}, "server/certificate": {}, "server/cors": {}, "server/drain": {}, "server/heap": {}, "server/sanitize": {},
	"server/metric": {"engine"}, "server/trace": {"engine"},
	"server/answer":  {"engine", "engine/harmony", "engine/tokenizer", "server/openai", "server/visible"},
	"server/prompt":  {"engine/harmony", "server/openai"},
	"server/sse":     {},
	"server/tgi":     {"engine/tokenizer", "server/answer", "server/openai", "server/visible"},
	"server/ticket":  {},
	"server/visible": {"engine", "engine/harmony", "engine/tokenizer"},
	"server/bench": {
		"engine", "engine/cpu", "engine/kernel", "engine/model", "engine/weights", "engine/weights/mapping", "engine/weights/packed",
		"engine/weights/placement", "server/terminal",
	},
	"server/cache":     {"server/options", "server/pack", "server/pull", "server/terminal"},
	"server/inspect":   {"engine/cpu", "engine/model", "engine/weights", "engine/weights/packed"},
	"server/openai":    {},
	"server/openapi":   {},
	"server/options":   {},
	"server/pack":      {"engine/cpu", "engine/model", "engine/weights", "engine/weights/packed", "server/terminal"},
	"server/page":      {},
	"server/pull":      {"server/terminal"},
	"server/responses": {"server/openai"},
	"server/synth": {
		"engine/cpu", "engine/model", "engine/tokenizer/o200k", "engine/weights", "engine/weights/packed", "engine/weights/part", "server/terminal",
	},
	"server/structure": {"engine/grammar", "engine/grammar/regular", "engine/grammar/schema", "server/openai"},
	"server/terminal":  {},
	"test/arch":        {},
	"test/client":      {},
	"test/conformance": {"test/process"}, // a program; its clients' libraries are in modules of their own
	"test/e2e":         {},
	"test/e2e/standin": {}, // plays vLLM and TGI
	"test/gitops":      {},
	"test/limits":      {},
	"test/manifests":   {},
	"test/process":     {},
	"test/soak":        {"test/process"},
}

// list runs `go list` in the root module and returns its lines.
func list(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...)
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %v: %v\n%s", args, err, stderr.String())
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// TestImports holds every package to the arrows of the design.
func TestImports(t *testing.T) {
	for _, line := range list(t, "-tags", "e2e", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...") {
		fields := strings.Fields(line)
		pkg := strings.TrimPrefix(fields[0], module+"/")
		want, ok := allowed[pkg]
		if !ok && !strings.HasPrefix(pkg, "hack/") {
			t.Errorf("package %s is not in the list of allowed imports; add it with a reason in docs/decisions", pkg)
		}
		for _, imported := range fields[1:] {
			ours, inside := strings.CutPrefix(imported, module+"/")
			if inside && ok && !slices.Contains(want, ours) {
				t.Errorf("%s imports %s, which the design does not allow", pkg, ours)
			}
		}
	}
}

// TestBinariesStayApart keeps inference out of the operator and Kubernetes out of the server.
func TestBinariesStayApart(t *testing.T) {
	for _, dep := range list(t, "-deps", "./cmd/gptoss-server") {
		if strings.HasPrefix(dep, "k8s.io/") || strings.HasPrefix(dep, "sigs.k8s.io/") {
			t.Errorf("gptoss-server depends on %s", dep)
		}
	}
	for _, dep := range list(t, "-deps", "./cmd/gptoss-operator") {
		ours, inside := strings.CutPrefix(dep, module+"/engine")
		if inside && ours != "/model" {
			t.Errorf("gptoss-operator depends on engine%s", ours)
		}
	}
}

// TestStandardLibraryOnly holds the packages that both programs share, and the leaves, to the standard library.
func TestStandardLibraryOnly(t *testing.T) {
	pure := []string{"server/options", "server/openai", "engine/model", "engine/tokenizer", "engine/harmony", "engine/sample", "engine/sched", "engine/demo", "engine/grammar/schema", "server/structure"}
	for _, pkg := range pure {
		for _, dep := range list(t, "-deps", "./"+pkg) {
			first, _, _ := strings.Cut(dep, "/")
			if strings.Contains(first, ".") && !strings.HasPrefix(dep, module) {
				t.Errorf("%s depends on %s, want the standard library only", pkg, dep)
			}
		}
	}
}
