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
	terminationLog = "/dev/termination-log"
)

// ServerOptions are the settings of the model's server. Keys are never among them: they come from a mounted Secret.
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
	if e := m.Spec.Engine; e != nil && e.ContextLength != nil {
		o.ContextLength = int(*e.ContextLength)
	}
	if err := setGeneration(&o, m.Spec.Generation); err != nil {
		return options.Options{}, err
	}
	o.ShutdownDelay = endpointDelay
	o.ShutdownGrace = min(endpointDelay+drainTime(o.MaxTokens), maxDrain)
	o.TerminationLog = terminationLog
	if err := o.Validate(); err != nil {
		return options.Options{}, fmt.Errorf("resources: server options: %w", err)
	}
	return o, nil
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
