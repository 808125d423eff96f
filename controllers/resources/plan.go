package resources

import (
	"maps"
	"path"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/server/options"
)

const (
	mebibyte = 1 << 20

	// processOverhead is what the server takes beside the model: code, heap, connections, requests in flight.
	processOverhead = 128 * mebibyte

	// slowestRead is the disk that start-up is patient with, in bytes per second: a network volume on a busy day.
	slowestRead = 50 * mebibyte

	// startMargin covers what does not depend on size: process start, parsing the tokenizer, a busy node.
	startMargin = 60 * time.Second

	// pullMargin is what a rollout may take before the server starts: scheduling, attaching the volume, pulling the image.
	pullMargin = 10 * time.Minute

	// slowestDecode is the fewest tokens per second that a running answer is waited for at shutdown.
	slowestDecode = 10

	// minDrain and maxDrain bound that wait; the maximum is the server's own.
	minDrain = 30 * time.Second
	maxDrain = time.Hour

	// endpointDelay is how long a pod goes on admitting requests after its end was decided, so that every kube-proxy
	// and ingress has seen its endpoint go.
	endpointDelay = 5 * time.Second

	// exitMargin is between the server's own deadline and the kubelet's SIGKILL.
	exitMargin = 10 * time.Second
)

// demoCPU and modelCPU are requests, not limits: more is taken from what the node has to spare.
var (
	demoCPU  = resource.MustParse("100m")
	modelCPU = resource.MustParse("1")
)

// modelConfig is the model's shape: known by its name, or by that of its source, or else taken for gpt-oss-20b.
func modelConfig(m *v1alpha1.GptOssModel) model.Config {
	names := []string{v1alpha1.DemoModelName}
	if source := m.Spec.Model.Source; source.Demo == nil {
		names = append(family(path.Base(m.ModelName())), family(source.Name())...)
		names = append(names, "gpt-oss-20b")
	}
	for _, name := range names {
		if c, known := model.Preset(name); known {
			return c
		}
	}
	return model.Config{}
}

// family returns a name and what is left of it without the last of its parts, and so on: gpt-oss-120b-mxfp4 is a gpt-oss-120b.
func family(name string) []string {
	name = strings.ToLower(name)
	names := []string{name}
	for i := strings.LastIndexAny(name, "-._"); i > 0; i = strings.LastIndexAny(name, "-._") {
		name = name[:i]
		names = append(names, name)
	}
	return names
}

// contextLength is the window that the server will use, in tokens.
func contextLength(m *v1alpha1.GptOssModel, c model.Config) int {
	want := options.DefaultContextLength
	if m.Spec.Engine != nil && m.Spec.Engine.ContextLength != nil {
		want = int(*m.Spec.Engine.ContextLength)
	}
	return min(want, c.MaxContext)
}

// containerResources is the memory plan of the model, overridden resource by resource by the user.
func containerResources(m *v1alpha1.GptOssModel) corev1.ResourceRequirements {
	c, o := modelConfig(m), options.Default()
	bytes := processOverhead + c.Memory(model.Serving{
		ContextLength: contextLength(m, c), Sequences: o.MaxSequences, StepTokens: o.MaxBatchTokens, Shared: true,
	}).Total
	bytes = (bytes + mebibyte - 1) / mebibyte * mebibyte
	requests := corev1.ResourceList{
		corev1.ResourceCPU:    modelCPU,
		corev1.ResourceMemory: *resource.NewQuantity(bytes, resource.BinarySI),
	}
	if m.Spec.Model.Source.Demo != nil {
		requests[corev1.ResourceCPU] = demoCPU
	}
	if m.Spec.Resources == nil {
		return corev1.ResourceRequirements{Requests: requests}
	}
	for name, limit := range m.Spec.Resources.Limits {
		if computed, ok := requests[name]; ok && computed.Cmp(limit) > 0 {
			requests[name] = limit // a request above the limit would be refused
		}
	}
	maps.Copy(requests, m.Spec.Resources.Requests)
	return corev1.ResourceRequirements{Requests: requests, Limits: m.Spec.Resources.Limits}
}

// startTime is how long the server may take to read its weights.
func startTime(m *v1alpha1.GptOssModel) time.Duration {
	return startMargin + time.Duration(modelConfig(m).CheckpointBytes()/slowestRead)*time.Second
}

// drainTime is how long running answers may take to finish: an answer of the default length at the slowest rate.
func drainTime(maxTokens int) time.Duration {
	return min(max(time.Duration(maxTokens/slowestDecode)*time.Second, minDrain), maxDrain)
}

// seconds rounds a duration up.
func seconds(d time.Duration) int64 {
	return int64((d + time.Second - 1) / time.Second)
}
