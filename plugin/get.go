package plugin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/plugin/cluster"
	"github.com/gptoss/gptoss-operator/plugin/screen"
)

const (
	getTimeout = time.Minute

	// askAtOnce bounds how many pods are asked at the same time.
	askAtOnce = 8
)

// row is what get says of a model.
type row struct {
	Namespace      string  `json:"namespace"`
	Name           string  `json:"name"`
	Ready          int     `json:"ready"`
	Wanted         int     `json:"wanted"`
	ActiveRequests *int    `json:"activeRequests"` // null while no pod tells
	Model          string  `json:"model"`
	MemoryGB       float64 `json:"memoryGB"`
	Version        string  `json:"version"`
	Reason         string  `json:"reason"`
	Age            string  `json:"age"`
	Pods           []pod   `json:"pods"`

	serves bool
	silent int // ready pods that did not tell
}

type pod struct {
	Name   string          `json:"name"`
	Ready  bool            `json:"ready"`
	Health *cluster.Health `json:"health,omitempty"`
	Error  string          `json:"error,omitempty"`
}

func (a *app) get() *cobra.Command {
	var everywhere bool
	c := &cobra.Command{
		Use:   "get [NAME...]",
		Short: "Show models with their load, memory and version",
		Long: `Show models with what their pods say of themselves: active requests, memory, version. Pods are asked through the API
server; where that is not allowed, or a pod does not answer, there is a "-".`,
		Example: "  kubectl gptoss get\n  kubectl gptoss get -A\n  kubectl gptoss get chat -o json",
		RunE: func(c *cobra.Command, args []string) error {
			ctx, cancel := withTimeout(c.Context(), getTimeout)
			defer cancel()
			k, namespace, err := a.connect()
			if err != nil {
				return err
			}
			if everywhere {
				namespace = ""
			}
			models, err := wantedModels(ctx, k, namespace, args)
			if err != nil {
				return err
			}
			rows := make([]row, len(models))
			slots := make(chan struct{}, askAtOnce)
			var wait sync.WaitGroup
			for i := range models {
				wait.Go(func() { rows[i] = a.row(ctx, k, &models[i], slots) })
			}
			wait.Wait()
			return a.showModels(rows, namespace, everywhere)
		},
	}
	c.Flags().BoolVarP(&everywhere, "all-namespaces", "A", false, "models of all namespaces")
	return c
}

func wantedModels(ctx context.Context, k *cluster.Cluster, namespace string, names []string) ([]v1alpha1.GptOssModel, error) {
	if len(names) == 0 {
		return k.Models(ctx, namespace)
	}
	if namespace == "" {
		return nil, usage("a name belongs to one namespace: leave out -A or the name")
	}
	var all []v1alpha1.GptOssModel
	for _, name := range names {
		m, err := k.Model(ctx, namespace, name)
		if err != nil {
			return nil, err
		}
		all = append(all, *m)
	}
	return all, nil
}

// row asks the pods of a model and adds up.
func (a *app) row(ctx context.Context, k *cluster.Cluster, m *v1alpha1.GptOssModel, slots chan struct{}) row {
	r := row{
		Namespace: m.Namespace, Name: m.Name, Wanted: int(m.FixedReplicas()), Model: cmp.Or(m.Status.Model, m.ModelName()), Reason: "Unknown",
		Age: duration.HumanDuration(a.now().Sub(m.CreationTimestamp.Time)), Pods: []pod{},
	}
	if m.Spec.Autoscaling != nil {
		r.Wanted = int(m.Status.Replicas)
	}
	if c := meta.FindStatusCondition(m.Status.Conditions, v1alpha1.ConditionReady); c != nil {
		r.Reason, r.serves = c.Reason, c.Status == "True"
	}
	slots <- struct{}{}
	defer func() { <-slots }()
	pods, err := k.Pods(ctx, m)
	if err != nil {
		r.Ready = int(m.Status.ReadyReplicas) // what the operator last saw
		return r
	}
	for i := range pods {
		if p := &pods[i]; p.Status.Phase != corev1.PodFailed && p.Status.Phase != corev1.PodSucceeded {
			r.add(askPod(ctx, k, p))
		}
	}
	return r
}

func askPod(ctx context.Context, k *cluster.Cluster, p *corev1.Pod) pod {
	out := pod{Name: p.Name, Ready: cluster.Ready(p)}
	if !out.Ready {
		return out
	}
	h, err := k.Health(ctx, p)
	if err != nil {
		out.Error = err.Error()
		return out
	}
	out.Health = &h
	return out
}

func (r *row) add(p pod) {
	r.Pods = append(r.Pods, p)
	if p.Ready {
		r.Ready++
	}
	if p.Health == nil {
		if p.Ready {
			r.silent++
		}
		return
	}
	if r.ActiveRequests == nil {
		r.ActiveRequests = new(int)
	}
	*r.ActiveRequests += p.Health.ActiveRequests
	r.MemoryGB += p.Health.MemoryUsageGB
	versions := strings.Split(r.Version, ",")
	if p.Health.Version != "" && !slices.Contains(versions, p.Health.Version) {
		r.Version = strings.Trim(r.Version+","+p.Health.Version, ",")
	}
	if p.Health.Status != "healthy" && r.serves {
		r.Reason = "Degraded"
	}
}

// active is exact only when every ready pod told.
func (r *row) active() string {
	switch {
	case r.ActiveRequests == nil:
		return "-"
	case r.silent > 0:
		return fmt.Sprintf(">=%d", *r.ActiveRequests)
	}
	return fmt.Sprint(*r.ActiveRequests)
}

func (a *app) showModels(rows []row, namespace string, everywhere bool) error {
	if a.wantsJSON() {
		return a.json(map[string]any{"models": rows})
	}
	if len(rows) == 0 {
		where := fmt.Sprintf(" in namespace %q", namespace)
		if everywhere {
			where = ""
		}
		fmt.Fprintf(a.Err, "No GptOssModel%s.\n", screen.Line(where))
		return nil
	}
	var table [][]screen.Cell
	head := []string{"NAMESPACE", "NAME", "READY", "ACTIVE", "MODEL", "MEMORY", "VERSION", "REASON", "AGE"}
	line := func(style screen.Style, words ...string) {
		var cells []screen.Cell
		for i, w := range words {
			if i > 0 || everywhere {
				cells = append(cells, screen.Cell{Text: w})
			}
		}
		cells[len(cells)-2].Style = style
		table = append(table, cells)
	}
	line(screen.Plain, head...)
	for i := range rows {
		r := &rows[i]
		style, memory := screen.Yellow, "-"
		if r.serves && r.Reason != "Degraded" {
			style = screen.Green
		}
		if r.MemoryGB > 0 {
			memory = fmt.Sprintf("%.2f GB", r.MemoryGB)
		}
		line(style, r.Namespace, r.Name, fmt.Sprintf("%d/%d", r.Ready, r.Wanted), r.active(), r.Model, memory, cmp.Or(r.Version, "-"), r.Reason, r.Age)
	}
	a.screen.Table(table)
	return nil
}
