package metricsapi

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/metrics/pkg/client/custom_metrics"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/resources"
)

var (
	podKind   = schema.GroupKind{Kind: "Pod"}
	modelKind = v1alpha1.GroupVersion.WithKind("GptOssModel").GroupKind()
)

// autoscaler is the client that the HorizontalPodAutoscaler's controller uses, with its discovery.
func autoscaler(t *testing.T, config *rest.Config) custom_metrics.CustomMetricsClient {
	t.Helper()
	asker, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return custom_metrics.NewForConfig(config, newMapper(), custom_metrics.NewAvailableAPIsGetter(asker))
}

// replica is a server with its keeper.
func replica(t *testing.T, a *authority, r *reviews, c client.Client, loads *Loads) (string, *Keeper) {
	t.Helper()
	keeper := &Keeper{Live: c, Writer: c, Service: testService, Now: time.Now}
	if _, err := keeper.ensure(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return serve(t, &Server{API: &API{Reader: c, Loads: loads}, Guard: newGuardFor(t, a, r), Keeper: keeper}), keeper
}

func TestAutoscalersReadFromEveryReplica(t *testing.T) {
	busy, idle := newGauge(t, 7), newGauge(t, 0)
	c := newClient(t, newModel("chat"), busy.pod(t, "chat", "chat-a"), idle.pod(t, "chat", "chat-b"), newGauge(t, 5).pod(t, "other", "other-a"))
	a, asked := newAuthority(t), &reviews{}
	first, keeper := replica(t, a, asked, c, NewLoads())
	second, _ := replica(t, a, asked, c, NewLoads())
	for name, address := range map[string]string{"the replica that made the certificate": first, "another one": second} {
		t.Run(name, func(t *testing.T) {
			metrics := autoscaler(t, proxy(t, a, "front-proxy-client", address, userHPA, keeper.current.Load().bundle)).NamespacedMetrics("team")
			object, err := metrics.GetForObject(modelKind, "chat", resources.ActiveRequestsMetric, labels.Everything())
			if err != nil {
				t.Fatal(err)
			}
			if object.Value.Value() != 7 || object.DescribedObject.Name != "chat" || object.Metric.Name != resources.ActiveRequestsMetric || object.Timestamp.IsZero() {
				t.Errorf("object metric: %+v", object)
			}
			selector := labels.SelectorFromSet(resources.SelectorLabels(newModel("chat")))
			pods, err := metrics.GetForObjects(podKind, selector, resources.ActiveRequestsMetric, labels.Everything())
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]int64{}
			for _, item := range pods.Items {
				got[item.DescribedObject.Name] = item.Value.Value()
			}
			if diff := cmp.Diff(map[string]int64{"chat-a": 7, "chat-b": 0}, got); diff != "" {
				t.Errorf("pods metric (-want +got):\n%s", diff)
			}
			all, err := metrics.GetForObjects(modelKind, labels.Everything(), resources.ActiveRequestsMetric, labels.Everything())
			if err != nil || len(all.Items) != 1 {
				t.Errorf("all models: %v, %v; want the one whose pods are ready", all, err)
			}
		})
	}
}

