package v1alpha1

import (
	"encoding/json"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

func TestDecimalKeepsItsText(t *testing.T) {
	for name, tc := range map[string]struct{ text, wantError string }{
		"a fraction without exact binary form": {text: "0.7"},
		"zeros at the end":                     {text: "1.50"},
		"an exponent":                          {text: "1e-2"},
		"a string":                             {text: `"0.7"`, wantError: "not a decimal number"},
		"a boolean":                            {text: "true", wantError: "not a decimal number"},
		"beyond float64":                       {text: "1e999", wantError: "not a decimal number"},
	} {
		t.Run(name, func(t *testing.T) {
			var g GenerationSpec
			err := json.Unmarshal([]byte(`{"temperature":`+tc.text+`}`), &g)
			if tc.wantError != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantError) {
					t.Fatalf("error %v, want one with %q", err, tc.wantError)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			out, err := json.Marshal(g)
			if want := `{"temperature":` + tc.text + `}`; err != nil || string(out) != want {
				t.Errorf("wrote %s (%v), want %s", out, err, want)
			}
		})
	}
}

func TestDefaultsFromTheSource(t *testing.T) {
	for name, tc := range map[string]struct{ spec, wantModel, wantSecret, wantEntry string }{
		"demo":              {`{model: {source: {demo: {}}}}`, "gpt-oss-demo", "chat-api-key", "api-key"},
		"a name":            {`{model: {name: mine, source: {demo: {}}}}`, "mine", "chat-api-key", "api-key"},
		"a folder":          {`{model: {source: {persistentVolumeClaim: {claimName: c, path: a/b}}}}`, "b", "chat-api-key", "api-key"},
		"a whole volume":    {`{model: {source: {persistentVolumeClaim: {claimName: c}}}}`, "c", "chat-api-key", "api-key"},
		"a repository":      {`{model: {source: {huggingFace: {repo: openai/gpt-oss-20b}}}}`, "gpt-oss-20b", "chat-api-key", "api-key"},
		"a file":            {`{model: {source: {http: {url: "https://x/a/gpt-oss-20b-mxfp4.gguf?sig=/b.c"}}}}`, "gpt-oss-20b-mxfp4", "chat-api-key", "api-key"},
		"an odd file":       {`{model: {source: {http: {url: "https://x/%21a%20b.gguf"}}}}`, "a-b", "chat-api-key", "api-key"},
		"no file":           {`{model: {source: {http: {url: "https://x/%21"}}}}`, "model", "chat-api-key", "api-key"},
		"an image":          {`{model: {source: {image: {reference: "r:5000/m/gpt-oss-120b:1.0@sha256:00"}}}}`, "gpt-oss-120b", "chat-api-key", "api-key"},
		"an image in short": {`{model: {source: {image: {reference: gpt-oss-20b}}}}`, "gpt-oss-20b", "chat-api-key", "api-key"},
		"a Secret":          {`{model: {source: {demo: {}}}, auth: {apiKeys: {secretRef: {name: s}}}}`, "gpt-oss-demo", "s", "api-key"},
		"a Secret's entry":  {`{model: {source: {demo: {}}}, auth: {apiKeys: {secretRef: {name: s, key: k}}}}`, "gpt-oss-demo", "s", "k"},
		"nobody's key":      {`{model: {source: {demo: {}}}, auth: {anonymous: {}}}`, "gpt-oss-demo", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := &GptOssModel{}
			m.Name = "chat"
			if err := yaml.UnmarshalStrict([]byte(tc.spec), &m.Spec); err != nil {
				t.Fatal(err)
			}
			secret, entry := m.APIKeySecret()
			if m.ModelName() != tc.wantModel || secret != tc.wantSecret || entry != tc.wantEntry {
				t.Errorf("model %q, Secret %q, entry %q; want %q, %q, %q", m.ModelName(), secret, entry, tc.wantModel, tc.wantSecret, tc.wantEntry)
			}
		})
	}
}
