package gitops

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"
	"sigs.k8s.io/yaml"
)

const root = "../.."

// scriptOf reads the script that docs/gitops.md tells to give to Argo CD.
func scriptOf(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "config/argocd/health.lua"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// table converts JSON's values to Lua's, as Argo CD does: nulls are absent, numbers are numbers.
func table(l *lua.LState, v any) lua.LValue {
	switch v := v.(type) {
	case string:
		return lua.LString(v)
	case bool:
		return lua.LBool(v)
	case int64:
		return lua.LNumber(v)
	case float64:
		return lua.LNumber(v)
	case []any:
		list := l.NewTable()
		for _, item := range v {
			list.Append(table(l, item))
		}
		return list
	case map[string]any:
		m := l.NewTable()
		for key, item := range v {
			m.RawSetString(key, table(l, item))
		}
		return m
	}
	return lua.LNil
}

// health runs the script as Argo CD runs it: with the tables and strings of Lua and without its files and programs.
func health(t *testing.T, script string, object map[string]any) (status, message string) {
	t.Helper()
	l := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer l.Close()
	l.SetContext(t.Context())
	for name, open := range map[string]lua.LGFunction{
		lua.LoadLibName: lua.OpenPackage, lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable, lua.StringLibName: lua.OpenString,
	} {
		if err := l.CallByParam(lua.P{Fn: l.NewFunction(open), Protect: true}, lua.LString(name)); err != nil {
			t.Fatal(err)
		}
	}
	l.SetGlobal("obj", table(l, object))
	if err := l.DoString(script); err != nil {
		t.Fatalf("the script fails: %v", err)
	}
	answer, ok := l.Get(-1).(*lua.LTable)
	if !ok {
		t.Fatalf("the script returns %s", l.Get(-1).Type())
	}
	return lua.LVAsString(answer.RawGetString("status")), lua.LVAsString(answer.RawGetString("message"))
}

// TestArgoCDHealth: what Argo CD shows of every phase, and that it repeats the operator's sentence.
func TestArgoCDHealth(t *testing.T) {
	script := scriptOf(t)
	for name, p := range phases(t) {
		t.Run(name, func(t *testing.T) {
			status, message := health(t, script, p.object)
			if status != p.argo {
				t.Errorf("health is %s (%s), want %s", status, message, p.argo)
			}
			if !strings.Contains(message, p.says) || message == "" {
				t.Errorf("message is %q, want the words %q in it", message, p.says)
			}
		})
	}
}

// TestArgoCDPatch: the patch that a user applies holds the script that is tested.
func TestArgoCDPatch(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "config/argocd/argocd-cm-patch.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var patch struct{ Data map[string]string }
	if err := yaml.UnmarshalStrict(text, &patch); err != nil {
		t.Fatal(err)
	}
	if got := patch.Data["resource.customizations.health.gptoss.dev_GptOssModel"]; got != scriptOf(t) {
		t.Errorf("argocd-cm-patch.yaml holds another script than health.lua:\n%s", got)
	}
}

// copyOf makes a map as JSON would, so that no test sees another's changes.
func copyOf(t *testing.T, v any) map[string]any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := yaml.Unmarshal(text, &out); err != nil {
		t.Fatal(fmt.Errorf("%w in %s", err, text))
	}
	return out
}
