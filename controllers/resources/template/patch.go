package template

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
)

// maxPatch bounds a patch, in bytes: a pod template is a few kilobytes.
const maxPatch = 256 << 10

// ErrInvalid is the error of a patch that does not fit; the text says why.
var ErrInvalid = errors.New("spec.podTemplate")

// Patch lays a strategic merge patch over the template. The template's labels stay as they are, since the operator finds
// its pods by them, and so does the container named.
func Patch(template corev1.PodTemplateSpec, patch []byte, container string) (corev1.PodTemplateSpec, error) {
	if len(patch) > maxPatch {
		return template, fmt.Errorf("%w has %d bytes, which is more than the %d that are read", ErrInvalid, len(patch), maxPatch)
	}
	before, err := json.Marshal(template)
	if err != nil {
		return template, fmt.Errorf("template: %w", err)
	}
	after, err := merge(before, patch)
	if err != nil {
		return template, err
	}
	var out corev1.PodTemplateSpec
	decoder := json.NewDecoder(bytes.NewReader(after))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&out); err != nil {
		return template, fmt.Errorf("%w is no pod template: %w", ErrInvalid, err)
	}
	for name, value := range template.Labels {
		if out.Labels[name] != value {
			return template, fmt.Errorf("%w must leave the label %s=%s alone: the operator finds its pods by it", ErrInvalid, name, value)
		}
	}
	if err := keeps(out.Spec.Containers, container); err != nil {
		return template, err
	}
	complete(&out.Spec)
	return out, nil
}

// merge is the library's, which panics at directives of the wrong type, such as a $retainKeys that lists maps.
func merge(before, patch []byte) (after []byte, err error) {
	defer func() {
		if recover() != nil {
			err = fmt.Errorf("%w holds a directive ($patch, $retainKeys, …) that is none", ErrInvalid)
		}
	}()
	if after, err = strategicpatch.StrategicMergePatch(before, patch, corev1.PodTemplateSpec{}); err != nil {
		return nil, fmt.Errorf("%w does not fit over the pod template: %w", ErrInvalid, err)
	}
	return after, nil
}

func keeps(containers []corev1.Container, name string) error {
	for i := range containers {
		switch c := &containers[i]; {
		case c.Name == "":
			return fmt.Errorf("%w: containers[%d] has no name; containers are merged by it", ErrInvalid, i)
		case c.Name == name && c.Image == "":
			return fmt.Errorf("%w must leave an image to the container %q", ErrInvalid, name)
		case c.Name == name:
			return nil
		}
	}
	return fmt.Errorf("%w must keep the container %q: it is the model's server", ErrInvalid, name)
}

// complete writes the one default that is part of a list's key: without it the operator would not recognise its own port.
func complete(spec *corev1.PodSpec) {
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range containers {
			for j := range containers[i].Ports {
				if port := &containers[i].Ports[j]; port.Protocol == "" {
					port.Protocol = corev1.ProtocolTCP
				}
			}
		}
	}
}
