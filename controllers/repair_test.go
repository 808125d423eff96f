package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/resources"
)

// everySpec turns on, by one spec or the other, every child that a model can have, with as many fields of it as
// possible. The children are found by their label: whoever adds one needs only to add the setting that makes it, and is
// told so by the last assertion of the test.
var everySpec = []string{
	`{model: {name: openai/gpt-oss-20b, source: {demo: {}}}, replicas: 2,
		engine: {contextLength: 512}, generation: {maxTokens: 64, temperature: 0.5},
		resources: {requests: {cpu: 200m}, limits: {memory: 1Gi}},
		monitoring: {serviceMonitor: {interval: 15s, labels: {release: prom}}, prometheusRule: {alertLabels: {team: llm}, disabled: [GptOssPodDown, GptOssCrashLooping, GptOssDegraded, GptOssSlowFirstToken, GptOssQueueLong, GptOssPanics, GptOssAuditRecordsLost]}, dashboard: {annotations: {grafana_folder: LLM}}},
		expose: {
			service: {type: LoadBalancer, port: 80, loadBalancerSourceRanges: [10.0.0.0/8], annotations: {a: b}},
			ingress: {className: nginx, host: chat.example.com, tls: {secretName: tls}, annotations: {a: b}},
			httpRoute: {parentRefs: [{name: web, namespace: gateways, sectionName: https, port: 443}], hostnames: [chat.example.com], timeouts: {request: 1h}},
			inferencePool: {endpointPicker: {name: picker}}},
		disruption: {minAvailable: 1},
		networkPolicy: {from: [{namespaceSelector: {a: b}, podSelector: {c: d}}, {ipBlock: 192.0.2.0/24}], egress: [{podSelector: {app: redis}, ports: [6379]}]}}`,
	`{model: {source: {persistentVolumeClaim: {claimName: weights, path: gpt-oss-20b}}}, auth: {apiKeys: {secretRef: {name: team}}},
		autoscaling: {minReplicas: 2, maxReplicas: 4, targetActiveRequests: 3, behavior: {
			scaleUp: {stabilizationWindowSeconds: 0, selectPolicy: Max, policies: [{type: Pods, value: 2, periodSeconds: 30}]}}}}`,
}

const (
	repairTimeout = 10 * time.Minute
	repairPolling = 10 * time.Millisecond
)

// notMade are kinds that the operator may write and that no spec above makes. Downloads have tests of their own: a Job can
// hardly be changed, and the claim outlives its model.
var notMade = []string{"scaledobjects", "jobs", "persistentvolumeclaims"}

var _ = Describe("every child", Serial, func() {
	It("is repaired after any change of any field of ours, and after its deletion", func(ctx SpecContext) {
		DeferCleanup(installOptional())
		made := map[string]bool{}
		var models []*v1alpha1.GptOssModel
		var work sync.WaitGroup
		for _, spec := range everySpec {
			m := newModel(newNamespace(ctx), spec)
			models = append(models, m)
			Expect(k8s.Create(ctx, newTeamSecret(m.Namespace))).To(Succeed())
			Expect(k8s.Create(ctx, newClaim(m.Namespace, "weights"))).To(Succeed())
			Expect(k8s.Create(ctx, m)).To(Succeed())
			Eventually(func() []string { return writes.in(m.Namespace) }).ShouldNot(BeEmpty())
			eventuallyCalm(m)
			for resource, child := range children(ctx, m) {
				if made[resource] && resource != "deployments" { // a Deployment without replicas is another one
					continue
				}
				made[resource] = true
				work.Go(func() {
					defer GinkgoRecover()
					repairs(ctx, m, child)
				})
			}
		}
		work.Wait()
		for _, m := range models {
			eventuallyCalm(m)
			Expect(k8s.Delete(ctx, m)).To(Succeed())
		}
		for _, resource := range writable() {
			Expect(made[resource] || slices.Contains(notMade, resource)).To(BeTrue(), "everySpec makes none of the %s that the operator may write", resource)
		}
	}, SpecTimeout(repairTimeout))
})

func newTeamSecret(namespace string) client.Object {
	u := newObject(schema.GroupVersionKind{Version: "v1", Kind: "Secret"})
	u.SetNamespace(namespace)
	u.SetName("team")
	u.Object["stringData"] = map[string]any{"api-key": "sk-a"}
	return u
}

