// Command gptoss-operator is the manager that reconciles GptOssModels. It only reads flags and wires.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers"
)

// version is set by the linker.
var version = "dev"

const usage = `gptoss-operator rolls out GptOssModels: it turns each into pods that serve a gpt-oss model with an
OpenAI-compatible API, and keeps them that way.

Usage:
  gptoss-operator [flags]

Example, from outside the cluster with your kubeconfig:
  gptoss-operator --leader-elect=false --metrics-bind-address=0 --server-image=registry.example.com/gptoss-server:1.0

Flags:
`

type settings struct {
	serverImage, metricsAddress, probeAddress, electionNamespace string
	namespaces                                                   []string
	elect                                                        bool
	concurrency                                                  int
	logLevel                                                     slog.Level
	metrics                                                      metricsAPI
}

func main() {
	s, err := parse(os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case errors.Is(err, errVersion):
		fmt.Println("gptoss-operator", version)
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, "gptoss-operator:", err)
		os.Exit(2)
	}
	if err := run(ctrl.SetupSignalHandler(), s); err != nil {
		ctrl.Log.Error(err, "gptoss-operator ends")
		os.Exit(1)
	}
}

var errVersion = errors.New("version requested")

// parse reads the command line. Errors name the flag; package flag has printed the usage for --help.
func parse(args []string) (settings, error) {
	var s settings
	set := flag.NewFlagSet("gptoss-operator", flag.ContinueOnError)
	set.StringVar(&s.serverImage, "server-image", "gptoss.dev/gptoss-server:"+version, "image of gptoss-server that model pods run")
	namespaces := set.String("watch-namespaces", "", "namespaces to work in, separated by commas; empty means all")
	set.IntVar(&s.concurrency, "max-concurrent-reconciles", 4, "how many objects are worked on at once")
	set.BoolVar(&s.elect, "leader-elect", true, "let one of several replicas lead; off for a single one outside a cluster")
	set.StringVar(&s.electionNamespace, "leader-election-namespace", "", "namespace of the leader's lease; empty means the pod's own")
	set.StringVar(&s.metricsAddress, "metrics-bind-address", ":8443", "address of the metrics, HTTPS and authorized by the API server; 0 means none")
	set.StringVar(&s.probeAddress, "health-probe-bind-address", ":8081", "address of /healthz and /readyz; 0 means none")
	set.TextVar(&s.logLevel, "log-level", slog.LevelInfo, "least severe log line that is written: debug, info, warn or error")
	s.metrics.define(set)
	showVersion := set.Bool("version", false, "print the version and exit")
	set.Usage = func() {
		fmt.Fprint(set.Output(), usage)
		set.PrintDefaults()
	}
	if err := set.Parse(args); err != nil {
		return s, err
	}
	if *showVersion {
		return s, errVersion
	}
	for name := range strings.SplitSeq(*namespaces, ",") {
		if name = strings.TrimSpace(name); name != "" {
			s.namespaces = append(s.namespaces, name)
		}
	}
	switch {
	case set.NArg() > 0:
		return s, fmt.Errorf("unexpected argument %q: every setting is a flag; --help lists them", set.Arg(0))
	case s.concurrency < 1:
		return s, fmt.Errorf("--max-concurrent-reconciles %d: must be at least 1", s.concurrency)
	case s.serverImage == "":
		return s, errors.New("--server-image must not be empty")
	}
	return s, s.metrics.check()
}

func run(ctx context.Context, s settings) error {
	logger := logr.FromSlogHandler(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: s.logLevel}))
	ctrl.SetLogger(logger)
	klog.SetLogger(logger)

	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return err
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("no cluster to work on: %w", err)
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                        scheme,
		Cache:                         controllers.CacheOptions(s.namespaces),
		Client:                        controllers.ClientOptions(),
		Metrics:                       metricsserver.Options{BindAddress: s.metricsAddress, SecureServing: true, FilterProvider: filters.WithAuthenticationAndAuthorization},
		HealthProbeBindAddress:        s.probeAddress,
		LeaderElection:                s.elect,
		LeaderElectionID:              "gptoss-operator.gptoss.dev",
		LeaderElectionNamespace:       s.electionNamespace,
		LeaderElectionReleaseOnCancel: true,
	})
	if err != nil {
		return err
	}
	r := &controllers.Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Recorder: mgr.GetEventRecorder("gptoss-operator"), ServerImage: s.serverImage,
	}
	if err := errors.Join(
		s.metrics.attach(mgr, r),
		r.SetupWithManager(ctx, mgr, controllers.Options{MaxConcurrentReconciles: s.concurrency, Namespaces: s.namespaces}),
		mgr.AddHealthzCheck("ping", healthz.Ping),
		mgr.AddReadyzCheck("ping", healthz.Ping),
	); err != nil {
		return err
	}
	logger.Info("starting", "version", version, "serverImage", s.serverImage, "namespaces", s.namespaces)
	return mgr.Start(ctx)
}
