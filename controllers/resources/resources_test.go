package resources

import (
	"bytes"
	"encoding/base64"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/server/options"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const testImage = "example.com/gptoss-server:test"

// specs are the objects that the golden files are made from, in the YAML that a user would write.
var specs = map[string]string{
	"demo": `{model: {source: {demo: {}}}}`,
	"volume": `{model: {source: {persistentVolumeClaim: {claimName: weights, path: hub/gpt-oss-120b}}}, replicas: 3,
		engine: {contextLength: 32768},
		generation: {reasoningLevel: high, maxTokens: 4096, temperature: 0.25, topP: 1},
		auth: {apiKeys: {secretRef: {name: team-keys, key: keys.txt}}},
		resources: {requests: {cpu: 8000m}, limits: {memory: 96Gi}}}`,
	"autoscaled": `{model: {name: openai/gpt-oss-20b, source: {persistentVolumeClaim: {claimName: weights}}},
		autoscaling: {minReplicas: 2, maxReplicas: 6, targetActiveRequests: 12, behavior: {
			scaleUp: {stabilizationWindowSeconds: 0, selectPolicy: Max, policies: [{type: Pods, value: 2, periodSeconds: 30}]},
			scaleDown: {stabilizationWindowSeconds: 600}}},
		monitoring: {serviceMonitor: {interval: 15s, labels: {release: prometheus}}}}`,
	"tuned": `{model: {source: {persistentVolumeClaim: {claimName: weights, path: gpt-oss-20b}}},
		engine: {contextLength: 16384, maxSequences: 16, batchSize: 12, maxBatchTokens: 1024, batchTimeout: 100ms, prefixCaching: false, swapSpace: 4Gi, threads: 12},
		runtime: {image: "registry.example.com/gptoss-server:2", extraArgs: [--log-level=debug], env: [
			{name: OTEL_EXPORTER_OTLP_ENDPOINT, value: "http://collector:4318"},
			{name: TOKEN, valueFrom: {secretKeyRef: {name: s, key: k}}}, {name: REGION, valueFrom: {configMapKeyRef: {name: c, key: k}}}]},
		rollout: {maxSurge: 0, maxUnavailable: 25%, drainTimeout: 2m, onNoCapacity: Recreate, serverUpdates: Automatic},
		podTemplate: {metadata: {annotations: {mine: "yes"}}, spec: {nodeSelector: {disk: nvme}, priorityClassName: models,
			tolerations: [{key: models, operator: Exists}],
			containers: [{name: server, volumeMounts: [{name: extra, mountPath: /extra}]}, {name: proxy, image: envoy, ports: [{containerPort: 9000}]}],
			volumes: [{name: extra, emptyDir: {}}]}}}`,
	"vllm": `{model: {source: {persistentVolumeClaim: {claimName: weights, path: gpt-oss-20b}}}, runtime: {type: vllm}}`,
	"vllm-tuned": `{model: {name: mine, source: {persistentVolumeClaim: {claimName: weights}}},
		runtime: {type: vllm, image: "registry.example.com/vllm:1", extraArgs: [--async-scheduling], env: [{name: HF_HUB_OFFLINE, value: "0"}]},
		engine: {contextLength: 32768, maxSequences: 64, maxBatchTokens: 8192, prefixCaching: false, swapSpace: 4Gi, gpuMemoryUtilization: 0.85, enforceEager: false},
		generation: {maxTokens: 4096, temperature: 0.25, topP: 1}, auth: {anonymous: {}}, rollout: {drainTimeout: 1m},
		resources: {requests: {cpu: 8}, limits: {nvidia.com/gpu: 2, memory: 64Gi}}}`,
	"tgi": `{model: {source: {persistentVolumeClaim: {claimName: weights, path: gpt-oss-20b}}}, runtime: {type: tgi}}`,
	"tgi-tuned": `{model: {source: {persistentVolumeClaim: {claimName: weights, path: gpt-oss-20b}}}, runtime: {type: tgi, extraArgs: [--disable-custom-kernels]},
		engine: {contextLength: 4096, maxSequences: 64, batchSize: 16, maxBatchTokens: 8192, prefixCaching: true, gpuMemoryUtilization: 0.8, enforceEager: true},
		generation: {maxTokens: 3000}, auth: {apiKeys: {secretRef: {name: team, key: k}}}, resources: {requests: {amd.com/gpu: 4}}}`,
	"huggingface": `{model: {source: {huggingFace: {repo: openai/gpt-oss-120b, revision: v2, endpoint: "https://hub.example.com/",
		tokenSecretRef: {name: hub}}}, cache: {size: 300Gi, storageClassName: fast, accessModes: [ReadWriteMany], reclaimPolicy: Delete}}, replicas: 3}`,
	"http": `{model: {source: {http: {url: "https://files.example.com/gpt-oss-20b-mxfp4.gguf", secretRef: {name: files, key: bearer},
		sha256: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}}}}`,
	"image": `{model: {source: {image: {reference: "registry.example.com/gpt-oss-20b:1.0", pullPolicy: IfNotPresent, path: models}}}}`,
	"anonymous": `{model: {source: {demo: {}}}, auth: {anonymous: {}}, autoscaling: {maxReplicas: 3},
		monitoring: {serviceMonitor: {mode: Disabled}}}`,
}

func newModel(t *testing.T, spec string) *v1alpha1.GptOssModel {
	t.Helper()
	m := &v1alpha1.GptOssModel{}
	m.Name, m.Namespace, m.UID = "chat", "team", "0000-1111"
	if err := yaml.UnmarshalStrict([]byte(strings.ReplaceAll(spec, "\t", " ")), &m.Spec); err != nil {
		t.Fatal(err)
	}
	return m
}

// build returns all objects of a model, in the order in which the operator writes them.
func build(t *testing.T, m *v1alpha1.GptOssModel) []runtime.Object {
	t.Helper()
	objects := []runtime.Object{Service(m)}
	if !m.Anonymous() && m.NamedSecret() == nil {
		objects = append(objects, Secret(m, []byte("sk-test")))
	}
	if m.Spec.Model.Source.Downloaded() {
		download, err := Download(m, testImage, Situation{TokenVersion: "7", Claim: "8888-9999", Keep: []string{"model-0123456789"}, Fresh: m.Spec.Replicas == nil})
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, CacheClaim(m), download, Clean(m, testImage))
	}
	deployment, err := Deployment(m, testImage)
	if err != nil {
		t.Fatal(err)
	}
	objects = append(objects, deployment)
	if m.Spec.Autoscaling != nil {
		of := MetricOfModel
		if m.Anonymous() { // so that the golden files hold both
			of = MetricOfPods
		}
		objects = append(objects, HorizontalPodAutoscaler(m, of))
	}
	return objects
}

