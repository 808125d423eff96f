package manifests

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// everything renders the chart with every option that adds something.
func everything(t *testing.T) map[string]object {
	t.Helper()
	var set []string
	for _, name := range []string{"network-policy", "prometheus"} {
		set = append(set, settings[name]...)
	}
	return chart(t, set...)
}

// templates returns the pod templates of rendered objects by the objects' keys.
func templates(objects map[string]object) map[string]object {
	out := map[string]object{}
	for key, o := range objects {
		if pod, ok := nested(o, "spec", "template", "spec").(object); ok {
			out[key] = pod
		}
	}
	return out
}

func list(v any) []object {
	items, _ := v.([]any)
	out := make([]object, 0, len(items))
	for _, item := range items {
		if o, ok := item.(object); ok {
			out = append(out, o)
		}
	}
	return out
}

func words(v any) []string {
	items, _ := v.([]any)
	out := make([]string, 0, len(items))
	for _, item := range items {
		out = append(out, fmt.Sprint(item))
	}
	return out
}

// containerRules are what is asked of every container; each returns whether it is kept.
var containerRules = map[string]func(c object) bool{
	"names a version of its image, and not latest": func(c object) bool {
		image, _ := c["image"].(string)
		_, tag, found := strings.Cut(image[strings.LastIndexByte(image, '/')+1:], ":")
		return found && tag != "" && tag != "latest"
	},
	"requests CPU":                    func(c object) bool { return nested(c, "resources", "requests", "cpu") != nil },
	"requests memory":                 func(c object) bool { return nested(c, "resources", "requests", "memory") != nil },
	"limits memory":                   func(c object) bool { return nested(c, "resources", "limits", "memory") != nil },
	"leaves CPU without limit":        func(c object) bool { return nested(c, "resources", "limits", "cpu") == nil },
	"has a liveness probe":            func(c object) bool { return nested(c, "livenessProbe", "httpGet") != nil },
	"has a readiness probe":           func(c object) bool { return nested(c, "readinessProbe", "httpGet") != nil },
	"has a read-only root filesystem": func(c object) bool { return nested(c, "securityContext", "readOnlyRootFilesystem") == true },
	"runs as no root":                 func(c object) bool { return nested(c, "securityContext", "runAsNonRoot") == true },
	"cannot gain privileges":          func(c object) bool { return nested(c, "securityContext", "allowPrivilegeEscalation") == false },
	"drops all capabilities": func(c object) bool {
		return slices.Equal(words(nested(c, "securityContext", "capabilities", "drop")), []string{"ALL"}) &&
			nested(c, "securityContext", "capabilities", "add") == nil
	},
	"holds no secret in its environment": func(c object) bool {
		return !slices.ContainsFunc(list(c["env"]), func(e object) bool {
			name := strings.ToUpper(fmt.Sprint(e["name"]))
			return e["value"] != nil && (strings.Contains(name, "KEY") || strings.Contains(name, "TOKEN") || strings.Contains(name, "PASSWORD"))
		})
	},
	"opens no port of the host": func(c object) bool {
		return !slices.ContainsFunc(list(c["ports"]), func(p object) bool { return p["hostPort"] != nil })
	},
}

// podRules are what is asked of every pod.
var podRules = map[string]func(pod object) bool{
	"has a ServiceAccount of its own": func(p object) bool { return p["serviceAccountName"] != nil && p["serviceAccountName"] != "default" },
	"asks for its token itself":       func(p object) bool { return p["automountServiceAccountToken"] == true },
	"has the runtime's seccomp profile": func(p object) bool {
		return nested(p, "securityContext", "seccompProfile", "type") == "RuntimeDefault"
	},
	"shares nothing with its node": func(p object) bool {
		return p["hostNetwork"] == nil && p["hostPID"] == nil && p["hostIPC"] == nil &&
			!slices.ContainsFunc(list(p["volumes"]), func(v object) bool { return v["hostPath"] != nil })
	},
	"is spread over nodes":       func(p object) bool { return len(list(p["topologySpreadConstraints"])) > 0 },
	"gets no links of Services":  func(p object) bool { return p["enableServiceLinks"] == false },
	"has time to hand over":      func(p object) bool { return p["terminationGracePeriodSeconds"] != nil },
	"has at least one container": func(p object) bool { return len(list(p["containers"])) > 0 },
}

// TestPods holds the pods that an installation brings to what linters of manifests ask.
func TestPods(t *testing.T) {
	pods := templates(everything(t))
	if len(pods) == 0 {
		t.Fatal("the installation has no pod")
	}
	for key, pod := range pods {
		for rule, kept := range podRules {
			if !kept(pod) {
				t.Errorf("%s: no pod of it %s", key, rule)
			}
		}
		for _, c := range list(pod["containers"]) {
			for rule, kept := range containerRules {
				if !kept(c) {
					t.Errorf("%s: container %v is not one that %s", key, c["name"], rule)
				}
			}
		}
	}
}

