package gpu

import (
	"encoding/json"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
)

// VLLMImage is the image of vLLM where the user names none.
const VLLMImage = "docker.io/vllm/vllm-openai:v0.23.0"

// vllmKey is the variable that holds the API key; vLLM reads it too.
const vllmKey = "VLLM_API_KEY"

// vllm completes the container with the command of the specification: --host --port --api-key
// --gpu-memory-utilization 0.9 --enforce-eager --enable-prefix-caching.
func (s Server) vllm(c *corev1.Container) error {
	e := s.Model.Engine()
	c.Image = VLLMImage
	c.Command = []string{"vllm", "serve"}
	a := arguments{s.Weights, "--served-model-name", s.Model.ModelName(), "--host", "0.0.0.0", "--port", strconv.Itoa(int(s.Port))}
	c.Env = env()
	if s.Secret != "" {
		c.Env = append(c.Env, s.key(vllmKey))
		a.add("--api-key=$(" + vllmKey + ")") // one word, since a key may begin with a dash
	}
	utilization := "0.9"
	if e.GPUMemoryUtilization != nil {
		utilization = string(*e.GPUMemoryUtilization)
	}
	a.add("--gpu-memory-utilization", utilization)
	if e.EnforceEager == nil || *e.EnforceEager {
		a.add("--enforce-eager")
	}
	if e.PrefixCaching == nil || *e.PrefixCaching {
		a.add("--enable-prefix-caching")
	} else {
		a.add("--no-enable-prefix-caching")
	}
	a.number("--max-model-len", e.ContextLength)
	a.number("--max-num-seqs", e.MaxSequences)
	a.number("--max-num-batched-tokens", e.MaxBatchTokens)
	if swap := e.SwapSpace; swap != nil && !swap.IsZero() {
		// Its --swap-space is gone since 0.18; keys and values that make way go to the node's memory so.
		a.add("--kv-offloading-backend", "native", "--kv-offloading-size", gibibytes(swap.Value()))
	}
	if n := s.count(); n > 1 {
		a.add("--tensor-parallel-size", strconv.FormatInt(n, 10))
	}
	defaults, err := s.generationConfig()
	if err != nil {
		return err
	}
	if defaults != "" {
		a.add("--override-generation-config", defaults)
	}
	a.add(s.Model.Spec.Runtime.ExtraArgs...)
	c.Args = a
	c.Env = Merged(c.Env, s.Model)
	c.Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"/bin/sh", "-c", s.drainVLLM()}}}}
	return nil
}

// generationConfig is the defaults of requests in the form of a model's generation_config.json.
func (s Server) generationConfig() (string, error) {
	g := s.Model.Spec.Generation
	if g == nil {
		return "", nil
	}
	config := map[string]any{}
	if g.MaxTokens != nil {
		config["max_new_tokens"] = *g.MaxTokens
	}
	if g.Temperature != nil {
		config["temperature"] = *g.Temperature
	}
	if g.TopP != nil {
		config["top_p"] = *g.TopP
	}
	if len(config) == 0 {
		return "", nil
	}
	text, err := json.Marshal(config)
	if err != nil {
		return "", fmt.Errorf("gpu: generation: %w", err)
	}
	return string(text), nil
}

// drainVLLM waits until the endpoints are gone and then, since vLLM breaks off what it computes at SIGTERM, until its own
// metrics say that nothing runs or waits. Where it cannot be asked, SIGTERM follows at once.
func (s Server) drainVLLM() string {
	return fmt.Sprintf(`sleep %d; for i in $(seq %d); do `+
		`curl -sf http://127.0.0.1:%d%s | grep -E '^vllm:num_requests_(running|waiting)[{ ]' | grep -qv ' 0\.0$' || break; sleep 1; done`,
		int(s.Delay.Seconds()), int(s.Drain.Seconds()), s.Port, MetricsPath)
}

func gibibytes(n int64) string { return strconv.FormatFloat(float64(n)/gibibyte, 'g', 6, 64) }

// arguments of a command.
type arguments []string

func (a *arguments) add(words ...string) { *a = append(*a, words...) }

func (a *arguments) number(flag string, n *int32) {
	if n != nil {
		a.add(flag, strconv.Itoa(int(*n)))
	}
}
