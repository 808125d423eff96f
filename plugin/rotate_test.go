package plugin

import (
	"archive/tar"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const oldKey = "sk-the-old-one"

func (w *world) generated() {
	w.t.Helper()
	s := &corev1.Secret{ObjectMeta: w.owned(), Data: map[string][]byte{"api-key": []byte(oldKey)}}
	s.Name = "chat-api-key"
	w.create(s)
}

func TestRotateKey(t *testing.T) {
	w := newWorld(t, demoSpec)
	w.generated()
	said := ""
	run := func(want int, args ...string) {
		t.Helper()
		status, out, errs := tool(t, append([]string{"rotate-key", "chat", "-n", w.namespace}, args...)...)
		if status != want {
			t.Fatalf("status %d, want %d\n%s%s", status, want, out, errs)
		}
		said += out + errs
	}
	run(StatusDone, "--keep-old")
	both := strings.Fields(string(w.secret("chat-api-key").Data["api-key"]))
	if len(both) != 2 || both[0] != oldKey {
		t.Fatalf("%d keys, want the old one and a new one", len(both))
	}
	run(StatusDone) // goes on, with the same new key
	s := w.secret("chat-api-key")
	if got := string(s.Data["api-key"]); got != both[1] || s.Annotations[rotationAnnotation] != "" {
		t.Errorf("the Secret does not hold just the new key, or still the mark %q", s.Annotations[rotationAnnotation])
	}
	for _, key := range both {
		if strings.Contains(said, key) || strings.Contains(said, base64.StdEncoding.EncodeToString([]byte(key))) {
			t.Errorf("a key was shown:\n%s", said)
		}
	}
}

// A pod that runs and cannot be asked, as there is no kubelet here, may not have the new key.
func TestRotateKeyKeepsTheOldOneUntilEveryPodHasTheNew(t *testing.T) {
	w := newWorld(t, demoSpec)
	w.generated()
	s := podReady()
	s.ContainerStatuses = []corev1.ContainerStatus{{Name: "server", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
	w.pod(s)
	status, out, errs := tool(t, "rotate-key", "chat", "-n", w.namespace, "--timeout", "3s")
	if status != StatusNo || !strings.Contains(errs, "both the old and the new key are valid") {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
	if keys := strings.Fields(string(w.secret("chat-api-key").Data["api-key"])); len(keys) != 2 || keys[0] != oldKey {
		t.Errorf("%d keys are left", len(keys))
	}
}

func TestRotateKeyLeavesForeignSecretsAlone(t *testing.T) {
	w := newWorld(t, `{model: {source: {demo: {}}}, auth: {apiKeys: {secretRef: {name: team}}}}`)
	w.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "team"}, Data: map[string][]byte{"api-key": []byte(oldKey), "other": []byte("stays")}})
	args := []string{"rotate-key", "chat", "-n", w.namespace}
	if status, _, errs := tool(t, args...); status != StatusFailed || !strings.Contains(errs, "--force") {
		t.Errorf("status %d, %s", status, errs)
	}
	if got := string(w.secret("team").Data["api-key"]); got != oldKey {
		t.Error("the Secret was changed")
	}
	if status, _, errs := tool(t, append(args, "--force")...); status != StatusDone {
		t.Errorf("status %d, %s", status, errs)
	}
	if s := w.secret("team"); string(s.Data["api-key"]) == oldKey || string(s.Data["other"]) != "stays" {
		t.Error("the key is the old one, or another entry was changed")
	}
}

func TestSupportBundle(t *testing.T) {
	w := newWorld(t, demoSpec)
	w.generated()
	secrets := []string{oldKey, "hunter22-of-somebody-else"}
	w.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "somebody-elses"}, Data: map[string][]byte{"password": []byte(secrets[1])}})
	d := w.deployed()
	d.Annotations = map[string]string{"note": "the password is " + secrets[1], "kubectl.kubernetes.io/last-applied-configuration": oldKey}
	d.Spec.Template.Spec.Containers[0].Args = []string{"--api-key", base64.StdEncoding.EncodeToString([]byte(oldKey))}
	d.Spec.Template.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "HF_TOKEN", Value: "never-in-a-secret"}}
	if err := k8s.Update(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	w.event("Deployment", "chat", "Odd", "somebody wrote "+oldKey+" into an event")
	file := filepath.Join(t.TempDir(), "chat.tar.gz")
	status, out, errs := tool(t, "support-bundle", "chat", "-n", w.namespace, "-o", file)
	if status != StatusDone {
		t.Fatalf("status %d\n%s%s", status, out, errs)
	}
	files := unpack(t, file)
	for _, want := range []string{"chat/about.txt", "chat/diagnosis.json", "chat/events.txt", "chat/objects/GptOssModel-chat.yaml", "chat/objects/Deployment-chat.yaml"} {
		if files[want] == "" {
			t.Errorf("%s is not in it, or empty", want)
		}
	}
	for name, text := range files {
		for _, secret := range append(secrets, "never-in-a-secret", base64.StdEncoding.EncodeToString([]byte(oldKey))) {
			if strings.Contains(text, secret) {
				t.Errorf("%q is in %s:\n%s", secret, name, text)
			}
		}
	}
	if !strings.Contains(files["chat/events.txt"], "somebody wrote [redacted] into an event") {
		t.Errorf("events:\n%s", files["chat/events.txt"])
	}
}

func unpack(t *testing.T, path string) map[string]string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	gz, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for r := tar.NewReader(gz); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		all[h.Name] = string(text)
	}
}