// TestSurroundings holds what stands around the pods to the same.
func TestSurroundings(t *testing.T) {
	objects := everything(t)
	for key, o := range objects {
		name := nested(o, "metadata", "labels", "app.kubernetes.io/name")
		if part := nested(o, "metadata", "labels", "app.kubernetes.io/part-of"); name == nil || part == nil {
			t.Errorf("%s lacks the labels that everything of the operator has", key)
		}
		if o["kind"] == "ServiceAccount" && o["automountServiceAccountToken"] != false {
			t.Errorf("%s gives its token to whatever pod names it", key)
		}
	}
	manager := objects["Deployment/gptoss-operator"]
	if replicas, _ := nested(manager, "spec", "replicas").(float64); replicas < 2 {
		t.Errorf("%v replicas, want one that leads and one that is ready to", replicas)
	}
	selector := fmt.Sprint(nested(manager, "spec", "selector", "matchLabels"))
	for _, key := range []string{"PodDisruptionBudget/gptoss-operator", "NetworkPolicy/gptoss-operator"} {
		o, field := objects[key], "selector"
		if o["kind"] == "NetworkPolicy" {
			field = "podSelector"
		}
		if got := fmt.Sprint(nested(o, "spec", field, "matchLabels")); got != selector {
			t.Errorf("%s selects %s, want the manager's pods %s", key, got, selector)
		}
	}
}

// rights yields every rule of every Role and ClusterRole.
func rights(objects map[string]object, visit func(key string, cluster bool, rule object)) {
	for key, o := range objects {
		if o["kind"] == "Role" || o["kind"] == "ClusterRole" {
			for _, rule := range list(o["rules"]) {
				visit(key, o["kind"] == "ClusterRole", rule)
			}
		}
	}
}

// dangerous are rights with which one gets all others.
var dangerous = map[string][]string{
	"roles": {"bind", "escalate", "create", "update", "patch"}, "clusterroles": {"bind", "escalate", "create", "update", "patch"},
	"rolebindings": {"create", "update", "patch"}, "clusterrolebindings": {"create", "update", "patch"},
	"users": {"impersonate"}, "groups": {"impersonate"}, "serviceaccounts": {"impersonate"}, "serviceaccounts/token": {"create"},
	"pods/exec": {"create", "get"}, "pods/attach": {"create", "get"}, "nodes/proxy": {"create", "get"},
	"validatingwebhookconfigurations": {"create", "update", "patch"}, "mutatingwebhookconfigurations": {"create", "update", "patch"},
}

// TestRights: no wildcard, nothing that leads to more rights, and no Secret deleted or read by a role that need not.
func TestRights(t *testing.T) {
	rights(everything(t), func(key string, cluster bool, rule object) {
		groups, resources, verbs := words(rule["apiGroups"]), words(rule["resources"]), words(rule["verbs"])
		for _, word := range slices.Concat(groups, resources, verbs, words(rule["nonResourceURLs"])) {
			if strings.Contains(word, "*") {
				t.Errorf("%s has the wildcard %q in %v", key, word, rule)
			}
		}
		for _, resource := range resources {
			for _, verb := range dangerous[resource] {
				if slices.Contains(verbs, verb) {
					t.Errorf("%s may %s %s", key, verb, resource)
				}
			}
		}
		if !slices.Contains(resources, "secrets") {
			return
		}
		if cluster && key != "ClusterRole/gptoss-operator-manager" {
			t.Errorf("%s has rights to Secrets of the whole cluster", key)
		}
		if slices.Contains(verbs, "delete") || slices.Contains(verbs, "deletecollection") {
			t.Errorf("%s may delete Secrets, which their owner references do", key)
		}
	})
}

// TestNamespacedRights: with watchNamespaces no right reaches beyond them but asking who reads the metrics, registering
// the custom metrics API, and what people are granted.
func TestNamespacedRights(t *testing.T) {
	objects := kustomize(t, "config/namespaced")
	secrets := 0
	rights(objects, func(key string, cluster bool, rule object) {
		resources := words(rule["resources"])
		if slices.Contains(resources, "secrets") {
			secrets++
		}
		if !cluster || nested(objects[key], "metadata", "labels", "rbac.authorization.k8s.io/aggregate-to-view") != nil ||
			strings.HasSuffix(key, "-edit") || strings.HasSuffix(key, "-admin") {
			return
		}
		for _, resource := range resources {
			if !slices.Contains([]string{"tokenreviews", "subjectaccessreviews", "apiservices", "clusterroles"}, resource) {
				t.Errorf("%s still reaches %s of every namespace", key, resource)
			}
		}
	})
	if secrets == 0 {
		t.Error("no Role lets the operator make Secrets")
	}
	args := words(list(nested(objects["Deployment/gptoss-operator"], "spec", "template", "spec", "containers"))[0]["args"])
	if !slices.Contains(args, "--watch-namespaces="+namespace) {
		t.Errorf("the manager's arguments are %v", args)
	}
}
