package controllers

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/yaml"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/metricsapi"
)

const (
	testImage = "example.com/gptoss-server:test"

	// resync is the shortest that informers allow, so that a steady state is seen through several of them.
	resync = time.Second
)

var (
	testEnv *envtest.Environment
	scheme  = runtime.NewScheme()
	k8s     client.Client // the user: reads and writes without a cache, and is not counted
	writes  = &writeLog{}
	stop    func()
	// operator is who the reconciler runs as.
	operator *rest.Config
)

func TestControllers(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(20 * time.Second)
	SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	RunSpecs(t, "controllers on a real API server")
}

var _ = BeforeSuite(func() {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		Fail("KUBEBUILDER_ASSETS is not set: it must name a directory with kube-apiserver, etcd and kubectl; " +
			"`make test` builds one and sets it")
	}
	ctrl.SetLogger(GinkgoLogr)
	testEnv = &envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join("..", "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
	}
	config, err := testEnv.Start()
	Expect(err).NotTo(HaveOccurred())
	Expect(clientgoscheme.AddToScheme(scheme)).To(Succeed())
	Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	Expect(apiextensionsv1.AddToScheme(scheme)).To(Succeed())
	k8s, err = client.New(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	prepareMetricsAPI()
	operator = asOperator(config)
	stop = startManager(operator, testImage)
})

var _ = AfterSuite(func() {
	if stop != nil {
		stop() // before the API server goes, or its watches would hold it up
	}
	if testEnv != nil {
		Expect(testEnv.Stop()).To(Succeed())
	}
})

// asOperator returns the credentials of a user that has the rights of the operator's roles, and no others.
func asOperator(config *rest.Config) *rest.Config {
	GinkgoHelper()
	const name = "gptoss-operator"
	subjects := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}}
	for _, file := range []string{"role.yaml", "metrics_api_role.yaml"} {
		text, err := os.ReadFile(filepath.Join("..", "config", "rbac", file))
		Expect(err).NotTo(HaveOccurred())
		for part := range strings.SplitSeq(string(text), "\n---\n") {
			role := &unstructured.Unstructured{}
			Expect(yaml.Unmarshal([]byte(part), role)).To(Succeed())
			Expect(k8s.Create(context.Background(), role)).To(Succeed())
			ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: role.GetKind(), Name: role.GetName()}
			meta := metav1.ObjectMeta{Name: role.GetName(), Namespace: role.GetNamespace()}
			if role.GetNamespace() == "" {
				Expect(k8s.Create(context.Background(), &rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects})).To(Succeed())
			} else {
				Expect(k8s.Create(context.Background(), &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects})).To(Succeed())
			}
		}
	}
	user, err := testEnv.AddUser(envtest.User{Name: name}, config)
	Expect(err).NotTo(HaveOccurred())
	return rest.CopyConfig(user.Config())
}

// startManager runs the reconciler as the program does, its writes counted, until the function it returns is called.
func startManager(config *rest.Config, image string) func() {
	GinkgoHelper()
	counted := rest.CopyConfig(config)
	counted.Wrap(writes.wrap)
	cacheOptions := CacheOptions(nil)
	every := resync
	cacheOptions.SyncPeriod = &every
	mgr, err := ctrl.NewManager(counted, ctrl.Options{
		Scheme: scheme, Cache: cacheOptions, Client: ClientOptions(), Metrics: metricsserver.Options{BindAddress: "0"},
		Controller: ctrlconfig.Controller{SkipNameValidation: new(true)}, // specs start it again, as another version
	})
	Expect(err).NotTo(HaveOccurred())
	r := &Reconciler{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Recorder: mgr.GetEventRecorder("test"), ServerImage: image}
	keeper := &metricsapi.Keeper{Live: mgr.GetAPIReader(), Writer: mgr.GetClient(), Service: metricsService, Now: time.Now}
	r.Registration = &metricsapi.Registrar{Live: mgr.GetAPIReader(), Writer: mgr.GetClient(), Keeper: keeper, Interval: 200 * time.Millisecond}
	r.Loads = metricsapi.NewLoads()
	ctx, cancel := context.WithCancel(context.Background())
	Expect(r.SetupWithManager(ctx, mgr, Options{MaxConcurrentReconciles: 4, APICheckInterval: 200 * time.Millisecond, ProgressInterval: progressInterval})).To(Succeed())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	return func() {
		cancel()
		Eventually(ended).Should(Receive(BeNil()))
	}
}

// writeLog is a transport that notes every request of the operator that could change something.
type writeLog struct {
	mu   sync.Mutex
	list []string
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (w *writeLog) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.Method != http.MethodGet {
			w.mu.Lock()
			w.list = append(w.list, r.Method+" "+r.URL.Path)
			w.mu.Unlock()
		}
		return next.RoundTrip(r)
	})
}

// in returns the writes to a namespace so far, or to all of them for "".
func (w *writeLog) in(namespace string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, line := range w.list {
		if namespace == "" || strings.Contains(line+"/", "/namespaces/"+namespace+"/") {
			out = append(out, line)
		}
	}
	return out
}

// metricTotal sums a counter of the API server over the series whose labels contain all of the texts.
func metricTotal(ctx context.Context, name string, texts ...string) float64 {
	GinkgoHelper()
	httpClient, err := rest.HTTPClientFor(testEnv.Config)
	Expect(err).NotTo(HaveOccurred())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(testEnv.Config.Host, "/")+"/metrics", nil)
	Expect(err).NotTo(HaveOccurred())
	response, err := httpClient.Do(request)
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = response.Body.Close() }()
	Expect(response.StatusCode).To(Equal(http.StatusOK))
	total, lines := 0.0, bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
next:
	for lines.Scan() {
		if !strings.HasPrefix(lines.Text(), name+"{") {
			continue
		}
		for _, text := range texts {
			if !strings.Contains(lines.Text(), text) {
				continue next
			}
		}
		var value float64
		_, err := fmt.Sscan(lines.Text()[strings.LastIndexByte(lines.Text(), ' ')+1:], &value)
		Expect(err).NotTo(HaveOccurred())
		total += value
	}
	Expect(lines.Err()).NotTo(HaveOccurred())
	return total
}
