package edge

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/resources"
)

const (
	// unbounded is the Gateway API's duration for no timeout.
	unbounded = "0s"

	// pickerPort is where endpoint pickers listen by custom.
	pickerPort = 9002
)

// route leads to the InferencePool if there is one, and to the Service otherwise: a cluster that lacks the pool's API
// still serves.
func route(m *v1alpha1.GptOssModel, pools bool) (*unstructured.Unstructured, error) {
	exposed := m.Exposed()
	spec := exposed.HTTPRoute
	if spec == nil {
		spec = &v1alpha1.HTTPRouteSpec{}
	}
	backend := map[string]any{"group": "", "kind": "Service", "name": m.Name, "port": int64(m.ServicePort()), "weight": int64(1)}
	if exposed.InferencePool != nil && pools {
		backend = map[string]any{"group": InferencePoolKind.Group, "kind": InferencePoolKind.Kind, "name": m.Name, "weight": int64(1)}
	}
	content := map[string]any{
		"parentRefs": parents(spec.ParentRefs),
		"rules": []any{map[string]any{
			"matches":     []any{map[string]any{"path": map[string]any{"type": "PathPrefix", "value": prefix(spec.Path)}}},
			"backendRefs": []any{backend},
			"timeouts":    timeouts(spec.Timeouts),
		}},
	}
	if len(spec.Hostnames) > 0 {
		names := make([]any, 0, len(spec.Hostnames))
		for _, h := range spec.Hostnames {
			names = append(names, string(h))
		}
		content["hostnames"] = names
	}
	return resources.Optional(HTTPRouteKind, resources.ObjectMeta(m, m.Name, nil, spec.Annotations), content)
}

func parents(refs []v1alpha1.ParentRef) []any {
	out := make([]any, 0, len(refs))
	for _, ref := range refs {
		parent := map[string]any{"group": HTTPRouteKind.Group, "kind": "Gateway", "name": ref.Name}
		if ref.Namespace != "" {
			parent["namespace"] = ref.Namespace
		}
		if ref.SectionName != "" {
			parent["sectionName"] = ref.SectionName
		}
		if ref.Port != nil {
			parent["port"] = int64(*ref.Port)
		}
		out = append(out, parent)
	}
	return out
}

// timeouts are unbounded unless said otherwise: gateways end requests after seconds by themselves.
func timeouts(t *v1alpha1.HTTPRouteTimeouts) map[string]any {
	request, backend := v1alpha1.GatewayDuration(unbounded), v1alpha1.GatewayDuration("")
	if t != nil {
		if t.Request != "" {
			request = t.Request
		}
		backend = t.BackendRequest
	}
	if backend == "" {
		backend = request
	}
	return map[string]any{"request": string(request), "backendRequest": string(backend)}
}

func pool(m *v1alpha1.GptOssModel) (*unstructured.Unstructured, error) {
	meta := resources.ObjectMeta(m, m.Name, nil, nil)
	spec := m.Exposed().InferencePool
	if spec == nil {
		return resources.Optional(InferencePoolKind, meta, nil)
	}
	port, mode := int32(pickerPort), v1alpha1.PickerFailOpen
	if spec.EndpointPicker.Port != nil {
		port = *spec.EndpointPicker.Port
	}
	if spec.EndpointPicker.FailureMode != "" {
		mode = spec.EndpointPicker.FailureMode
	}
	return resources.Optional(InferencePoolKind, meta, map[string]any{
		"selector":    map[string]any{"matchLabels": resources.Labelled(resources.SelectorLabels(m))},
		"targetPorts": []any{map[string]any{"number": int64(resources.ServerPort)}},
		"endpointPickerRef": map[string]any{
			"group": "", "kind": "Service", "name": spec.EndpointPicker.Name,
			"port": map[string]any{"number": int64(port)}, "failureMode": string(mode),
		},
	})
}
