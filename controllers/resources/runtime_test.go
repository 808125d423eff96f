package resources

import (
	"errors"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/gptoss/gptoss-operator/controllers/resources/template"
)

const onVolume = `model: {source: {persistentVolumeClaim: {claimName: weights, path: gpt-oss-20b}}}`

func deployment(t *testing.T, spec string) *appsv1.Deployment {
	t.Helper()
	d, err := Deployment(newModel(t, spec), testImage)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestCommandsOfTheSpecification holds the commands against its words.
func TestCommandsOfTheSpecification(t *testing.T) {
	for name, tc := range map[string]struct{ spec, want string }{
		"vllm": {
			`{` + onVolume + `, runtime: {type: vllm}}`,
			"vllm serve /models/gpt-oss-20b --served-model-name gpt-oss-20b --host 0.0.0.0 --port 8000 --api-key=$(VLLM_API_KEY) " +
				"--gpu-memory-utilization 0.9 --enforce-eager --enable-prefix-caching",
		},
		"tgi": {
			`{` + onVolume + `, runtime: {type: tgi}}`,
			"text-generation-launcher --model-id /models/gpt-oss-20b --hostname 0.0.0.0 --port 8000 --quantize mxfp4 " +
				"--max-input-length 6144 --max-total-tokens 8192 --api-key=$(API_KEY)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := deployment(t, tc.spec).Spec.Template.Spec.Containers[0]
			if got := strings.Join(append(c.Command, c.Args...), " "); got != tc.want {
				t.Errorf("the command is\n%s, want\n%s", got, tc.want)
			}
		})
	}
}

// TestEveryEngineFieldDoesSomething sets one field after the other, for the runtimes that have it.
func TestEveryEngineFieldDoesSomething(t *testing.T) {
	for field, runtimes := range map[string]string{
		"contextLength: 4096":       "builtin vllm tgi",
		"maxSequences: 3":           "builtin vllm tgi",
		"batchSize: 2":              "builtin tgi",
		"maxBatchTokens: 2048":      "builtin vllm tgi",
		"batchTimeout: 50ms":        "builtin",
		"prefixCaching: false":      "builtin vllm tgi",
		"swapSpace: 1Gi":            "builtin vllm",
		"gpuMemoryUtilization: 0.5": "vllm tgi",
		"enforceEager: false":       "vllm",
		"enforceEager: true":        "tgi",
		"threads: 2":                "builtin",
	} {
		for runtime := range strings.FieldsSeq(runtimes) {
			t.Run(runtime+" "+field, func(t *testing.T) {
				without := deployment(t, `{`+onVolume+`, runtime: {type: `+runtime+`}}`)
				with := deployment(t, `{`+onVolume+`, runtime: {type: `+runtime+`}, engine: {`+field+`}}`)
				if Revision(without) == Revision(with) {
					t.Errorf("%s changes nothing in the pods of %s", field, runtime)
				}
			})
		}
	}
}

