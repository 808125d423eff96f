package plugin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/plugin/cluster"
	"github.com/gptoss/gptoss-operator/plugin/screen"
)

// The API server that all tests of this package share. Nobody works in it: tests play the operator, the controllers and the kubelet.
var (
	apiServer *rest.Config
	k8s       client.Client
)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		if os.Getenv("KUBEBUILDER_ASSETS") == "" {
			fmt.Fprintln(os.Stderr, "KUBEBUILDER_ASSETS is not set: it must name a directory with kube-apiserver and etcd; `make test` builds one and sets it")
			return 1
		}
		env := &envtest.Environment{CRDDirectoryPaths: []string{filepath.Join("..", "config", "crd", "bases")}, ErrorIfCRDPathMissing: true}
		config, err := env.Start()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		c, err := cluster.Connect(config)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		apiServer, k8s = config, c.Client
		status := m.Run()
		if err := env.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		return status
	}())
}

// tool runs a command line as the program would, later than now, so that everything in the API server is old enough.
func tool(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	a := &app{
		Streams: Streams{In: strings.NewReader(""), Out: &out, Err: &errs}, env: func(string) string { return "" }, version: "test",
		screen: screen.New(&out, &errs, func(string) string { return "" }), now: func() time.Time { return time.Now().Add(time.Minute) },
		loading: &clientcmd.ClientConfigLoadingRules{}, config: apiServer,
	}
	return a.run(t.Context(), args), out.String(), errs.String()
}

// world is a namespace with a model in it.
type world struct {
	t         *testing.T
	namespace string
	model     *v1alpha1.GptOssModel
}

const demoSpec = `{model: {source: {demo: {}}}}`

func newWorld(t *testing.T, spec string) *world {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	m := &v1alpha1.GptOssModel{}
	if err := errors.Join(k8s.Create(t.Context(), ns), yaml.UnmarshalStrict([]byte(spec), &m.Spec)); err != nil {
		t.Fatal(err)
	}
	m.Namespace, m.Name = ns.Name, "chat"
	w := &world{t, ns.Name, m}
	w.create(m)
	return w
}

func (w *world) create(o client.Object) {
	w.t.Helper()
	o.SetNamespace(w.namespace)
	if err := k8s.Create(w.t.Context(), o); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) status(o client.Object) {
	w.t.Helper()
	if err := k8s.Status().Update(w.t.Context(), o); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) owned() metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: "chat", Labels: map[string]string{"app.kubernetes.io/name": "gptoss-server", "app.kubernetes.io/instance": "chat"},
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(w.model, v1alpha1.GroupVersion.WithKind("GptOssModel"))},
	}
}

// observed plays the operator's status.
func (w *world) observed(reason, message string) {
	w.t.Helper()
	w.model.Status.ObservedGeneration = w.model.Generation
	status := metav1.ConditionFalse
	if reason == "Ready" {
		status = metav1.ConditionTrue
	}
	w.model.Status.Conditions = []metav1.Condition{{Type: "Ready", Status: status, Reason: reason, Message: message, ObservedGeneration: w.model.Generation, LastTransitionTime: metav1.Now()}}
	w.status(w.model)
}

// deployed plays the operator and the Deployment's controller.
func (w *world) deployed() *appsv1.Deployment {
	w.t.Helper()
	w.observed("Progressing", "pods are being created")
	meta := w.owned()
	d := &appsv1.Deployment{ObjectMeta: meta}
	d.Spec.Replicas, d.Spec.Selector = new(int32(1)), &metav1.LabelSelector{MatchLabels: meta.Labels}
	d.Spec.Template.Labels = meta.Labels
	d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "server", Image: "example.com/server:1"}}
	w.create(d)
	return d
}

// pod plays the ReplicaSet's controller, the scheduler and the kubelet.
func (w *world) pod(status corev1.PodStatus) *corev1.Pod {
	w.t.Helper()
	d := w.deployed()
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "chat-1", Labels: d.Labels}, Spec: *d.Spec.Template.Spec.DeepCopy()}
	p.Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: *mib(512)}
	w.create(p)
	p.Status = status
	w.status(p)
	return p
}

func (w *world) event(kind, name, reason, message string) {
	w.t.Helper()
	w.create(&corev1.Event{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "e-"}, InvolvedObject: corev1.ObjectReference{Kind: kind, Name: name, Namespace: w.namespace},
		Type: corev1.EventTypeWarning, Reason: reason, Message: message, LastTimestamp: metav1.Now(),
	})
}

type answer struct {
	Ready            bool
	Reason, Sentence string
}

func (w *world) why() (answer, int) {
	w.t.Helper()
	status, out, errs := tool(w.t, "why", "chat", "-n", w.namespace, "-o", "json")
	var a answer
	if err := json.Unmarshal([]byte(out), &a); err != nil {
		w.t.Fatalf("status %d, %v\n%s%s", status, err, out, errs)
	}
	return a, status
}
