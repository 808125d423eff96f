package controllers

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/resources"
)

// CacheOptions keep the operator small in a big cluster: beside GptOssModels it holds only objects that carry its
// label. managedFields stay, since drift is found by them, but for pods, which the operator does not write. No
// namespaces means all.
func CacheOptions(namespaces []string) cache.Options {
	ours := labels.SelectorFromSet(labels.Set{resources.LabelManagedBy: resources.ManagedBy})
	return cache.Options{
		DefaultNamespaces:    namespaceConfig(namespaces),
		DefaultLabelSelector: ours,
		ByObject: map[client.Object]cache.ByObject{
			&v1alpha1.GptOssModel{}: {Label: labels.Everything()},
			&corev1.Pod{}:           {Label: ours, Transform: cache.TransformStripManagedFields()},
		},
	}
}

// ClientOptions let ServiceMonitors, which have no Go type here, be read from the cache like all other objects.
func ClientOptions() client.Options {
	return client.Options{Cache: &client.CacheOptions{Unstructured: true}}
}

func namespaceConfig(namespaces []string) map[string]cache.Config {
	if len(namespaces) == 0 {
		return nil
	}
	out := make(map[string]cache.Config, len(namespaces))
	for _, name := range namespaces {
		out[name] = cache.Config{}
	}
	return out
}

// newNameCache makes a cache of the names of all Secrets and claims and adds it to the manager: about half a kilobyte for
// each, and no content ever leaves the API server.
func newNameCache(mgr ctrl.Manager, namespaces []string) (cache.Cache, error) {
	names, err := cache.New(mgr.GetConfig(), cache.Options{
		HTTPClient:        mgr.GetHTTPClient(),
		Scheme:            mgr.GetScheme(),
		Mapper:            mgr.GetRESTMapper(),
		DefaultNamespaces: namespaceConfig(namespaces),
		DefaultTransform:  stripToName,
	})
	if err != nil {
		return nil, fmt.Errorf("controllers: cache of names: %w", err)
	}
	if err := mgr.Add(names); err != nil {
		return nil, fmt.Errorf("controllers: cache of names: %w", err)
	}
	return names, nil
}

func nameOnly(kind string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: kind}}
}

// stripToName keeps what identifies an object and tells a change of it.
func stripToName(obj any) (any, error) {
	if p, ok := obj.(*metav1.PartialObjectMetadata); ok {
		p.ObjectMeta = metav1.ObjectMeta{Name: p.Name, Namespace: p.Namespace, UID: p.UID, ResourceVersion: p.ResourceVersion}
	}
	return obj, nil
}