func TestResourcesTooSmall(t *testing.T) {
	const large = `model: {source: {persistentVolumeClaim: {claimName: w, path: gpt-oss-120b}}}`
	for name, tc := range map[string]struct{ spec, want string }{
		"a limit below the weights": {`{` + large + `, resources: {limits: {memory: 48Gi}}}`, "spec.resources.limits.memory is 48Gi, but serving gpt-oss-120b takes 62.4Gi: weights "},
		"a limit that holds it all": {`{` + large + `, resources: {limits: {memory: 64Gi}}}`, ""},
		"the same, with a longer context and more sequences": {
			`{` + large + `, engine: {contextLength: 131072, maxSequences: 64}, resources: {limits: {memory: 64Gi}}}`, "lower engine.contextLength or engine.maxSequences",
		},
		"a request that leaves the shared weights out": {`{` + large + `, resources: {requests: {memory: 4Gi}}}`, ""},
		"a request below what is a pod's own":          {`{` + large + `, resources: {requests: {memory: 256Mi}}}`, "spec.resources.requests.memory is 256Mi, but serving gpt-oss-120b takes "},
		"a model of unknown size":                      {`{model: {source: {persistentVolumeClaim: {claimName: w}}}, resources: {limits: {memory: 1Gi}}}`, ""},
		"the memory of a node beside GPUs":             {`{` + large + `, runtime: {type: vllm}, resources: {limits: {memory: 16Gi}}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Deployment(newModel(t, tc.spec), testImage)
			if tc.want == "" && err != nil {
				t.Fatal(err)
			}
			if tc.want != "" && (!errors.Is(err, ErrResourcesTooSmall) || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestGPUs(t *testing.T) {
	for name, tc := range map[string]struct{ resources, want string }{
		"one of NVIDIA's by default":   {`{}`, "nvidia.com/gpu=1"},
		"as many as the user wants":    {`{limits: {nvidia.com/gpu: 4}}`, "nvidia.com/gpu=4"},
		"of another vendor":            {`{limits: {amd.com/gpu: 2}}`, "amd.com/gpu=2"},
		"part of one":                  {`{limits: {nvidia.com/mig-3g.40gb: 1}}`, "nvidia.com/mig-3g.40gb=1"},
		"named as a request":           {`{requests: {nvidia.com/gpu: 2}}`, "nvidia.com/gpu=2"},
		"none, for a stand-in or CPUs": {`{limits: {nvidia.com/gpu: 0}}`, "nvidia.com/gpu=0"},
		"beside other limits":          {`{limits: {memory: 32Gi}}`, "nvidia.com/gpu=1"},
	} {
		t.Run(name, func(t *testing.T) {
			d := deployment(t, `{`+onVolume+`, runtime: {type: vllm}, resources: `+tc.resources+`}`)
			var got []string
			for name, quantity := range d.Spec.Template.Spec.Containers[0].Resources.Limits {
				if strings.Contains(string(name), "/") {
					got = append(got, string(name)+"="+quantity.String())
				}
			}
			if strings.Join(got, " ") != tc.want {
				t.Errorf("limits %v, want %s", got, tc.want)
			}
		})
	}
}

func TestExtraArgumentsAreRead(t *testing.T) {
	const spec = `{model: {source: {demo: {}}}, runtime: {extraArgs: [--no-such-flag]%s}}`
	if _, err := Deployment(newModel(t, strings.Replace(spec, "%s", "", 1)), testImage); err == nil || !strings.Contains(err.Error(), "no-such-flag") {
		t.Errorf("error %v, want one that names the flag", err)
	}
	if _, err := Deployment(newModel(t, strings.Replace(spec, "%s", ", image: newer", 1)), testImage); err != nil {
		t.Errorf("an image of the user's may know the flag: %v", err)
	}
}

func TestPodTemplateLeavesTheOperatorItsOwn(t *testing.T) {
	for name, patch := range map[string]string{
		"a selector's label":    `{metadata: {labels: {app.kubernetes.io/instance: other}}}`,
		"a label removed":       `{metadata: {labels: {app.kubernetes.io/managed-by: null}}}`,
		"all labels removed":    `{metadata: {labels: null}}`,
		"labels replaced":       `{metadata: {labels: {$patch: replace, a: b}}}`,
		"the revision":          `{metadata: {labels: {gptoss.dev/revision: mine}}}`,
		"the container deleted": `{spec: {containers: [{name: server, $patch: delete}]}}`,
		"containers replaced":   `{spec: {containers: [{$patch: replace}, {name: other, image: x}]}}`,
		"the image removed":     `{spec: {containers: [{name: server, image: null}]}}`,
		"a field that is none":  `{spec: {nodeSelectors: {a: b}}}`,
		"a list for a map":      `{spec: {nodeSelector: [a]}}`,
		"a text for a pod":      `{spec: none}`,
		"a nameless container":  `{spec: {containers: [{image: x}]}}`,
		"a directive unknown":   `{spec: {$patch: explode}}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Deployment(newModel(t, `{model: {source: {demo: {}}}, podTemplate: `+patch+`}`), testImage)
			if !errors.Is(err, template.ErrInvalid) {
				t.Errorf("error %v, want that the patch is invalid", err)
			}
		})
	}
}
