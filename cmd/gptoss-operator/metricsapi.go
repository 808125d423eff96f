package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/gptoss/gptoss-operator/controllers"
	"github.com/gptoss/gptoss-operator/controllers/metricsapi"
)

// namespaceFile tells a pod its namespace.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// The modes of --metrics-api.
const (
	metricsAPIAuto = "auto"
	metricsAPIOff  = "off"
)

// metricsAPI are the settings of the API from which autoscalers read.
type metricsAPI struct{ mode, address, service string }

func (m *metricsAPI) define(set *flag.FlagSet) {
	set.StringVar(&m.mode, "metrics-api", metricsAPIAuto, "custom.metrics.k8s.io for autoscalers: auto serves it, and registers it unless somebody else has; off does neither")
	set.StringVar(&m.address, "metrics-api-bind-address", ":10250", "address of that API, HTTPS and for kube-apiserver only; firewalls between it and nodes usually let this port through")
	set.StringVar(&m.service, "metrics-api-service", "gptoss-operator-metrics-api", "Service that leads to that address, as NAME in the pod's own namespace or NAMESPACE/NAME")
}

func (m *metricsAPI) check() error {
	switch {
	case m.mode != metricsAPIAuto && m.mode != metricsAPIOff:
		return fmt.Errorf("--metrics-api=%s: must be auto or off", m.mode)
	case m.mode == metricsAPIAuto && (m.address == "" || m.service == "" || strings.Count(m.service, "/") > 1):
		return errors.New("--metrics-api=auto needs --metrics-api-bind-address, and --metrics-api-service as NAME or NAMESPACE/NAME")
	}
	return nil
}

// serviceName is the Service's full name; ok is false outside of a cluster, where no Service leads here.
func (m *metricsAPI) serviceName() (name types.NamespacedName, ok bool, err error) {
	if namespace, short, found := strings.Cut(m.service, "/"); found {
		return types.NamespacedName{Namespace: namespace, Name: short}, true, nil
	}
	namespace, err := os.ReadFile(namespaceFile)
	if errors.Is(err, fs.ErrNotExist) {
		return name, false, nil
	}
	if err != nil {
		return name, false, fmt.Errorf("--metrics-api: %w", err)
	}
	return types.NamespacedName{Namespace: strings.TrimSpace(string(namespace)), Name: m.service}, true, nil
}

// attach adds the API's server to the manager, and what the reconciler needs of it to the reconciler.
func (m *metricsAPI) attach(mgr ctrl.Manager, r *controllers.Reconciler) error {
	r.Loads = metricsapi.NewLoads()
	if m.mode == metricsAPIOff {
		return nil
	}
	service, inCluster, err := m.serviceName()
	if err != nil {
		return err
	}
	if !inCluster {
		ctrl.Log.Info("not in a cluster: custom.metrics.k8s.io is not served; --metrics-api-service=NAMESPACE/NAME would make it so")
		return nil
	}
	clients, err := metricsapi.Clients(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return err
	}
	guard, err := metricsapi.NewGuard(clients)
	if err != nil {
		return err
	}
	keeper := &metricsapi.Keeper{Live: mgr.GetAPIReader(), Writer: mgr.GetClient(), Service: service, Now: time.Now}
	r.Registration = &metricsapi.Registrar{Live: mgr.GetAPIReader(), Writer: mgr.GetClient(), Keeper: keeper}
	return mgr.Add(&metricsapi.Server{
		Address: m.address, Guard: guard, Keeper: keeper, Cache: mgr.GetCache(),
		API: &metricsapi.API{Reader: mgr.GetClient(), Loads: r.Loads},
	})
}
