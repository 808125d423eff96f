package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
)

const (
	// FieldManager is whose the fields are that this tool writes.
	FieldManager = "kubectl-gptoss"

	// requestsPerSecond and burst are the client's own limits: one person's tool may ask for a snapshot at once.
	requestsPerSecond, burst = 50, 100

	pageSize = 500
)

// Cluster is a connection.
type Cluster struct {
	// Client reads and writes without a cache.
	Client client.Client

	config *rest.Config
	core   rest.Interface // for logs and port-forward, which Client lacks
}

// Connect prepares a connection; nothing is sent yet but the discovery of the API's paths.
func Connect(config *rest.Config) (*Cluster, error) {
	config = rest.CopyConfig(config)
	config.QPS, config.Burst = requestsPerSecond, burst
	config.WarningHandler = rest.NoWarnings{}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	forCore := rest.CopyConfig(config)
	forCore.APIPath, forCore.GroupVersion = "/api", &corev1.SchemeGroupVersion
	forCore.NegotiatedSerializer = clientgoscheme.Codecs.WithoutConversion()
	core, err := rest.RESTClientFor(forCore)
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	return &Cluster{Client: c, config: config, core: core}, nil
}

// Model reads one model. Its error is for people.
func (c *Cluster) Model(ctx context.Context, namespace, name string) (*v1alpha1.GptOssModel, error) {
	m := &v1alpha1.GptOssModel{}
	if err := c.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, m); err != nil {
		return nil, explain(err, fmt.Sprintf("GptOssModel %q in namespace %q", name, namespace))
	}
	return m, nil
}

// Models lists those of a namespace, or of all for "", sorted.
func (c *Cluster) Models(ctx context.Context, namespace string) ([]v1alpha1.GptOssModel, error) {
	var list v1alpha1.GptOssModelList
	var all []v1alpha1.GptOssModel
	for {
		if err := c.Client.List(ctx, &list, client.InNamespace(namespace), client.Limit(pageSize), client.Continue(list.Continue)); err != nil {
			return nil, explain(err, "GptOssModels")
		}
		all = append(all, list.Items...)
		if list.Continue == "" {
			break
		}
	}
	slices.SortFunc(all, func(a, b v1alpha1.GptOssModel) int {
		if n := strings.Compare(a.Namespace, b.Namespace); n != 0 {
			return n
		}
		return strings.Compare(a.Name, b.Name)
	})
	return all, nil
}

// explain turns errors that every user meets once into what to do about them.
func explain(err error, what string) error {
	switch {
	case meta.IsNoMatchError(err):
		return errors.New("this cluster does not know GptOssModels: the operator's CRD is not installed")
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%s does not exist", what)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("you may not read %s: %w", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// Pods lists the server's pods of a model.
func (c *Cluster) Pods(ctx context.Context, m *v1alpha1.GptOssModel) ([]corev1.Pod, error) {
	var list corev1.PodList
	if err := c.Client.List(ctx, &list, client.InNamespace(m.Namespace), client.MatchingLabelsSelector{Selector: selector(m)}); err != nil {
		return nil, explain(err, "the pods of "+m.Name)
	}
	slices.SortFunc(list.Items, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	return list.Items, nil
}

// selector is what the operator published, or, before it has, the labels that it gives to pods.
func selector(m *v1alpha1.GptOssModel) labels.Selector {
	if m.Status.Selector != "" {
		if s, err := labels.Parse(m.Status.Selector); err == nil && !s.Empty() {
			return s
		}
	}
	return labels.SelectorFromSet(labels.Set{"app.kubernetes.io/name": "gptoss-server", "app.kubernetes.io/instance": m.Name})
}

// Ready reports whether a pod answers clients.
func Ready(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// Serving are the ready pods that are not on their way out.
func Serving(pods []corev1.Pod) []corev1.Pod {
	return slices.DeleteFunc(slices.Clone(pods), func(p corev1.Pod) bool { return !Ready(&p) || !p.DeletionTimestamp.IsZero() })
}

// Log reads the end of a container's log, at most limit bytes of at most lines lines.
func (c *Cluster) Log(ctx context.Context, p *corev1.Pod, container string, previous bool, lines, limit int64) ([]byte, error) {
	stream, err := c.core.Get().Namespace(p.Namespace).Resource("pods").Name(p.Name).SubResource("log").
		VersionedParams(&corev1.PodLogOptions{Container: container, Previous: previous, TailLines: &lines, LimitBytes: &limit}, clientgoscheme.ParameterCodec).
		Stream(ctx)
	if err != nil {
		return nil, fmt.Errorf("log of pod %s: %w", p.Name, err)
	}
	defer stream.Close()
	return io.ReadAll(io.LimitReader(stream, limit))
}

// ControlledBy reports whether the object belongs to the model.
func ControlledBy(o metav1.Object, m *v1alpha1.GptOssModel) bool { return metav1.IsControlledBy(o, m) }
