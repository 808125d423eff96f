package resources

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"path"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/resources/gpu"
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

// knownConfig is the model's shape by its name, or by that of its source.
func knownConfig(m *v1alpha1.GptOssModel) (model.Config, bool) {
	names := []string{v1alpha1.DemoModelName}
	if source := m.Spec.Model.Source; source.Demo == nil {
		names = append(family(path.Base(m.ModelName())), family(source.Name())...)
	}
	for _, name := range names {
		if c, known := model.Preset(name); known {
			return c, true
		}
	}
	return model.Config{}, false
}

// modelConfig is the model's shape, which is taken for that of gpt-oss-20b where it is not known.
func modelConfig(m *v1alpha1.GptOssModel) model.Config {
	c, known := knownConfig(m)
	if !known {
		c, _ = model.Preset("gpt-oss-20b")
	}
	return c
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

// plan is what the built-in server takes of memory, in bytes, and of what.
func plan(m *v1alpha1.GptOssModel, c model.Config) (model.Memory, int64) {
	o, e := options.Default(), m.Engine()
	setEngine(&o, e)
	memory := c.Memory(model.Serving{
		ContextLength: contextLength(m, c), Sequences: o.MaxSequences, StepTokens: o.MaxBatchTokens, Shared: true,
	})
	return memory, (processOverhead + memory.Total + mebibyte - 1) / mebibyte * mebibyte
}

// containerResources is the memory plan of the model, overridden resource by resource by the user.
func containerResources(m *v1alpha1.GptOssModel) corev1.ResourceRequirements {
	var computed corev1.ResourceList
	if m.Builtin() {
		_, bytes := plan(m, modelConfig(m))
		computed = corev1.ResourceList{
			corev1.ResourceCPU:    modelCPU,
			corev1.ResourceMemory: *resource.NewQuantity(bytes, resource.BinarySI),
		}
		if m.Spec.Model.Source.Demo != nil {
			computed[corev1.ResourceCPU] = demoCPU
		}
		if threads := m.Engine().Threads; threads != nil {
			computed[corev1.ResourceCPU] = *resource.NewQuantity(int64(*threads), resource.DecimalSI)
		}
		if swap := m.Engine().SwapSpace; swap != nil && !swap.IsZero() {
			computed[corev1.ResourceEphemeralStorage] = swapRoom(*swap)
		}
	} else {
		computed = gpu.Requests(m)
	}
	out := corev1.ResourceRequirements{Requests: computed}
	if given := m.Spec.Resources; given != nil {
		for name, limit := range given.Limits {
			if request, ok := computed[name]; ok && request.Cmp(limit) > 0 {
				computed[name] = limit // a request above the limit would be refused
			}
		}
		maps.Copy(computed, given.Requests)
		out.Limits = given.Limits
	}
	if !m.Builtin() {
		out = gpu.WithGPU(out)
	}
	return out
}

// ErrResourcesTooSmall is the error of resources that cannot hold the model; the text says what would.
var ErrResourcesTooSmall = errors.New("spec.resources")

// checkResources refuses what cannot work, where the model is known. A limit must hold all of it: below that, the kernel
// would read the weights from disk again for every token, or end the server. A request may leave the weights out, which
// pods of a node share.
func checkResources(m *v1alpha1.GptOssModel) error {
	c, known := knownConfig(m)
	if !known || !m.Builtin() || m.Spec.Resources == nil {
		return nil
	}
	memory, all := plan(m, c)
	parts := fmt.Sprintf("weights %s, keys and values %s, working memory %s and the process %s; lower engine.contextLength or engine.maxSequences, or raise it",
		size(memory.Weights), size(memory.KVCache), size(memory.Working), size(processOverhead))
	if limit, given := m.Spec.Resources.Limits[corev1.ResourceMemory]; given && limit.Value() < all {
		return fmt.Errorf("%w.limits.memory is %s, but serving %s takes %s: %s", ErrResourcesTooSmall, limit.String(), m.ModelName(), size(all), parts)
	}
	own := all - memory.Weights
	if request, given := m.Spec.Resources.Requests[corev1.ResourceMemory]; given && request.Value() < own {
		return fmt.Errorf("%w.requests.memory is %s, but serving %s takes %s even where the weights are in memory already: %s",
			ErrResourcesTooSmall, request.String(), m.ModelName(), size(own), parts)
	}
	return nil
}

// size is a number of bytes for people, in whole mebibytes or tenths of a gibibyte, rounded up.
func size(bytes int64) string {
	if mib := (bytes + mebibyte - 1) / mebibyte; mib < 1024 {
		return fmt.Sprintf("%dMi", mib)
	}
	return fmt.Sprintf("%.1fGi", math.Ceil(float64(bytes)/(1<<30)*10)/10)
}

// swapRoom is the size of the volume for a swap file, which a server would be evicted for filling to the last byte.
func swapRoom(swap resource.Quantity) resource.Quantity {
	return *resource.NewQuantity(swap.Value()+64*mebibyte, resource.BinarySI)
}

// StartTime is how long the server may take to read its weights.
func StartTime(m *v1alpha1.GptOssModel) time.Duration {
	margin := startMargin
	if !m.Builtin() {
		margin = gpu.LoadMargin
	}
	return margin + time.Duration(modelConfig(m).CheckpointBytes()/slowestRead)*time.Second
}

// drainTime is how long running answers may take to finish: an answer of the default length at the slowest rate.
func drainTime(maxTokens int) time.Duration {
	return min(max(time.Duration(maxTokens/slowestDecode)*time.Second, minDrain), maxDrain)
}

// seconds rounds a duration up.
func seconds(d time.Duration) int64 {
	return int64((d + time.Second - 1) / time.Second)
}
