package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gptoss/gptoss-operator/plugin/cluster"
)

const (
	defaultDrain = 30 * time.Minute

	// lowestCost makes the ReplicaSet choose this pod first if it shrinks meanwhile.
	costAnnotation = "controller.kubernetes.io/pod-deletion-cost"
	lowestCost     = "-2147483648"
)

func (a *app) drain() *cobra.Command {
	var timeout time.Duration
	var force bool
	c := &cobra.Command{
		Use:   "drain NAME [POD]",
		Short: "Take a pod out and wait for its streams to end",
		Long: `Take a pod out: it is evicted, which respects PodDisruptionBudgets, gets no new requests, lets its streams end, and goes.
The Deployment makes another one. Without POD it is the one with the fewest active requests. The last pod that serves is
only taken with --force, since nobody would answer until its replacement is ready.

Interrupting the command does not bring the pod back; it only stops waiting.`,
		Example: "  kubectl gptoss drain chat\n  kubectl gptoss drain chat chat-7d9f8-x2x4k --timeout 5m",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, cancel := withTimeout(c.Context(), timeout)
			defer cancel()
			return a.takeOut(ctx, args, force)
		},
	}
	c.Flags().DurationVar(&timeout, "timeout", defaultDrain, "how long to wait in all")
	c.Flags().BoolVar(&force, "force", false, "also take the last pod that serves")
	return c
}

func (a *app) takeOut(ctx context.Context, args []string, force bool) error {
	k, namespace, err := a.connect()
	if err != nil {
		return err
	}
	m, err := k.Model(ctx, namespace, args[0])
	if err != nil {
		return err
	}
	pods, err := k.Pods(ctx, m)
	if err != nil {
		return err
	}
	p, err := choosePod(ctx, k, pods, args[1:])
	if err != nil {
		return fmt.Errorf("%s: %w", m.Name, err)
	}
	others := slices.DeleteFunc(cluster.Serving(pods), func(o corev1.Pod) bool { return o.Name == p.Name })
	if len(others) == 0 && !force {
		return fmt.Errorf("pod %s is the only one of %s that serves: nobody would answer until another is ready; --force takes it all the same", p.Name, m.Name)
	}
	started := a.now()
	if err := a.evict(ctx, k, p); err != nil {
		return err
	}
	a.screen.Step("pod %s is evicted and gets no new requests", p.Name)
	if err := a.waitGone(ctx, k, p); err != nil {
		return err
	}
	took := a.now().Sub(started).Round(time.Second)
	if a.wantsJSON() {
		return a.json(map[string]any{"pod": p.Name, "seconds": took.Seconds()})
	}
	fmt.Fprintf(a.Out, "Pod %s is gone after %s; its streams have ended.\n", p.Name, took)
	return nil
}

// choosePod finds the named pod, or the one with the fewest active requests.
func choosePod(ctx context.Context, k *cluster.Cluster, pods []corev1.Pod, names []string) (*corev1.Pod, error) {
	if len(names) > 0 {
		i := slices.IndexFunc(pods, func(p corev1.Pod) bool { return p.Name == names[0] })
		if i < 0 {
			return nil, fmt.Errorf("pod %q is not one of its pods", names[0])
		}
		return &pods[i], nil
	}
	serving := cluster.Serving(pods)
	if len(serving) == 0 {
		return nil, errors.New("no pod serves")
	}
	load := make(map[string]int, len(serving))
	for i := range serving {
		h, err := k.Health(ctx, &serving[i])
		if err != nil {
			return nil, fmt.Errorf("name a pod: how busy they are cannot be found out: %w", err)
		}
		load[serving[i].Name] = h.ActiveRequests
	}
	best := slices.MinFunc(serving, func(x, y corev1.Pod) int {
		return cmp.Or(cmp.Compare(load[x.Name], load[y.Name]), cmp.Compare(x.Name, y.Name))
	})
	return &best, nil
}

// evict asks until the disruption budget allows it.
func (a *app) evict(ctx context.Context, k *cluster.Cluster, p *corev1.Pod) error {
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, costAnnotation, lowestCost)
	if err := k.Client.Patch(ctx, p.DeepCopy(), client.RawPatch("application/merge-patch+json", patch), client.FieldOwner(cluster.FieldManager)); err != nil {
		return fmt.Errorf("pod %s: %w", p.Name, err)
	}
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		err := k.Client.SubResource("eviction").Create(ctx, p, &policyv1.Eviction{
			ObjectMeta:    metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name},
			DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &p.UID}},
		})
		switch {
		case err == nil || apierrors.IsNotFound(err):
			return nil
		case !apierrors.IsTooManyRequests(err):
			return fmt.Errorf("pod %s is not evicted: %w", p.Name, err)
		}
		a.screen.Progress("waiting: the disruption budget lets no pod go now")
		select {
		case <-ctx.Done():
			return fmt.Errorf("pod %s is not evicted, %w: %w", p.Name, context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

// waitGone waits until the pod is gone, and shows how many of its streams go on.
func (a *app) waitGone(ctx context.Context, k *cluster.Cluster, p *corev1.Pod) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		fresh := &corev1.Pod{}
		err := k.Client.Get(ctx, client.ObjectKeyFromObject(p), fresh)
		switch {
		case apierrors.IsNotFound(err), err == nil && fresh.UID != p.UID:
			return nil
		case err == nil && (fresh.Status.Phase == corev1.PodSucceeded || fresh.Status.Phase == corev1.PodFailed):
			return nil
		case err != nil && ctx.Err() == nil:
			return fmt.Errorf("pod %s: %w", p.Name, err)
		}
		if ctx.Err() == nil {
			if h, err := k.Health(ctx, fresh); err == nil {
				a.screen.Progress("%d of its requests go on", h.ActiveRequests)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("pod %s goes on ending its streams: %w", p.Name, context.Cause(ctx))
		case <-tick.C:
		}
	}
}
