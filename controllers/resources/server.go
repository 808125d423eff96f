package resources

import (
	"fmt"
	"path"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/server/options"
)

const (
	serverPort = 8000

	modelsDir      = "/models"
	keysDir        = "/etc/gptoss/api-keys"
	swapDir        = "/swap"
	terminationLog = "/dev/termination-log"
)

// ServerOptions are the settings of the built-in server; of another runtime, those that mean the same there. Keys are
// never among them: they come from a mounted Secret.
func ServerOptions(m *v1alpha1.GptOssModel) (options.Options, error) {
	o := options.Default()
	o.Port = serverPort
	if weights := modelPath(m); weights != "" {
		o.Model = weights
	}
	if name := m.ModelName(); name != o.ModelName() {
		o.ServedModelName = name
	}
	if _, entry := m.APIKeySecret(); entry != "" {
		o.APIKeyFile = path.Join(keysDir, entry)
	}
	if e := m.Engine(); m.Builtin() {
		setEngine(&o, e)
	} else if e.ContextLength != nil {
		o.ContextLength = int(*e.ContextLength)
	}
	if err := setGeneration(&o, m.Spec.Generation); err != nil {
		return options.Options{}, err
	}
	o.ShutdownDelay = endpointDelay
	drain := drainTime(o.MaxTokens)
	if given := m.Rollout().DrainTimeout; given != nil {
		drain = given.Duration()
	}
	o.ShutdownGrace = min(endpointDelay+drain, maxDrain)
	o.TerminationLog = terminationLog
	if err := o.Validate(); err != nil {
		return options.Options{}, fmt.Errorf("resources: server options: %w", err)
	}
	return o, nil
}

// setEngine says of the engine what the user says, as far as the built-in server knows it.
func setEngine(o *options.Options, e v1alpha1.EngineSpec) {
	for _, number := range []struct {
		from *int32
		to   *int
	}{
		{e.ContextLength, &o.ContextLength},
		{e.MaxSequences, &o.MaxSequences},
		{e.BatchSize, &o.BatchSize},
		{e.MaxBatchTokens, &o.MaxBatchTokens},
		{e.Threads, &o.Threads},
	} {
		if number.from != nil {
			*number.to = int(*number.from)
		}
	}
	if e.BatchTimeout != nil {
		o.BatchTimeout = e.BatchTimeout.Duration()
	}
	if e.PrefixCaching != nil {
		o.PrefixCaching = *e.PrefixCaching
	}
	if e.SwapSpace != nil {
		o.SwapSpace = e.SwapSpace.Value()
	}
}

func setGeneration(o *options.Options, g *v1alpha1.GenerationSpec) error {
	if g == nil {
		return nil
	}
	if g.ReasoningLevel != "" {
		o.ReasoningLevel = string(g.ReasoningLevel)
	}
	if g.MaxTokens != nil {
		o.MaxTokens = int(*g.MaxTokens)
	}
	for _, number := range []struct {
		from *v1alpha1.Decimal
		to   *float64
	}{{g.Temperature, &o.Temperature}, {g.TopP, &o.TopP}} {
		if number.from == nil {
			continue
		}
		value, err := number.from.Float()
		if err != nil {
			return fmt.Errorf("resources: generation: %w", err)
		}
		*number.to = value
	}
	return nil
}
