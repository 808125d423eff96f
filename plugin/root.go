package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/gptoss/gptoss-operator/plugin/cluster"
	"github.com/gptoss/gptoss-operator/plugin/screen"
)

// Exit statuses.
const (
	StatusDone   = 0
	StatusFailed = 1
	StatusUsage  = 2
	// StatusNo is for commands that did their work and whose answer is no: the model is not ready, or the rotation has not come
	// to its end.
	StatusNo = 3
)

// errNo ends a command with StatusNo; it has already written its answer.
var errNo = errors.New("the answer is no")

// usageError is about a flag or argument.
type usageError string

func (e usageError) Error() string { return string(e) }

func usage(format string, args ...any) error { return usageError(fmt.Sprintf(format, args...)) }

// Streams are what a command reads and writes.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// app is what all sub-commands share.
type app struct {
	Streams
	screen  *screen.Screen
	env     func(string) string
	version string
	now     func() time.Time

	loading   *clientcmd.ClientConfigLoadingRules
	overrides clientcmd.ConfigOverrides
	output    string
	started   bool // the command line was understood
	// config is set by tests, which have no kubeconfig.
	config *rest.Config
}

const long = `kubectl gptoss looks after GptOssModels: it says why one is not ready, talks to it, rotates its keys,
measures it, takes pods out, and packs what a bug report needs.

Exit status: 0 done; 1 it failed; 2 wrong use; 3 the answer is no (not ready, rotation not finished).
Colours and live lines only where a terminal is there, and no colours with NO_COLOR.`

// Run runs the command line and returns the exit status.
func Run(ctx context.Context, args []string, streams Streams, env func(string) string, version string) int {
	ctrllog.SetLogger(logr.Discard()) // what the libraries log is about retries, and the errors come back anyway
	klog.SetLogger(logr.Discard())
	a := &app{
		Streams: streams, screen: screen.New(streams.Out, streams.Err, env), env: env, version: version, now: time.Now,
		loading: clientcmd.NewDefaultClientConfigLoadingRules(),
	}
	return a.run(ctx, args)
}

func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	a.screen.End()
	switch {
	case err == nil:
		return StatusDone
	case errors.Is(err, errNo):
		return StatusNo
	}
	fmt.Fprintln(a.Err, "error:", screen.Line(err.Error()))
	if _, wrong := errors.AsType[usageError](err); wrong || !a.started {
		fmt.Fprintln(a.Err, `"kubectl gptoss --help" tells more`)
		return StatusUsage
	}
	return StatusFailed
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use: "kubectl-gptoss", Short: "Look after GptOssModels", Long: long, Version: a.version,
		SilenceErrors: true, SilenceUsage: true,
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl gptoss"},
	}
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	flags := root.PersistentFlags()
	flags.StringVar(&a.loading.ExplicitPath, "kubeconfig", "", "path of the kubeconfig file")
	clientcmd.BindOverrideFlags(&a.overrides, flags, clientcmd.RecommendedConfigOverrideFlags(""))
	root.AddCommand(a.get(), a.why(), a.chat(), a.rotateKey(), a.supportBundle(), a.drain(), a.bench())
	for _, c := range root.Commands() {
		work := c.RunE
		c.RunE = func(c *cobra.Command, args []string) error {
			if a.output != "" && a.output != "json" {
				return fmt.Errorf("-o %s: only json is known", a.output)
			}
			a.started = true
			return work(c, args)
		}
		if c.Flags().Lookup("output") == nil {
			c.Flags().StringVarP(&a.output, "output", "o", "", "json for programs; otherwise text for people")
		}
	}
	return root
}

// connect uses the kubeconfig, or the service account where there is none and a pod runs this.
func (a *app) connect() (c *cluster.Cluster, namespace string, err error) {
	kubeconfig := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(a.loading, &a.overrides)
	config := a.config
	if config == nil {
		if config, err = kubeconfig.ClientConfig(); err != nil {
			return nil, "", fmt.Errorf("no cluster to look at: %w", err)
		}
	}
	if namespace, _, err = kubeconfig.Namespace(); err != nil {
		return nil, "", fmt.Errorf("no cluster to look at: %w", err)
	}
	c, err = cluster.Connect(config)
	return c, namespace, err
}

// json writes the answer for programs. JSON leaves some control characters as they are; a terminal gets them escaped.
func (a *app) json(v any) error {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := io.WriteString(a.Out, a.screen.Safe(text.String()))
	return err
}

// wantsJSON reports whether the answer is for programs.
func (a *app) wantsJSON() bool { return a.output == "json" }