func TestGolden(t *testing.T) {
	for name, spec := range specs {
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			for _, obj := range build(t, newModel(t, spec)) {
				u, err := Configuration(obj)
				if err != nil {
					t.Fatal(err)
				}
				text, err := yaml.Marshal(u.Object)
				if err != nil {
					t.Fatal(err)
				}
				got.WriteString("---\n")
				got.Write(text)
			}
			file := filepath.Join("testdata", name+".yaml")
			if *update {
				if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("built objects differ from %s (-want +got):\n%s", file, diff)
			}
		})
	}
}

func TestServerArgumentsAreReadBack(t *testing.T) {
	for name, spec := range specs {
		t.Run(name, func(t *testing.T) {
			m := newModel(t, spec)
			if !m.Builtin() {
				t.Skip("another program reads its arguments")
			}
			want, err := ServerOptions(m)
			if err != nil {
				t.Fatal(err)
			}
			if m.Spec.Runtime != nil {
				want.LogLevel = "debug"
			}
			d, err := Deployment(m, testImage)
			if err != nil {
				t.Fatal(err)
			}
			got, err := options.Parse(d.Spec.Template.Spec.Containers[0].Args)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the server reads other options than were meant (-want +got):\n%s", diff)
			}
			if got.ModelName() != m.ModelName() {
				t.Errorf("server calls the model %q, the object %q", got.ModelName(), m.ModelName())
			}
		})
	}
}

func TestRevision(t *testing.T) {
	revision := func(spec string) string {
		d, err := Deployment(newModel(t, spec), testImage)
		if err != nil {
			t.Fatal(err)
		}
		return Revision(d)
	}
	base := revision(`{model: {source: {demo: {}}}}`)
	for name, tc := range map[string]struct {
		spec     string
		wantSame bool
	}{
		"more replicas leave the pods alone":          {`{model: {source: {demo: {}}}, replicas: 4}`, true},
		"an autoscaler leaves the pods alone":         {`{model: {source: {demo: {}}}, autoscaling: {maxReplicas: 4}}`, true},
		"a monitor's settings leave the pods alone":   {`{model: {source: {demo: {}}}, monitoring: {serviceMonitor: {interval: 1m}}}`, true},
		"another default temperature needs new pods":  {`{model: {source: {demo: {}}}, generation: {temperature: 1}}`, false},
		"another Secret needs new pods":               {`{model: {source: {demo: {}}}, auth: {apiKeys: {secretRef: {name: k}}}}`, false},
		"a default that is spelt out changes nothing": {`{model: {source: {demo: {}}}, generation: {temperature: 0.70}}`, true},
		"the way of a rollout leaves the pods alone":  {`{model: {source: {demo: {}}}, rollout: {maxSurge: 2, onNoCapacity: Recreate}}`, true},
		"another time to drain needs new pods":        {`{model: {source: {demo: {}}}, rollout: {drainTimeout: 10m}}`, false},
		"a patch that does nothing changes nothing":   {`{model: {source: {demo: {}}}, podTemplate: {spec: {}}}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			if same := revision(tc.spec) == base; same != tc.wantSame {
				t.Errorf("same revision: %t, want %t", same, tc.wantSame)
			}
		})
	}
}

func TestRequestsNeverExceedLimits(t *testing.T) {
	m := newModel(t, `{model: {source: {persistentVolumeClaim: {claimName: mine}}}, resources: {limits: {memory: 32Mi}}}`)
	r := containerResources(m)
	request, limit := r.Requests[corev1.ResourceMemory], r.Limits[corev1.ResourceMemory]
	if request.Cmp(limit) != 0 {
		t.Errorf("memory request %s beside a limit of %s", request.String(), limit.String())
	}
}

func TestNewAPIKey(t *testing.T) {
	a, b := string(NewAPIKey()), string(NewAPIKey())
	if a == b {
		t.Fatal("two keys are equal")
	}
	secret, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(a, "sk-"))
	if err != nil || len(secret) != 32 || !strings.HasPrefix(a, "sk-") {
		t.Errorf("key of %d random bytes, error %v; want sk- and 32", len(secret), err)
	}
}

func TestUnreadableNumberIsAnError(t *testing.T) {
	m := newModel(t, specs["demo"])
	bad := v1alpha1.Decimal("0,7")
	m.Spec.Generation = &v1alpha1.GenerationSpec{Temperature: &bad}
	if _, err := Deployment(m, testImage); err == nil {
		t.Error("no error for the temperature 0,7")
	}
}