// children finds all objects that the model controls, of whatever kind, by the plural of their kind.
func children(ctx context.Context, m *v1alpha1.GptOssModel) map[string]*unstructured.Unstructured {
	GinkgoHelper()
	out := map[string]*unstructured.Unstructured{}
	for resource, kind := range namespaced() {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind)
		err := k8s.List(ctx, list, client.InNamespace(m.Namespace), client.MatchingLabels{resources.LabelManagedBy: resources.ManagedBy})
		Expect(err).NotTo(HaveOccurred())
		for i := range list.Items {
			if metav1.IsControlledBy(&list.Items[i], m) {
				out[resource] = &list.Items[i]
			}
		}
	}
	return out
}

// namespaced asks the API server for all kinds that live in namespaces and can be listed.
func namespaced() map[string]schema.GroupVersionKind {
	GinkgoHelper()
	asker, err := discovery.NewDiscoveryClientForConfig(testEnv.Config)
	Expect(err).NotTo(HaveOccurred())
	lists, err := asker.ServerPreferredNamespacedResources()
	if !discovery.IsGroupDiscoveryFailedError(err) { // the metrics API is registered here, and nobody serves it
		Expect(err).NotTo(HaveOccurred())
	}
	out := map[string]schema.GroupVersionKind{}
	for _, list := range discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list", "patch"}}, lists) {
		group, err := schema.ParseGroupVersion(list.GroupVersion)
		Expect(err).NotTo(HaveOccurred())
		for _, r := range list.APIResources {
			out[r.Name] = group.WithKind(r.Kind)
		}
	}
	return out
}

// writable lists the resources of namespaces that the operator's role lets it make and repair.
func writable() []string {
	GinkgoHelper()
	text, err := os.ReadFile(filepath.Join("..", "config", "rbac", "role.yaml"))
	Expect(err).NotTo(HaveOccurred())
	role := &rbacv1.ClusterRole{}
	Expect(yaml.UnmarshalStrict(text, role)).To(Succeed())
	known := namespaced()
	var out []string
	for _, rule := range role.Rules {
		if slices.Contains(rule.Verbs, "create") && slices.Contains(rule.Verbs, "watch") {
			for _, resource := range rule.Resources {
				if _, ok := known[resource]; ok {
					out = append(out, resource)
				}
			}
		}
	}
	Expect(out).NotTo(BeEmpty())
	return out
}

// repairs changes and removes every field of the child that the operator has applied, one at a time, and deletes the
// child, each time waiting until all is as it was.
func repairs(ctx context.Context, m *v1alpha1.GptOssModel, child *unstructured.Unstructured) {
	want := essence(child)
	var untouchable []string
	done := 0
	for _, path := range leaves(child.Object, owned(child, FieldManager)) {
		if path.exempt(m, child) {
			continue
		}
		for _, attempts := range [][]any{others(path.in(child.Object)), {removed{}}} {
			if change(ctx, child, want, path, attempts) {
				done++
				eventuallyLike(ctx, child, want, path.String())
			} else {
				untouchable = append(untouchable, path.String())
			}
		}
	}
	Expect(done).To(BeNumerically(">", 8), "%s has hardly any field that can be changed", child.GetKind())
	uid := child.GetUID()
	Expect(k8s.Delete(ctx, child.DeepCopy())).To(Succeed())
	eventuallyLike(ctx, child, want, "deletion")
	Expect(read(ctx, child).GetUID()).NotTo(Equal(uid))
	AddReportEntry(fmt.Sprintf("%s: %d changes repaired; the API server refuses others of %v", child.GetKind(), done, untouchable), ReportEntryVisibilityFailureOrVerbose)
}

// change makes the first of the attempts that the API server takes; false when it refuses all of them.
func change(ctx context.Context, child *unstructured.Unstructured, want string, path path, attempts []any) bool {
	for _, value := range attempts {
		for {
			eventuallyLike(ctx, child, want, "the change before")
			live := read(ctx, child)
			path.set(live.Object, value)
			err := k8s.Update(ctx, live, client.FieldOwner("somebody-else"))
			if err == nil {
				return true
			}
			if !apierrors.IsConflict(err) {
				break
			}
		}
	}
	return false
}

func read(ctx context.Context, child *unstructured.Unstructured) *unstructured.Unstructured {
	live := newObject(child.GroupVersionKind())
	if err := k8s.Get(ctx, client.ObjectKeyFromObject(child), live); err != nil {
		live.Object["status"] = err.Error()
	}
	return live
}

func eventuallyLike(ctx context.Context, child *unstructured.Unstructured, want, after string) {
	Eventually(func() string { return essence(read(ctx, child)) }).WithPolling(repairPolling).Should(Equal(want), "%s after %s", child.GetKind(), after)
}