func TestUnknownIsAnErrorAndNeverZero(t *testing.T) {
	silent := newGauge(t, -1)
	c := newClient(t, newModel("chat"), newModel("starting"), silent.pod(t, "chat", "chat-a"), newGauge(t, 3).pod(t, "chat", "chat-b"))
	a := newAuthority(t)
	address, keeper := replica(t, a, &reviews{}, c, NewLoads())
	metrics := autoscaler(t, proxy(t, a, "front-proxy-client", address, userHPA, keeper.current.Load().bundle)).NamespacedMetrics("team")
	needsLabel, err := labels.Parse("tier=gold")
	if err != nil {
		t.Fatal(err)
	}
	object := func(name, metric string, selector labels.Selector) func() error {
		return func() error {
			_, err := metrics.GetForObject(modelKind, name, metric, selector)
			return err
		}
	}
	for name, tc := range map[string]struct {
		ask  func() error
		is   func(error) bool
		want string
	}{
		"half of the pods are silent": {object("chat", resources.ActiveRequestsMetric, labels.Everything()), apierrors.IsServiceUnavailable, "too few pods"},
		"no pod is ready":             {object("starting", resources.ActiveRequestsMetric, labels.Everything()), apierrors.IsServiceUnavailable, "no pod of GptOssModel"},
		"there is no such model":      {object("nothing", resources.ActiveRequestsMetric, labels.Everything()), apierrors.IsNotFound, "not found"},
		"there is no such metric":     {object("chat", "http_requests", labels.Everything()), apierrors.IsNotFound, "not found"},
		"the metric has no labels":    {object("chat", resources.ActiveRequestsMetric, needsLabel), apierrors.IsNotFound, "not found"},
		"the metric belongs to other kinds": {func() error {
			return getRaw(t, a, address, keeper, "/namespaces/team/services/x/"+resources.ActiveRequestsMetric)
		}, apierrors.IsNotFound, "not found"},
		"the path is none": {func() error { return getRaw(t, a, address, keeper, "/nodes/x") }, apierrors.IsNotFound, "could not find"},
		"a selector cannot be read": {
			func() error {
				return getRaw(t, a, address, keeper, "/namespaces/team/pods/*/"+resources.ActiveRequestsMetric+"?labelSelector=%3D%3D")
			}, apierrors.IsBadRequest, "labelSelector",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := tc.ask(); err == nil || !tc.is(err) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
	t.Run("a silent pod is left out of the Pods metric", func(t *testing.T) {
		pods, err := metrics.GetForObjects(podKind, labels.Everything(), resources.ActiveRequestsMetric, labels.Everything())
		if err != nil || len(pods.Items) != 1 || pods.Items[0].DescribedObject.Name != "chat-b" {
			t.Errorf("got %v, %v; want chat-b alone", pods, err)
		}
	})
}

// getRaw asks for a path below the version, as the autoscaler's user.
func getRaw(t *testing.T, a *authority, address string, keeper *Keeper, path string) error {
	t.Helper()
	return raw(t, proxy(t, a, "front-proxy-client", address, userHPA, keeper.current.Load().bundle), versionPath+path)
}

func raw(t *testing.T, config *rest.Config, path string) error {
	t.Helper()
	asker, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return asker.RESTClient().Get().RequestURI(path).Do(t.Context()).Error()
}

func TestOnlyTheFrontProxyGetsThrough(t *testing.T) {
	c := newClient(t, newModel("chat"), newGauge(t, 1).pod(t, "chat", "chat-a"))
	a, other := newAuthority(t), newAuthority(t)
	address, keeper := replica(t, a, &reviews{}, c, NewLoads())
	bundle := keeper.current.Load().bundle
	metric := versionPath + "/namespaces/team/gptossmodels.gptoss.dev/chat/" + resources.ActiveRequestsMetric
	anonymous := proxy(t, a, "front-proxy-client", address, userHPA, bundle)
	anonymous.CertData, anonymous.KeyData = nil, nil
	for name, tc := range map[string]struct {
		config *rest.Config
		path   string
		is     func(error) bool
	}{
		"without a certificate, headers are worth nothing": {anonymous, metric, apierrors.IsUnauthorized},
		"a certificate of another authority":               {proxy(t, other, "front-proxy-client", address, userHPA, bundle), metric, apierrors.IsUnauthorized},
		"a certificate of another name":                    {proxy(t, a, "kubelet", address, userHPA, bundle), metric, apierrors.IsUnauthorized},
		"no user":                                          {proxy(t, a, "front-proxy-client", address, "", bundle), metric, apierrors.IsUnauthorized},
		"a user who may not":                               {proxy(t, a, "front-proxy-client", address, userStranger, bundle), metric, apierrors.IsForbidden},
		"a user who may not even look around":              {proxy(t, a, "front-proxy-client", address, userStranger, bundle), versionPath, apierrors.IsForbidden},
		"a user of another namespace": {
			proxy(t, a, "front-proxy-client", address, userTeam, bundle),
			versionPath + "/namespaces/red/gptossmodels.gptoss.dev/chat/" + resources.ActiveRequestsMetric, apierrors.IsForbidden,
		},
		"a user of the namespace": {proxy(t, a, "front-proxy-client", address, userTeam, bundle), metric, func(err error) bool { return err == nil }},
	} {
		t.Run(name, func(t *testing.T) {
			if err := raw(t, tc.config, tc.path); !tc.is(err) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestAutoscalerCostsOneReview: a thousand models must not be a thousand questions to kube-apiserver.
func TestAutoscalerCostsOneReview(t *testing.T) {
	c := newClient(t, newModel("one"), newModel("two"), newGauge(t, 1).pod(t, "one", "one-a"), newGauge(t, 1).pod(t, "two", "two-a"))
	a, asked := newAuthority(t), &reviews{}
	address, keeper := replica(t, a, asked, c, NewLoads())
	for _, name := range []string{"one", "two", "one"} {
		if err := getRaw(t, a, address, keeper, "/namespaces/team/gptossmodels.gptoss.dev/"+name+"/"+resources.ActiveRequestsMetric); err != nil {
			t.Fatal(err)
		}
	}
	questions := asked.questions()
	if len(questions) != 1 || questions[0].ResourceAttributes == nil || questions[0].ResourceAttributes.Name != "" || questions[0].ResourceAttributes.Subresource != resources.ActiveRequestsMetric {
		t.Errorf("asked %+v, want one question about the metric of all models", questions)
	}
}

func TestServerWithoutACertificateRefusesHandshakes(t *testing.T) {
	c := newClient(t)
	keeper := &Keeper{Live: c, Writer: c, Service: testService, Now: time.Now}
	a := newAuthority(t)
	address := serve(t, &Server{API: &API{Reader: c, Loads: NewLoads()}, Guard: newGuardFor(t, a, &reviews{}), Keeper: keeper})
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "https://"+address+versionPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	if response, err := http.DefaultClient.Do(request); err == nil {
		_ = response.Body.Close()
		t.Error("a server without a certificate answered")
	}
}
