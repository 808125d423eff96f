package controllers

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

func parseYAML(t *testing.T, text string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := yaml.Unmarshal([]byte(text), &m); err != nil {
		t.Fatal(err)
	}
	return integers(m).(map[string]any)
}

// integers turns YAML's numbers into what objects read from a cluster hold.
func integers(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for k := range v {
			v[k] = integers(v[k])
		}
	case []any:
		for i := range v {
			v[i] = integers(v[i])
		}
	case float64:
		return int64(v)
	}
	return value
}

func TestInSync(t *testing.T) {
	const (
		desired = `{kind: X, metadata: {name: a, labels: {l: "1"}}, spec: {count: 3, ports: [{name: p, port: 80}], args: [a, b], dir: {}}}`
		fields  = `{"f:metadata": {"f:labels": {".": {}, "f:l": {}}}, "f:spec": {"f:count": {}, "f:args": {}, "f:dir": {},
			"f:ports": {".": {}, "k:{\"port\":80}": {".": {}, "f:name": {}, "f:port": {}}}}}`
		live = `{metadata: {name: a, uid: u, labels: {l: "1", theirs: "2"}},
			spec: {count: 3, ports: [{name: p, port: 80, protocol: TCP}], args: [a, b], dir: {mode: 1}, defaulted: yes}}`
	)
	for name, tc := range map[string]struct {
		desired, live, fields string
		want                  bool
	}{
		"what was applied, with defaults and labels of others": {desired, live, fields, true},
		"never applied": {desired, live, `null`, false},
		"a value changed, and with it its owner": {
			desired,
			`{metadata: {labels: {l: "1"}}, spec: {count: 4, ports: [{name: p, port: 80}], args: [a, b], dir: {}}}`,
			`{"f:metadata": {"f:labels": {"f:l": {}}}, "f:spec": {"f:args": {}, "f:dir": {}, "f:ports": {"k:{\"port\":80}": {"f:name": {}, "f:port": {}}}}}`, false,
		},
		"a value that differs although we own it": {
			desired, `{metadata: {labels: {l: "1"}}, spec: {count: 4, ports: [{name: p, port: 80}], args: [a, b], dir: {}}}`, fields, false,
		},
		"a whole list in another order": {
			desired, `{metadata: {labels: {l: "1"}}, spec: {count: 3, ports: [{name: p, port: 80}], args: [b, a], dir: {}}}`, fields, false,
		},
		"an item of ours removed": {
			desired, `{metadata: {labels: {l: "1"}}, spec: {count: 3, ports: [], args: [a, b], dir: {}}}`, fields, false,
		},
		"an item of others added to a list of ours": {
			desired, `{metadata: {labels: {l: "1"}}, spec: {count: 3, ports: [{name: p, port: 80}, {name: q, port: 81}], args: [a, b], dir: {}}}`, fields, false,
		},
		"a field that we no longer want": {
			`{spec: {count: 3}}`, `{spec: {count: 3, m: 4}}`, `{"f:spec": {"f:count": {}, "f:m": {}}}`, false,
		},
		"an item that we no longer want": {
			`{spec: {ports: [{name: p, port: 80}]}}`, `{spec: {ports: [{name: p, port: 80}]}}`,
			`{"f:spec": {"f:ports": {"k:{\"port\":80}": {"f:name": {}, "f:port": {}}, "k:{\"port\":81}": {"f:port": {}}}}}`, false,
		},
		"a struct of which nothing is set, gone": {
			desired, `{metadata: {labels: {l: "1"}}, spec: {count: 3, ports: [{name: p, port: 80}], args: [a, b]}}`, fields, false,
		},
		"several owners, ours among them": {
			`{metadata: {ownerReferences: [{uid: u, kind: X}]}}`, `{metadata: {ownerReferences: [{uid: v, kind: Y}, {uid: u, kind: X}]}}`,
			`{"f:metadata": {"f:ownerReferences": {".": {}, "k:{\"uid\":\"u\"}": {}}}}`, true,
		},
		"an item of a whole list, completed by the server": {`{l: [{a: 1, m: {}}]}`, `{l: [{a: 1, m: {x: 3}, b: 2}]}`, `{"f:l": {}}`, true},
		"an item of a whole list that lacks something":     {`{l: [{a: 1, b: 2}]}`, `{l: [{a: 1}]}`, `{"f:l": {}}`, false},
		"a set of scalars": {`{s: [a]}`, `{s: [a]}`, `{"f:s": {"v:\"a\"": {}}}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			got := inSync(parseYAML(t, tc.desired), parseYAML(t, tc.live), parseYAML(t, tc.fields))
			if got != tc.want {
				t.Errorf("in sync: %t, want %t", got, tc.want)
			}
		})
	}
}

func TestOwned(t *testing.T) {
	entry := func(manager string, operation metav1.ManagedFieldsOperationType, subresource, fields string) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{Manager: manager, Operation: operation, Subresource: subresource, FieldsV1: metav1.NewFieldsV1(fields)}
	}
	const replicas = `{"f:spec":{"f:replicas":{}}}`
	for name, tc := range map[string]struct {
		entry metav1.ManagedFieldsEntry
		want  bool
	}{
		"applied by us":          {entry("me", metav1.ManagedFieldsOperationApply, "", replicas), true},
		"applied by another":     {entry("you", metav1.ManagedFieldsOperationApply, "", replicas), false},
		"updated by us":          {entry("me", metav1.ManagedFieldsOperationUpdate, "", replicas), false},
		"of a subresource":       {entry("me", metav1.ManagedFieldsOperationApply, "status", replicas), false},
		"another field of ours":  {entry("me", metav1.ManagedFieldsOperationApply, "", `{"f:spec":{"f:paused":{}}}`), false},
		"unreadable":             {entry("me", metav1.ManagedFieldsOperationApply, "", `{`), false},
		"no record of any field": {metav1.ManagedFieldsEntry{Manager: "me", Operation: metav1.ManagedFieldsOperationApply}, false},
	} {
		t.Run(name, func(t *testing.T) {
			meta := &metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{tc.entry}}
			if got := owns(meta, "me", "spec", "replicas"); got != tc.want {
				t.Errorf("owns replicas: %t, want %t", got, tc.want)
			}
		})
	}
}

func TestOverlay(t *testing.T) {
	live := parseYAML(t, `{metadata: {labels: {theirs: "1"}, ownerReferences: [{uid: v}, {uid: u}]}, spec: {ports: [{port: 1}, {port: 2}], kept: 5, count: 1}}`)
	desired := parseYAML(t, `{metadata: {labels: {l: "1"}, ownerReferences: [{uid: u}]}, spec: {ports: [{port: 2}], count: 2}}`)
	want := parseYAML(t, `{metadata: {labels: {theirs: "1", l: "1"}, ownerReferences: [{uid: v}, {uid: u}]}, spec: {ports: [{port: 2}], kept: 5, count: 2}}`)
	if diff := cmp.Diff(want, overlay(desired, live)); diff != "" {
		t.Errorf("overlay (-want +got):\n%s", diff)
	}
}