// essence is what of an object the operator decides, and who set it.
func essence(u *unstructured.Unstructured) string {
	content := runtime.DeepCopyJSON(u.Object)
	delete(content, "status")
	if meta, ok := content["metadata"].(map[string]any); ok {
		for _, name := range []string{"creationTimestamp", "generation", "managedFields", "resourceVersion", "uid"} {
			delete(meta, name)
		}
	}
	if u.GetKind() == "Secret" {
		delete(content, "data") // a key that was changed by hand is the user's
	}
	if u.GetKind() == "Service" {
		drawn(content["spec"])
	}
	text, err := json.Marshal([]any{content, owned(u, FieldManager)})
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// drawn takes from a Service's spec what the API server draws from a pool, each time anew.
func drawn(spec any) {
	fields, _ := spec.(map[string]any)
	for _, name := range []string{"clusterIP", "clusterIPs", "healthCheckNodePort"} {
		delete(fields, name)
	}
	ports, _ := fields["ports"].([]any)
	for _, port := range ports {
		delete(port.(map[string]any), "nodePort")
	}
}

// removed stands for no value.
type removed struct{}

// others are values beside the given one, of which at least one is valid wherever the field can be changed at all.
func others(value any) []any {
	switch v := value.(type) {
	case bool:
		return []any{!v}
	case int64:
		return []any{v + 1, v - 1}
	case string:
		out := []any{v + "x"}
		for _, s := range []string{
			"other", "7", "7Gi", "30s", "/x", "NodePort", "UDP", "Exact", "Unconfined", "FailClose", "Min", "Percent", "File", "OnDelete",
			"IfHealthyBudget", "192.0.2.0/25", "10.0.0.0/9", "50%",
		} {
			if s != v {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}

// path leads to a field: names of fields, and places in lists.
type path []any

func (p path) String() string {
	var b strings.Builder
	for _, step := range p {
		fmt.Fprintf(&b, "/%v", step)
	}
	return b.String()
}

// exempt names what the operator leaves as it finds it: an object without our owner is somebody else's, a key that was
// changed by hand stays, and an autoscaler's model takes the number of pods from whoever writes it.
func (p path) exempt(m *v1alpha1.GptOssModel, child *unstructured.Unstructured) bool {
	return (p[0] == "metadata" && p[1] == "ownerReferences") ||
		(child.GetKind() == "Secret" && p[0] == "data") ||
		(child.GetKind() == "Deployment" && p[1] == "replicas" && m.Spec.Autoscaling != nil)
}

// in returns the value at the path.
func (p path) in(value any) any {
	for _, step := range p {
		switch at := step.(type) {
		case string:
			value = value.(map[string]any)[at]
		case int:
			value = value.([]any)[at]
		}
	}
	return value
}

// set puts a value at the path, or takes away what is there.
func (p path) set(root, value any) {
	last := len(p) - 1
	switch at := p[last].(type) {
	case string:
		if parent := p[:last].in(root).(map[string]any); value == (removed{}) {
			delete(parent, at)
		} else {
			parent[at] = value
		}
	case int:
		list := p[:last].in(root).([]any)
		if value == (removed{}) {
			p[:last].set(root, slices.Delete(slices.Clone(list), at, at+1))
		} else {
			list[at] = value
		}
	}
}

// leaves lists the paths of all fields that fields, in the form of FieldsV1, says were applied. Lists and maps that the
// API treats as a whole have no fields of their own there: everything in them was.
func leaves(value any, fields map[string]any) []path {
	var out []path
	add := func(step, value any, fields map[string]any) {
		below := leaves(value, fields)
		if below == nil {
			below = []path{{}}
		}
		for _, p := range below {
			out = append(out, append(path{step}, p...))
		}
	}
	switch v := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			sub, ours := fields["f:"+name].(map[string]any)
			if ours || len(fields) == 0 {
				add(name, v[name], sub)
			}
		}
	case []any:
		for i, item := range v {
			if sub, ours := keyed(v, item, fields); ours || len(fields) == 0 {
				add(i, item, sub)
			}
		}
	}
	return out
}

// keyed returns what fields says of one item of a list.
func keyed(list []any, item any, fields map[string]any) (sub map[string]any, ours bool) {
	for field, below := range fields {
		var key map[string]any
		text, isKey := strings.CutPrefix(field, "k:")
		if !isKey || json.Unmarshal([]byte(text), &key) != nil {
			continue
		}
		if found := find(list, key); found != nil && fmt.Sprint(found) == fmt.Sprint(item) {
			sub, _ = below.(map[string]any)
			return sub, true
		}
	}
	return nil, false
}
