package controllers

import (
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

var _ = Describe("the API server, of runtimes and rollouts,", func() {
	DescribeTable("refuses", func(ctx SpecContext, spec, message string) {
		err := k8s.Create(ctx, fromYAML("default", "bad", spec), client.DryRunAll)
		Expect(apierrors.IsInvalid(err)).To(BeTrue(), "%v", err)
		Expect(err.Error()).To(ContainSubstring(message))
	},
		Entry("an unknown runtime", `{`+onVolume+`, runtime: {type: ollama}}`, `supported values: "builtin", "vllm", "tgi"`),
		Entry("the demo for vllm", `{model: {source: {demo: {}}}, runtime: {type: vllm}}`, "model.source.demo is part of the built-in server"),
		Entry("the demo for tgi", `{model: {source: {demo: {}}}, runtime: {type: tgi}}`, "model.source.demo is part of the built-in server"),
		Entry("an image with a space", `{`+onVolume+`, runtime: {image: "a b"}}`, "spec.runtime.image"),
		Entry("an argument that sets the port", `{`+onVolume+`, runtime: {extraArgs: [--port=9]}}`, "runtime.extraArgs must not set"),
		Entry("an argument that holds a key", `{`+onVolume+`, runtime: {extraArgs: [-api-key, x]}}`, "runtime.extraArgs must not set"),
		Entry("an empty argument", `{`+onVolume+`, runtime: {extraArgs: [""]}}`, "spec.runtime.extraArgs[0]"),
		Entry("a variable with two values", `{`+onVolume+`, runtime: {env: [{name: A, value: b, valueFrom: {secretKeyRef: {name: s, key: k}}}]}}`, "value or valueFrom, not both"),
		Entry("a variable from nowhere", `{`+onVolume+`, runtime: {env: [{name: A, valueFrom: {}}]}}`, "exactly one of: secretKeyRef, configMapKeyRef"),
		Entry("a variable from two places", `{`+onVolume+`, runtime: {env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k}, configMapKeyRef: {name: s, key: k}}}]}}`, "exactly one of: secretKeyRef, configMapKeyRef"),
		Entry("a variable twice", `{`+onVolume+`, runtime: {env: [{name: A, value: b}, {name: A, value: c}]}}`, "Duplicate value"),
		Entry("a variable with a dash", `{`+onVolume+`, runtime: {env: [{name: A-B, value: b}]}}`, "spec.runtime.env[0].name"),

		Entry("a GPU's share without GPU", `{`+onVolume+`, engine: {gpuMemoryUtilization: 0.5}}`, "runtime builtin has no engine.gpuMemoryUtilization"),
		Entry("eager mode without GPU, spelt out", `{`+onVolume+`, runtime: {type: builtin}, engine: {enforceEager: true}}`, "no engine.enforceEager"),
		Entry("a batch size of vllm", `{`+onVolume+`, runtime: {type: vllm}, engine: {batchSize: 2}}`, "runtime vllm has no engine.batchSize"),
		Entry("a batch timeout of vllm", `{`+onVolume+`, runtime: {type: vllm}, engine: {batchTimeout: 1s}}`, "engine.batchTimeout"),
		Entry("threads of vllm", `{`+onVolume+`, runtime: {type: vllm}, engine: {threads: 2}}`, "engine.threads"),
		Entry("a reasoning level of vllm", `{`+onVolume+`, runtime: {type: vllm}, generation: {reasoningLevel: high}}`, "runtime vllm has no generation.reasoningLevel"),
		Entry("a batch timeout of tgi", `{`+onVolume+`, runtime: {type: tgi}, engine: {batchTimeout: 1s}}`, "runtime tgi has no engine.batchTimeout"),
		Entry("swap space of tgi", `{`+onVolume+`, runtime: {type: tgi}, engine: {swapSpace: 1Gi}}`, "engine.swapSpace"),
		Entry("threads of tgi", `{`+onVolume+`, runtime: {type: tgi}, engine: {threads: 1}}`, "engine.threads"),
		Entry("a reasoning level of tgi", `{`+onVolume+`, runtime: {type: tgi}, generation: {reasoningLevel: low}}`, "runtime tgi has no generation.reasoningLevel"),
		Entry("a temperature of tgi", `{`+onVolume+`, runtime: {type: tgi}, generation: {temperature: 1}}`, "generation.temperature"),
		Entry("a topP of tgi", `{`+onVolume+`, runtime: {type: tgi}, generation: {topP: 1}}`, "generation.topP"),

		Entry("no sequences", `{`+onVolume+`, engine: {maxSequences: 0}}`, "spec.engine.maxSequences"),
		Entry("an empty batch", `{`+onVolume+`, engine: {batchSize: 0}}`, "spec.engine.batchSize"),
		Entry("a batch of no tokens", `{`+onVolume+`, engine: {maxBatchTokens: 0}}`, "spec.engine.maxBatchTokens"),
		Entry("more requests than tokens in a batch", `{`+onVolume+`, engine: {batchSize: 9, maxBatchTokens: 8}}`, "engine.batchSize must not be greater than engine.maxBatchTokens"),
		Entry("a timeout without unit", `{`+onVolume+`, engine: {batchTimeout: "100"}}`, "spec.engine.batchTimeout"),
		Entry("a timeout that clients would notice", `{`+onVolume+`, engine: {batchTimeout: 11s}}`, "engine.batchTimeout must be at most 10s"),
		Entry("negative swap space", `{`+onVolume+`, engine: {swapSpace: -1Gi}}`, "engine.swapSpace must be from 0 to 16Ti"),
		Entry("endless swap space", `{`+onVolume+`, engine: {swapSpace: 17Ti}}`, "engine.swapSpace must be from 0 to 16Ti"),
		Entry("none of a GPU's memory", `{`+onVolume+`, runtime: {type: vllm}, engine: {gpuMemoryUtilization: 0}}`, "spec.engine.gpuMemoryUtilization"),
		Entry("more than a GPU's memory", `{`+onVolume+`, runtime: {type: vllm}, engine: {gpuMemoryUtilization: 1.1}}`, "spec.engine.gpuMemoryUtilization"),
		Entry("no threads", `{`+onVolume+`, engine: {threads: 0}}`, "spec.engine.threads"),

		Entry("a rollout that cannot move", `{`+onVolume+`, rollout: {maxSurge: 0, maxUnavailable: 0%}}`, "must not both be 0"),
		Entry("a negative surge", `{`+onVolume+`, rollout: {maxSurge: -1}}`, "rollout.maxSurge must be a number from 0 to 1000"),
		Entry("a surge over 100 %", `{`+onVolume+`, rollout: {maxSurge: 101%}}`, "percentage from 0% to 100%"),
		Entry("a share in words", `{`+onVolume+`, rollout: {maxUnavailable: half}}`, "rollout.maxUnavailable must be a number"),
		Entry("a day to drain", `{`+onVolume+`, rollout: {drainTimeout: 24h}}`, "rollout.drainTimeout must be at most 1h"),
		Entry("an unknown way out", `{`+onVolume+`, rollout: {onNoCapacity: Panic}}`, `supported values: "Wait", "Recreate"`),
		Entry("an unknown policy of updates", `{`+onVolume+`, rollout: {serverUpdates: Never}}`, `supported values: "OnChange", "Automatic"`),
		Entry("a pod template in words", `{`+onVolume+`, podTemplate: big}`, "spec.podTemplate"),
	)

	DescribeTable("accepts", func(ctx SpecContext, spec string) {
		Expect(k8s.Create(ctx, fromYAML("default", "good", spec), client.DryRunAll)).To(Succeed())
	},
		Entry("everything of the built-in engine", `{model: {source: {demo: {}}}, runtime: {type: builtin}, engine: {contextLength: 1024, maxSequences: 2, batchSize: 2,
			maxBatchTokens: 64, batchTimeout: 1s500ms, prefixCaching: true, swapSpace: 1073741824, threads: 2}}`),
		Entry("everything of vllm", `{`+onVolume+`, runtime: {type: vllm}, engine: {contextLength: 1024, maxSequences: 2, maxBatchTokens: 64, prefixCaching: true,
			swapSpace: 1Gi, gpuMemoryUtilization: 1, enforceEager: false}, generation: {maxTokens: 9, temperature: 0, topP: 1}}`),
		Entry("everything of tgi", `{`+onVolume+`, runtime: {type: tgi}, engine: {contextLength: 1024, maxSequences: 2, batchSize: 2, maxBatchTokens: 64, prefixCaching: true,
			gpuMemoryUtilization: 0.5, enforceEager: false}, generation: {maxTokens: 9}}`),
		Entry("surge as number and percentage", `{`+onVolume+`, rollout: {maxSurge: 100%, maxUnavailable: 3, drainTimeout: 1h}}`),
		Entry("arguments with dashes inside", `{`+onVolume+`, runtime: {extraArgs: [--ports-of-call, --model-loader=x, "$(A)"]}}`),
	)

	It("accepts every sample", func(ctx SpecContext) {
		samples, err := filepath.Glob(filepath.Join("..", "config", "samples", "*.yaml"))
		Expect(err).NotTo(HaveOccurred())
		models := 0
		for _, path := range samples {
			text, err := os.ReadFile(path)
			Expect(err).NotTo(HaveOccurred())
			for document := range strings.SplitSeq(string(text), "\n---\n") {
				u := &unstructured.Unstructured{}
				Expect(yaml.Unmarshal([]byte(document), &u.Object)).To(Succeed(), path)
				if u.GetKind() != "GptOssModel" {
					continue
				}
				u.SetNamespace("default")
				Expect(k8s.Create(ctx, u, client.DryRunAll, client.FieldValidation("Strict"))).To(Succeed(), path)
				models++
			}
		}
		Expect(models).To(BeNumerically(">", 5))
	})
})
