package metricsapi

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	kubefake "k8s.io/client-go/kubernetes/fake"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/resources"
)

// What follows plays kube-apiserver: its objects, its front proxy and its answers to reviews; and the pods.

var (
	testService = types.NamespacedName{Namespace: "gptoss-system", Name: "gptoss-operator-metrics-api"}
	testStart   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

func newScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return scheme
}

func newClient(t *testing.T, objects ...client.Object) client.WithWatch {
	t.Helper()
	return fake.NewClientBuilder().WithScheme(newScheme(t)).WithObjects(objects...).Build()
}

func newMapper() meta.RESTMapper {
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{corev1.SchemeGroupVersion, v1alpha1.GroupVersion})
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Pod"), meta.RESTScopeNamespace)
	mapper.Add(v1alpha1.GroupVersion.WithKind("GptOssModel"), meta.RESTScopeNamespace)
	return mapper
}

// gauge is a pod's server: it shows a number of active requests, or fails while the number is negative.
type gauge struct {
	*httptest.Server
	active atomic.Int64
	reads  atomic.Int64
}

func newGauge(t *testing.T, active int64) *gauge {
	t.Helper()
	g := &gauge{}
	g.active.Store(active)
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.reads.Add(1)
		n := g.active.Load()
		if n < 0 || r.URL.Path != "/metrics" {
			http.Error(w, "no", http.StatusInternalServerError)
			return
		}
		_, _ = fmt.Fprintf(w, "# TYPE gpt_oss_active_requests gauge\ngpt_oss_active_requests %d\n", n)
	}))
	t.Cleanup(g.Close)
	return g
}

// pod is a ready pod of a model that the gauge serves.
func (g *gauge) pod(t *testing.T, model, name string) *corev1.Pod {
	t.Helper()
	u, err := url.Parse(g.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: name, UID: types.UID("uid-" + name), Labels: map[string]string{
			resources.LabelName: resources.Name, resources.LabelInstance: model, resources.LabelManagedBy: resources.ManagedBy,
		}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: resources.ContainerName, Ports: []corev1.ContainerPort{{Name: resources.PortName, ContainerPort: int32(port)}},
		}}},
		Status: corev1.PodStatus{PodIP: u.Hostname(), Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
	}
}

func newModel(name string) *v1alpha1.GptOssModel {
	return &v1alpha1.GptOssModel{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: name},
		Spec:       v1alpha1.GptOssModelSpec{Autoscaling: &v1alpha1.AutoscalingSpec{MaxReplicas: 9}},
	}
}

// authority signs front-proxy certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{certificate: &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "front-proxy-ca"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}}
	a.key = newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, a.certificate, a.certificate, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// client makes a client certificate and its key, in PEM.
func (a *authority) client(t *testing.T, name string) (certificate, key []byte) {
	t.Helper()
	k := newKey(t)
	leaf := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name}, NotBefore: a.certificate.NotBefore, NotAfter: a.certificate.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, a.certificate, k.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return encode("CERTIFICATE", der), encode("PRIVATE KEY", keyDER)
}

// reviews plays the API server's answers to whether somebody may, and counts the questions.
type reviews struct {
	mu    sync.Mutex
	asked []authorizationv1.SubjectAccessReviewSpec
}

func (r *reviews) questions() []authorizationv1.SubjectAccessReviewSpec {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]authorizationv1.SubjectAccessReviewSpec(nil), r.asked...)
}

// The users: hpa may read everything, team only what is in its namespace, stranger nothing.
const (
	userHPA      = "system:serviceaccount:kube-system:horizontal-pod-autoscaler"
	userTeam     = "system:serviceaccount:team:keda"
	userStranger = "mallory"
)

func (r *reviews) allowed(s authorizationv1.SubjectAccessReviewSpec) bool {
	r.mu.Lock()
	r.asked = append(r.asked, s)
	r.mu.Unlock()
	switch s.User {
	case userHPA:
		return true
	case userTeam:
		return s.NonResourceAttributes != nil || (s.ResourceAttributes.Namespace == "team" && s.ResourceAttributes.Group == group && s.ResourceAttributes.Verb == "get")
	}
	return false
}

// cluster is a clientset whose reviews go to a server: what asks for them needs more than a fake.
type cluster struct {
	*kubefake.Clientset
	reviews authorizationclient.AuthorizationV1Interface
}

func (c cluster) AuthorizationV1() authorizationclient.AuthorizationV1Interface { return c.reviews }

// newGuardFor makes a guard that knows the authority, whose reviews are answered.
func newGuardFor(t *testing.T, a *authority, r *reviews) *Guard {
	t.Helper()
	clientset := kubefake.NewClientset(&corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: authenticationNamespace, Name: authenticationConfigMap},
		Data: map[string]string{
			"requestheader-client-ca-file":       string(encode("CERTIFICATE", a.certificate.Raw)),
			"requestheader-allowed-names":        `["front-proxy-client"]`,
			"requestheader-username-headers":     `["X-Remote-User"]`,
			"requestheader-uid-headers":          `["X-Remote-Uid"]`,
			"requestheader-group-headers":        `["X-Remote-Group"]`,
			"requestheader-extra-headers-prefix": `["X-Remote-Extra-"]`,
		},
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		var review authorizationv1.SubjectAccessReview
		if err := json.NewDecoder(request.Body).Decode(&review); err != nil {
			t.Errorf("%s %s: %v", request.Method, request.URL, err)
		}
		review.Status.Allowed = r.allowed(review.Spec)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(review)
	}))
	t.Cleanup(server.Close)
	asked, err := authorizationclient.NewForConfig(&rest.Config{Host: server.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}})
	if err != nil {
		t.Fatal(err)
	}
	guard, err := NewGuard(cluster{clientset, asked})
	if err != nil {
		t.Fatal(err)
	}
	return guard
}

// serve runs a replica and returns its address.
func serve(t *testing.T, s *Server) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Listener = listener
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	return listener.Addr().String()
}

// proxy is how kube-apiserver asks a replica for a user.
func proxy(t *testing.T, a *authority, commonName, address, user string, bundle []byte) *rest.Config {
	t.Helper()
	certificate, key := a.client(t, commonName)
	config := &rest.Config{Host: "https://" + address, TLSClientConfig: rest.TLSClientConfig{
		CAData: bundle, CertData: certificate, KeyData: key, ServerName: testService.Name + "." + testService.Namespace + ".svc",
	}}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			r = r.Clone(r.Context())
			r.Header.Set("X-Remote-User", user)
			r.Header.Set("X-Remote-Group", "system:authenticated")
			return next.RoundTrip(r)
		})
	})
	return config
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// clock is a time that a test moves.
type clock struct{ at atomic.Int64 }

func newClock(at time.Time) *clock {
	c := &clock{}
	c.at.Store(at.UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.at.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.at.Add(int64(d)) }
