package resources

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/gptoss/gptoss-operator/server/options"
)

const hub = `{model: {source: {huggingFace: {repo: openai/gpt-oss-20b}}}}`

func TestWeightsFolder(t *testing.T) {
	base := WeightsFolder(newModel(t, hub))
	if !options.CacheFolder.MatchString(base) {
		t.Errorf("folder %q, which the download would refuse", base)
	}
	for name, tc := range map[string]struct {
		spec     string
		wantSame bool
	}{
		"a default that is spelt out":     {`{model: {source: {huggingFace: {repo: openai/gpt-oss-20b, revision: main}}}}`, true},
		"another token brings the same":   {`{model: {source: {huggingFace: {repo: openai/gpt-oss-20b, tokenSecretRef: {name: t}}}}}`, true},
		"another name is for clients":     {`{model: {name: mine, source: {huggingFace: {repo: openai/gpt-oss-20b}}}}`, true},
		"another size of the volume":      {`{model: {source: {huggingFace: {repo: openai/gpt-oss-20b}}, cache: {size: 1Ti}}}`, true},
		"another revision":                {`{model: {source: {huggingFace: {repo: openai/gpt-oss-20b, revision: v2}}}}`, false},
		"another repository":              {`{model: {source: {huggingFace: {repo: mine/gpt-oss-20b}}}}`, false},
		"another endpoint":                {`{model: {source: {huggingFace: {repo: openai/gpt-oss-20b, endpoint: "https://hub"}}}}`, false},
		"a file is no repository":         {`{model: {source: {http: {url: "https://openai/gpt-oss-20b"}}}}`, false},
		"what is not downloaded has none": {`{model: {source: {demo: {}}}}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			if same := WeightsFolder(newModel(t, tc.spec)) == base; same != tc.wantSame {
				t.Errorf("same folder: %t, want %t", same, tc.wantSame)
			}
		})
	}
}

func TestRecipe(t *testing.T) {
	recipe := func(spec string, s Situation) string {
		job, err := Download(newModel(t, spec), testImage, s)
		if err != nil {
			t.Fatal(err)
		}
		return job.Annotations[AnnotationRecipe]
	}
	base := recipe(hub, Situation{})
	for name, tc := range map[string]struct {
		spec      string
		situation Situation
		wantSame  bool
	}{
		"what pods run on elsewhere":   {hub, Situation{Keep: []string{"model-0123456789"}}, true},
		"a volume that is bound later": {hub, Situation{Fresh: true}, true},
		"more replicas":                {`{model: {source: {huggingFace: {repo: openai/gpt-oss-20b}}}, replicas: 4}`, Situation{}, true},
		"another token in the Secret":  {hub, Situation{TokenVersion: "2"}, false},
		"another volume":               {hub, Situation{Claim: "2"}, false},
		"a larger volume":              {`{model: {source: {huggingFace: {repo: openai/gpt-oss-20b}}, cache: {size: 1Ti}}}`, Situation{}, false},
		"another Secret":               {`{model: {source: {huggingFace: {repo: openai/gpt-oss-20b, tokenSecretRef: {name: t}}}}}`, Situation{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if same := recipe(tc.spec, tc.situation) == base; same != tc.wantSame {
				t.Errorf("same recipe: %t, want %t", same, tc.wantSame)
			}
		})
	}
}

// TestDownloadArgumentsAreReadBack holds the Jobs to the contract with the program that they run, and their pods apart from
// those of the Service.
func TestDownloadArgumentsAreReadBack(t *testing.T) {
	for _, name := range []string{"huggingface", "http"} {
		m := newModel(t, specs[name])
		job, err := Download(m, testImage, Situation{Keep: []string{"model-0123456789"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, j := range []*corev1.PodTemplateSpec{&job.Spec.Template, &Clean(m, testImage).Spec.Template} {
			args := j.Spec.Containers[0].Args
			o, err := options.ParseCache(args[1:])
			if diff := cmp.Diff(args[1:], o.Args()); err != nil || args[0] != "cache" || diff != "" {
				t.Errorf("%s: %v, %v (-want +got):\n%s", name, args, err, diff)
			}
			if served := FolderOf(&j.Spec); served != "" {
				t.Errorf("%s: a Job counts as serving %s", name, served)
			}
			selected := true
			for key, value := range SelectorLabels(m) {
				selected = selected && j.Labels[key] == value
			}
			if selected {
				t.Errorf("%s: the Service sends clients to %v", name, j.Labels)
			}
		}
		d, err := Deployment(m, testImage)
		if err != nil {
			t.Fatal(err)
		}
		if got := FolderOf(&d.Spec.Template.Spec); got != WeightsFolder(m) {
			t.Errorf("%s: pods serve folder %q, want %q", name, got, WeightsFolder(m))
		}
	}
}

func TestFolderOfAnyRuntime(t *testing.T) {
	for arg, want := range map[string]string{
		"--model=/models/model-0123456789/x.gptoss": "model-0123456789",
		"/models/model-0123456789/files":            "model-0123456789",
		"--model=/models/model-0123456789":          "model-0123456789",
		"--model=/models/model-01234567890/x":       "",
		"--model=/models/mine":                      "",
		"--note=see/models/model-0123456789/x":      "",
	} {
		if got := FolderOf(&corev1.PodSpec{Containers: []corev1.Container{{Args: []string{"--port=1", arg}}}}); got != want {
			t.Errorf("%s: folder %q, want %q", arg, got, want)
		}
	}
}

func TestCacheSize(t *testing.T) {
	for name, tc := range map[string]struct{ spec, want string }{
		"gpt-oss-20b":   {hub, "41Gi"},
		"gpt-oss-120b":  {`{model: {source: {huggingFace: {repo: openai/gpt-oss-120b}}}}`, "198Gi"},
		"a variety":     {`{model: {source: {http: {url: "https://x/GPT-OSS-120B-mxfp4.gguf"}}}}`, "198Gi"},
		"a small one":   {`{model: {name: gpt-oss-demo, source: {huggingFace: {repo: a/b}}}}`, "1Gi"},
		"what one says": {`{model: {source: {huggingFace: {repo: a/b}}, cache: {size: 7Gi}}}`, "7Gi"},
	} {
		t.Run(name, func(t *testing.T) {
			size := cacheSize(newModel(t, tc.spec))
			if size.String() != tc.want {
				t.Errorf("%s, want %s", size.String(), tc.want)
			}
		})
	}
}

func TestAffinityIsForVolumesOfOneNode(t *testing.T) {
	one, many := newModel(t, hub), newModel(t, specs["huggingface"])
	if cacheAffinity(one) == nil || cacheAffinity(many) != nil {
		t.Error("ReadWriteOnce keeps pods together, ReadWriteMany does not")
	}
	job := Clean(one, testImage).Spec.Template
	for _, labels := range []map[string]string{job.Labels, Labels(one)} { // who goes first may go anywhere
		want := cacheAffinity(one).PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution[0].LabelSelector.MatchLabels
		for _, key := range slices.Sorted(maps.Keys(want)) {
			if labels[key] != want[key] {
				t.Errorf("a pod with %v does not match its own affinity %v", labels, want)
			}
		}
	}
}
