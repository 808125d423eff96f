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

// model wraps what stands below spec.model.
func model(text string) string { return "{model: {" + text + "}}" }

var _ = Describe("the API server, of sources,", func() {
	zeros := strings.Repeat("0", 64)

	DescribeTable("refuses", func(ctx SpecContext, text, message string) {
		err := k8s.Create(ctx, fromYAML("default", "bad", model(text)), client.DryRunAll)
		Expect(apierrors.IsInvalid(err)).To(BeTrue(), "%v", err)
		Expect(err.Error()).To(ContainSubstring(message))
	},
		Entry("two downloads", `source: {huggingFace: {repo: a/b}, http: {url: "https://a/b"}}`, "exactly one of"),
		Entry("an image beside the demo", `source: {demo: {}, image: {reference: a}}`, "exactly one of"),
		Entry("a repository without owner", `source: {huggingFace: {repo: gpt-oss-20b}}`, "source.huggingFace.repo"),
		Entry("a repository with three parts", `source: {huggingFace: {repo: a/b/c}}`, "source.huggingFace.repo"),
		Entry("a repository that climbs", `source: {huggingFace: {repo: a/b..c}}`, "must not hold '--' or '..'"),
		Entry("no repository", `source: {huggingFace: {}}`, "huggingFace.repo: Required value"),
		Entry("a revision that is a flag", `source: {huggingFace: {repo: a/b, revision: --x}}`, "huggingFace.revision"),
		Entry("an endpoint with a password", `source: {huggingFace: {repo: a/b, endpoint: "https://me:pw@hub"}}`, "huggingFace.endpoint"),
		Entry("an endpoint of another kind", `source: {huggingFace: {repo: a/b, endpoint: "file:///etc"}}`, "huggingFace.endpoint"),
		Entry("an endpoint with a query", `source: {huggingFace: {repo: a/b, endpoint: "https://hub?a=b"}}`, "huggingFace.endpoint"),
		Entry("a token without Secret", `source: {huggingFace: {repo: a/b, tokenSecretRef: {}}}`, "tokenSecretRef.name: Required value"),
		Entry("an entry with a path", `source: {huggingFace: {repo: a/b, tokenSecretRef: {name: a, key: ../b}}}`, "tokenSecretRef.key"),
		Entry("http without checksum", `source: {http: {url: "http://a/b.gguf"}}`, "a URL of http:// takes sha256"),
		Entry("a short checksum", `source: {http: {url: "https://a/b.gguf", sha256: abc}}`, "http.sha256"),
		Entry("a URL without file", `source: {http: {url: "https://a/b/"}}`, "http.url"),
		Entry("a URL with a password", `source: {http: {url: "https://me:pw@a/b.gguf"}}`, "http.url"),
		Entry("a URL that would show a variable", `source: {http: {url: "https://a/$(MODEL_TOKEN)/b.gguf"}}`, "http.url"),
		Entry("a URL that is none", `source: {http: {url: "gpt-oss-20b.gguf"}}`, "http.url"),
		Entry("no image", `source: {image: {}}`, "image.reference: Required value"),
		Entry("an image with a short digest", `source: {image: {reference: "a@sha256:abc"}}`, "image.reference"),
		Entry("an unknown pull policy", `source: {image: {reference: a, pullPolicy: Sometimes}}`, "image.pullPolicy"),
		Entry("a path out of the image", `source: {image: {reference: a, path: a/../../b}}`, "path must be relative and clean"),
		Entry("a cache for nothing", `source: {demo: {}}, cache: {}`, "model.cache goes with a source that is downloaded"),
		Entry("a cache beside a claim", `source: {persistentVolumeClaim: {claimName: a}}, cache: {size: 1Gi}`, "model.cache goes with"),
		Entry("a size in words", `source: {huggingFace: {repo: a/b}}, cache: {size: big}`, "cache.size"),
		Entry("a mode that nobody can write", `source: {huggingFace: {repo: a/b}}, cache: {accessModes: [ReadOnlyMany]}`, "cache.accessModes"),
		Entry("no access modes", `source: {huggingFace: {repo: a/b}}, cache: {accessModes: []}`, "cache.accessModes"),
		Entry("an unknown reclaim policy", `source: {huggingFace: {repo: a/b}}, cache: {reclaimPolicy: Recycle}`, "cache.reclaimPolicy"),
		Entry("a class that is no name", `source: {huggingFace: {repo: a/b}}, cache: {storageClassName: "A b"}`, "cache.storageClassName"),
	)

	It("takes the samples", func(ctx SpecContext) {
		files, err := filepath.Glob("../config/samples/[a-jl-z]*.yaml") // all but kustomization.yaml
		Expect(err).NotTo(HaveOccurred())
		Expect(len(files)).To(BeNumerically(">", 4))
		for _, file := range files {
			text, err := os.ReadFile(file)
			Expect(err).NotTo(HaveOccurred())
			for document := range strings.SplitSeq(string(text), "\n---\n") {
				var u unstructured.Unstructured
				Expect(yaml.Unmarshal([]byte(document), &u.Object)).To(Succeed())
				u.SetNamespace("default")
				Expect(k8s.Create(ctx, &u, client.DryRunAll, client.FieldValidation("Strict"))).To(Succeed(), file)
			}
		}
	})

	DescribeTable("takes", func(ctx SpecContext, text string) {
		Expect(k8s.Create(ctx, fromYAML("default", "good", model(text)), client.DryRunAll)).To(Succeed())
	},
		Entry("a repository", `source: {huggingFace: {repo: openai/gpt-oss-20b}}`),
		Entry("all of a repository", `source: {huggingFace: {repo: a_b/c.d-e, revision: refs/pr/1, endpoint: "https://hub.example.com:8443/mirror", tokenSecretRef: {name: t, key: k}}}`),
		Entry("a signed URL", `source: {http: {url: "https://a.example.com/b/gpt-oss-20b.gguf?X-Sig=a%2Bb&c=d", secretRef: {name: t}}}`),
		Entry("a plain URL with a checksum", `source: {http: {url: "http://10.0.0.1:8080/m.gptoss", sha256: "`+zeros+`"}}`),
		Entry("an image", `source: {image: {reference: "registry:5000/models/gpt-oss-20b:1.0@sha256:`+zeros+`", pullPolicy: IfNotPresent, path: models/x.gguf}}`),
		Entry("all of the cache", `source: {huggingFace: {repo: a/b}}, cache: {size: 50Gi, storageClassName: "", accessModes: [ReadWriteMany], reclaimPolicy: Delete}`),
	)
})
