package metricsapi

import (
	"encoding/json"
	"errors"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/metrics/pkg/apis/custom_metrics/v1beta2"

	"github.com/gptoss/gptoss-operator/controllers/resources"
)

const (
	group       = "custom.metrics.k8s.io"
	groupPath   = "/apis/" + group
	versionPath = groupPath + "/v1beta2"
)

// Handler serves the API to those whom the guard lets through.
func (a *API) Handler(guard *Guard) http.Handler {
	mux := http.NewServeMux()
	static := func(path string, document any) {
		mux.HandleFunc("GET "+path, guard.protect(pathAttributes, func(*http.Request) (any, error) { return document, nil }))
	}
	static("/apis", &metav1.APIGroupList{TypeMeta: typed("APIGroupList"), Groups: []metav1.APIGroup{discoveredGroup()}})
	discovered := discoveredGroup()
	static(groupPath, &discovered)
	static(versionPath, discoveredResources())
	mux.HandleFunc("GET "+versionPath+"/namespaces/{namespace}/{resource}/{name}/{metric}", guard.protect(metricAttributes, a.answer))
	mux.HandleFunc("/", guard.protect(pathAttributes, func(*http.Request) (any, error) {
		return nil, apierrors.NewGenericServerResponse(http.StatusNotFound, "get", v1beta2.Resource(""), "", "the server has no such path", 0, false)
	}))
	return mux
}

func (a *API) answer(r *http.Request) (any, error) {
	q := query{namespace: r.PathValue("namespace"), resource: r.PathValue("resource"), name: r.PathValue("name"), metric: r.PathValue("metric")}
	for _, s := range []struct {
		parameter string
		to        *labels.Selector
	}{{"labelSelector", &q.selector}, {"metricLabelSelector", &q.metricSelector}} {
		parsed, err := labels.Parse(r.URL.Query().Get(s.parameter))
		if err != nil {
			return nil, apierrors.NewBadRequest(s.parameter + ": " + err.Error())
		}
		*s.to = parsed
	}
	return a.ask(r.Context(), q)
}

// pathAttributes are those of a document that belongs to no object.
func pathAttributes(r *http.Request, who user.Info) authorizer.AttributesRecord {
	return authorizer.AttributesRecord{User: who, Verb: "get", Path: r.URL.Path}
}

// metricAttributes are those that kube-apiserver reads from the same path: a metric is a subresource.
func metricAttributes(r *http.Request, who user.Info) authorizer.AttributesRecord {
	return authorizer.AttributesRecord{
		User: who, Verb: "get", ResourceRequest: true, Path: r.URL.Path,
		APIGroup: group, APIVersion: v1beta2.SchemeGroupVersion.Version,
		Namespace: r.PathValue("namespace"), Resource: r.PathValue("resource"), Name: r.PathValue("name"), Subresource: r.PathValue("metric"),
	}
}

func typed(kind string) metav1.TypeMeta { return metav1.TypeMeta{APIVersion: "v1", Kind: kind} }

func discoveredGroup() metav1.APIGroup {
	version := metav1.GroupVersionForDiscovery{GroupVersion: v1beta2.SchemeGroupVersion.String(), Version: v1beta2.SchemeGroupVersion.Version}
	return metav1.APIGroup{TypeMeta: typed("APIGroup"), Name: group, Versions: []metav1.GroupVersionForDiscovery{version}, PreferredVersion: version}
}

func discoveredResources() *metav1.APIResourceList {
	list := &metav1.APIResourceList{TypeMeta: typed("APIResourceList"), GroupVersion: v1beta2.SchemeGroupVersion.String()}
	for _, resource := range []string{modelsResource, podsResource} {
		list.APIResources = append(list.APIResources, metav1.APIResource{
			Name: resource + "/" + resources.ActiveRequestsMetric, Namespaced: true, Kind: "MetricValueList", Verbs: metav1.Verbs{"get"},
		})
	}
	return list
}

// write sends a document, or an error as the Status that Kubernetes' clients read.
func write(w http.ResponseWriter, document any, err error) {
	code := http.StatusOK
	if err != nil {
		status := apierrors.NewInternalError(err).Status()
		if known := apierrors.APIStatus(nil); errors.As(err, &known) {
			status = known.Status()
		}
		status.TypeMeta = typed("Status")
		document, code = &status, int(status.Code)
	}
	body, err := json.Marshal(document)
	if err != nil {
		http.Error(w, "the answer cannot be written", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write(body) // the client may be gone
}
