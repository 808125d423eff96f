package bundle

import (
	"fmt"
	"regexp"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// secretName is how variables and options are called whose values are nobody's business.
var secretName = regexp.MustCompile(`(?i)(key|token|password|passwd|secret|credential|dsn)`)

// Object writes an object as YAML without what is secret or only noise: the data of Secrets and ConfigMaps, values of
// variables that are called like keys, managedFields, and kubectl's copy of the whole object.
func Object(u *unstructured.Unstructured) ([]byte, error) {
	o := u.DeepCopy()
	o.SetManagedFields(nil)
	annotations := o.GetAnnotations()
	delete(annotations, "kubectl.kubernetes.io/last-applied-configuration")
	o.SetAnnotations(annotations)
	if kind := o.GetKind(); kind == "Secret" || kind == "ConfigMap" {
		for _, field := range []string{"data", "stringData", "binaryData"} {
			hide(o.Object, field)
		}
	}
	variables(o.Object)
	text, err := yaml.Marshal(o.Object)
	if err != nil {
		return nil, fmt.Errorf("bundle: %s %s: %w", o.GetKind(), o.GetName(), err)
	}
	return text, nil
}

// hide keeps the names and lengths of entries.
func hide(object map[string]any, field string) {
	entries, ok := object[field].(map[string]any)
	if !ok {
		return
	}
	for name, value := range entries {
		text, _ := value.(string)
		entries[name] = fmt.Sprintf("%s, %d characters", redacted, len(text))
	}
}

// variables hides the values of environment variables wherever a container stands.
func variables(value any) {
	switch v := value.(type) {
	case []any:
		for _, e := range v {
			variables(e)
		}
	case map[string]any:
		name, isName := v["name"].(string)
		if _, has := v["value"].(string); has && isName && secretName.MatchString(name) {
			v["value"] = redacted
		}
		for _, e := range v {
			variables(e)
		}
	}
}
