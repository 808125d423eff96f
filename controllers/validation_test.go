package controllers

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
)

// fromYAML keeps what the Go types would drop, as kubectl does.
func fromYAML(namespace, name, spec string) *unstructured.Unstructured {
	GinkgoHelper()
	u := &unstructured.Unstructured{Object: map[string]any{}}
	var content map[string]any
	Expect(yaml.Unmarshal([]byte(spec), &content)).To(Succeed())
	u.Object["spec"] = content
	u.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("GptOssModel"))
	u.SetNamespace(namespace)
	u.SetName(name)
	return u
}

var _ = Describe("the API server", func() {
	DescribeTable("refuses", func(ctx SpecContext, spec, message string) {
		err := k8s.Create(ctx, fromYAML("default", "bad", spec), client.DryRunAll)
		Expect(apierrors.IsInvalid(err)).To(BeTrue(), "%v", err)
		Expect(err.Error()).To(ContainSubstring(message))
	},
		Entry("no source", `{model: {source: {}}}`, "model.source must hold exactly one of: demo, huggingFace, persistentVolumeClaim, image, http"),
		Entry("two sources", `{model: {source: {demo: {}, persistentVolumeClaim: {claimName: a}}}}`, "model.source must hold exactly one of"),
		Entry("no model", `{}`, "spec.model: Required value"),
		Entry("replicas beside an autoscaler", `{model: {source: {demo: {}}}, replicas: 1, autoscaling: {maxReplicas: 2}}`, "replicas and autoscaling exclude each other"),
		Entry("negative replicas", `{model: {source: {demo: {}}}, replicas: -1}`, "spec.replicas"),
		Entry("a minimum over the maximum", `{model: {source: {demo: {}}}, autoscaling: {minReplicas: 3, maxReplicas: 2}}`, "minReplicas must not be greater than maxReplicas"),
		Entry("an autoscaler without maximum", `{model: {source: {demo: {}}}, autoscaling: {}}`, "spec.autoscaling.maxReplicas: Required value"),
		Entry("a temperature over 2", `{model: {source: {demo: {}}}, generation: {temperature: 2.1}}`, "spec.generation.temperature"),
		Entry("a temperature in words", `{model: {source: {demo: {}}}, generation: {temperature: "0.7"}}`, "spec.generation.temperature"),
		Entry("a topP under 0", `{model: {source: {demo: {}}}, generation: {topP: -0.1}}`, "spec.generation.topP"),
		Entry("an unknown reasoning level", `{model: {source: {demo: {}}}, generation: {reasoningLevel: extreme}}`, `supported values: "low", "medium", "high"`),
		Entry("no tokens", `{model: {source: {demo: {}}}, generation: {maxTokens: 0}}`, "spec.generation.maxTokens"),
		Entry("a context beyond the model's", `{model: {source: {demo: {}}}, engine: {contextLength: 131073}}`, "spec.engine.contextLength"),
		Entry("keys for everybody", `{model: {source: {demo: {}}}, auth: {anonymous: {}, apiKeys: {secretRef: {name: a}}}}`, "auth.apiKeys and auth.anonymous exclude each other"),
		Entry("an absolute path", `{model: {source: {persistentVolumeClaim: {claimName: a, path: /etc}}}}`, "path"),
		Entry("a path that climbs", `{model: {source: {persistentVolumeClaim: {claimName: a, path: a/../../b}}}}`, "path must be relative and clean"),
		Entry("a path with a variable", `{model: {source: {persistentVolumeClaim: {claimName: a, path: a/$(HOME)}}}}`, "path"),
		Entry("a model name with spaces", `{model: {name: "my model", source: {demo: {}}}}`, "spec.model.name"),
		Entry("an interval without unit", `{model: {source: {demo: {}}}, monitoring: {serviceMonitor: {interval: "30"}}}`, "interval"),
		Entry("a label of ours", `{model: {source: {demo: {}}}, monitoring: {serviceMonitor: {labels: {app.kubernetes.io/name: x}}}}`, "belong to the operator"),
		Entry("a label that is none", `{model: {source: {demo: {}}}, monitoring: {serviceMonitor: {labels: {a: "b c"}}}}`, "labels"),
	)

	DescribeTable("refuses a name", func(ctx SpecContext, name, message string) {
		err := k8s.Create(ctx, fromYAML("default", name, demoSpec), client.DryRunAll)
		Expect(apierrors.IsInvalid(err)).To(BeTrue(), "%v", err)
		Expect(err.Error()).To(ContainSubstring(message))
	},
		Entry("too long for what is built from it", strings.Repeat("a", 41), "at most 40 characters"),
		Entry("that no Service may have", "4you", "start with a letter"),
		Entry("with a dot", "a.b", "lower-case letters"),
	)

	It("accepts a name of 40 characters and writes nothing into the spec", func(ctx SpecContext) {
		u := fromYAML(newNamespace(ctx), strings.Repeat("a", 40), `{model: {source: {demo: {}}}, generation: {temperature: 0.7, topP: 1}}`)
		want := u.DeepCopy().Object["spec"]
		Expect(k8s.Create(ctx, u)).To(Succeed())
		Eventually(func() map[string]any {
			Expect(k8s.Get(ctx, client.ObjectKeyFromObject(u), u)).To(Succeed())
			return u.Object
		}).Should(HaveKey("status"))
		Expect(yaml.Marshal(u.Object["spec"])).To(MatchYAML(mustYAML(want)))
	})
})

func mustYAML(value any) []byte {
	GinkgoHelper()
	text, err := yaml.Marshal(value)
	Expect(err).NotTo(HaveOccurred())
	return text
}
