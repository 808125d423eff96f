package gpu

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
)

// TGIImage is the image of Text Generation Inference where the user names none. The project has ended.
const TGIImage = "ghcr.io/huggingface/text-generation-inference:3.3.5"

const (
	tgiKey = "API_KEY"

	// tgiContext is the specification's 8192 tokens where the user does not say otherwise.
	tgiContext = 8192
)

// tgi completes the container with the command of the specification: --model-id --quantize mxfp4 --max-input-length
// --max-total-tokens. TGI has no name for its model: it takes any that clients send.
func (s Server) tgi(c *corev1.Container) error {
	e := s.Model.Engine()
	c.Image = TGIImage
	c.Command = []string{"text-generation-launcher"}
	total := s.ContextLength
	if total == 0 {
		total = tgiContext
	}
	a := arguments{
		"--model-id", s.Weights, "--hostname", "0.0.0.0", "--port", strconv.Itoa(int(s.Port)),
		"--quantize", "mxfp4",
		// What is left for the prompt is at least half.
		"--max-input-length", strconv.Itoa(total - min(s.AnswerTokens, total/2)), "--max-total-tokens", strconv.Itoa(total),
	}
	c.Env = env(corev1.EnvVar{Name: "GRACEFUL_TERMINATION_TIMEOUT", Value: strconv.Itoa(int(s.Drain.Seconds()))})
	if s.Secret != "" {
		c.Env = append(c.Env, s.key(tgiKey))
		a.add("--api-key=$(" + tgiKey + ")")
	}
	a.number("--max-concurrent-requests", e.MaxSequences)
	a.number("--max-batch-size", e.BatchSize)
	a.number("--max-batch-prefill-tokens", e.MaxBatchTokens)
	if e.GPUMemoryUtilization != nil {
		a.add("--cuda-memory-fraction", string(*e.GPUMemoryUtilization))
	}
	if e.EnforceEager != nil && *e.EnforceEager {
		a.add("--cuda-graphs", "0")
	}
	if e.PrefixCaching != nil {
		value := "0"
		if *e.PrefixCaching {
			value = "1"
		}
		c.Env = append(c.Env, corev1.EnvVar{Name: "PREFIX_CACHING", Value: value})
	}
	if n := s.count(); n > 1 {
		a.add("--num-shard", strconv.FormatInt(n, 10))
	}
	a.add(s.Model.Spec.Runtime.ExtraArgs...)
	c.Args = a
	c.Env = Merged(c.Env, s.Model)
	// TGI finishes its answers at SIGTERM, but takes no new requests from that moment.
	c.Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: int64(s.Delay.Seconds())}}}
	return nil
}
