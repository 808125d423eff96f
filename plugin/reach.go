package plugin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/plugin/cluster"
	"github.com/gptoss/gptoss-operator/plugin/keyfile"
)

// keyVariable may hold the key of somebody who must not read the Secret.
const keyVariable = "GPTOSS_API_KEY"

var errTimeout = errors.New("it took too long")

func withTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, errTimeout)
}

// called is a model that can be called.
type called struct {
	cluster *cluster.Cluster
	model   *v1alpha1.GptOssModel
	pods    []corev1.Pod // that serve it, at least one
	key     string
}

// reach finds a model, its pods and a key to call it with.
func (a *app) reach(ctx context.Context, name, keyFile string) (to called, err error) {
	var namespace string
	if to.cluster, namespace, err = a.connect(); err != nil {
		return to, err
	}
	if to.model, err = to.cluster.Model(ctx, namespace, name); err != nil {
		return to, err
	}
	if to.pods, err = servingPods(ctx, to.cluster, to.model); err != nil {
		return to, err
	}
	to.key, err = a.modelKey(ctx, to.cluster, to.model, keyFile)
	return to, err
}

// modelKey finds the key to call a model with: that of the environment or of a file, or else of the model's Secret.
func (a *app) modelKey(ctx context.Context, k *cluster.Cluster, m *v1alpha1.GptOssModel, file string) (string, error) {
	if file != "" {
		content, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		return strings.TrimSpace(string(content)), nil
	}
	if key := a.env(keyVariable); key != "" {
		return key, nil
	}
	name, entry := m.APIKeySecret()
	if name == "" {
		return "", nil
	}
	secret := &corev1.Secret{}
	if err := k.Client.Get(ctx, client.ObjectKey{Namespace: m.Namespace, Name: name}, secret); err != nil {
		return "", fmt.Errorf("the key is in Secret %q: %w; give another with --key-file or %s", name, err, keyVariable)
	}
	f, err := keyfile.Parse(secret.Data[entry])
	if err != nil {
		return "", fmt.Errorf("secret %q, entry %q: %w", name, entry, err)
	}
	key, err := f.Key(a.now())
	if err != nil {
		return "", fmt.Errorf("secret %q, entry %q: %w; give a key with --key-file or %s", name, entry, err, keyVariable)
	}
	return key, nil
}

// servingPods are those that may be asked, or an error that tells where to look.
func servingPods(ctx context.Context, k *cluster.Cluster, m *v1alpha1.GptOssModel) ([]corev1.Pod, error) {
	pods, err := k.Pods(ctx, m)
	if err != nil {
		return nil, err
	}
	serving := cluster.Serving(pods)
	if len(serving) == 0 {
		return nil, fmt.Errorf("no pod of %s serves; kubectl gptoss why %s tells more", m.Name, m.Name)
	}
	return serving, nil
}
