package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/plugin/cluster"
	"github.com/gptoss/gptoss-operator/plugin/keyfile"
	"github.com/gptoss/gptoss-operator/plugin/talk"
)

const (
	// rotationAnnotation, on the Secret, holds the keyfile.Mark of a rotation under way.
	rotationAnnotation = "gptoss.dev/key-rotation"

	// nudgeAnnotation, on pods, only makes the kubelet look at them again: it then refreshes their Secrets at once, which it
	// otherwise does within a minute or two.
	nudgeAnnotation = "gptoss.dev/keys-changed"

	pollInterval   = time.Second
	conflictTries  = 5
	defaultRotate  = 5 * time.Minute
	requestTimeout = 10 * time.Second
)

type rotateFlags struct {
	identity             string
	all, force, keepsOld bool
	timeout              time.Duration
}

func (a *app) rotateKey() *cobra.Command {
	var f rotateFlags
	c := &cobra.Command{
		Use:   "rotate-key NAME",
		Short: "Replace the API key without locking anybody out",
		Long: `Replace the API key: a new one is added to the Secret beside the old one, every pod is asked until it accepts the new
one, and only then is the old one removed. Interrupted at any point, both keys stay valid, and the same command goes on
where it was. --keep-old stops before the removal, so that clients can change over; run it again without to end it.

The keys are never shown. A Secret that the operator did not generate is only changed with --force: what made it (a
GitOps tool, an external secret store) may put the old content back.`,
		Example: "  kubectl gptoss rotate-key chat\n  kubectl gptoss rotate-key chat --keep-old     # both are valid\n  kubectl gptoss rotate-key chat                # ends it",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, cancel := withTimeout(c.Context(), f.timeout)
			defer cancel()
			return a.rotate(ctx, args[0], f)
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.identity, "identity", "", "whose key is replaced, where there are several")
	flags.BoolVar(&f.all, "all", false, "replace all keys by one")
	flags.BoolVar(&f.force, "force", false, "also change a Secret that the operator did not generate")
	flags.BoolVar(&f.keepsOld, "keep-old", false, "leave the old key valid for now")
	flags.DurationVar(&f.timeout, "timeout", defaultRotate, "how long to wait for the pods in all")
	return c
}

// rotation is one under way.
type rotation struct {
	*app
	k           *cluster.Cluster
	m           *v1alpha1.GptOssModel
	name, entry string
	flags       rotateFlags
	mark        keyfile.Mark
	key         string   // the new one
	old         []string // that were removed
}

// rotationResult is the answer for programs.
type rotationResult struct {
	Secret  string `json:"secret"`
	Entry   string `json:"entry"`
	State   string `json:"state"` // done, or both-valid
	Message string `json:"message"`
}

func (a *app) rotate(ctx context.Context, name string, f rotateFlags) error {
	k, namespace, err := a.connect()
	if err != nil {
		return err
	}
	m, err := k.Model(ctx, namespace, name)
	if err != nil {
		return err
	}
	r := &rotation{app: a, k: k, m: m, flags: f}
	if r.name, r.entry = m.APIKeySecret(); r.name == "" {
		return fmt.Errorf("%s is called without a key (spec.auth.anonymous)", name)
	}
	if err := r.change(ctx, r.begin); err != nil {
		return err
	}
	if err := r.everyPod(ctx, true, r.key); err != nil {
		return r.unfinished("both the old and the new key are valid", err)
	}
	a.screen.Step("every pod accepts the new key")
	if f.keepsOld {
		return r.report("both-valid", "the new key is valid beside the old one; run the command again without --keep-old to remove the old one")
	}
	if err := r.change(ctx, r.finish); err != nil {
		return r.unfinished("both the old and the new key are valid", err)
	}
	a.screen.Step("the old key is removed from the Secret")
	for _, old := range r.old {
		if err := r.everyPod(ctx, false, old); err != nil {
			return r.unfinished("the new key is valid everywhere and the old one is removed, but a pod may still accept it for a minute", err)
		}
	}
	return r.report("done", "the new key is valid everywhere and the old one nowhere")
}

// unfinished says what holds now. Running the command again goes on from there.
func (r *rotation) unfinished(state string, err error) error {
	r.screen.End()
	fmt.Fprintf(r.Err, "not finished: %s; run the same command again to go on (%v)\n", state, err)
	return errNo
}

func (r *rotation) report(state, message string) error {
	if r.wantsJSON() {
		return r.json(rotationResult{r.name, r.entry, state, message})
	}
	r.screen.End()
	fmt.Fprintf(r.Out, "%s: %s.\n", r.m.Name, message)
	fmt.Fprintf(r.Out, "Read it with: kubectl -n %s get secret %s -o go-template='{{index .data %q | base64decode}}'\n", r.m.Namespace, r.name, r.entry)
	return nil
}

// change reads, changes and writes the Secret, again when somebody else was faster. The write names the version that was
// read, so that nobody's change is lost.
func (r *rotation) change(ctx context.Context, what func(*corev1.Secret, *keyfile.File) (bool, error)) error {
	var err error
	for range conflictTries {
		secret := &corev1.Secret{}
		if err = r.k.Client.Get(ctx, client.ObjectKey{Namespace: r.m.Namespace, Name: r.name}, secret); err != nil {
			return fmt.Errorf("secret %q: %w", r.name, err)
		}
		if !cluster.ControlledBy(secret, r.m) && !r.flags.force {
			return fmt.Errorf("secret %q was not generated by the operator for %s; --force changes it all the same", r.name, r.m.Name)
		}
		f, parseErr := keyfile.Parse(secret.Data[r.entry])
		if parseErr != nil {
			return fmt.Errorf("secret %q, entry %q: %w", r.name, r.entry, parseErr)
		}
		write, doErr := what(secret, f)
		if doErr != nil || !write {
			return doErr
		}
		secret.Data[r.entry] = f.Bytes()
		if err = r.k.Client.Update(ctx, secret, client.FieldOwner(cluster.FieldManager)); !apierrors.IsConflict(err) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("secret %q: %w", r.name, err)
	}
	return nil
}

// begin adds the new key, or finds that an earlier run has.
func (r *rotation) begin(secret *corev1.Secret, f *keyfile.File) (bool, error) {
	if text := secret.Annotations[rotationAnnotation]; text != "" {
		if err := json.Unmarshal([]byte(text), &r.mark); err == nil {
			if r.key = f.Resume(r.mark); r.key != "" {
				r.screen.Step("a rotation was begun earlier; going on with its new key")
				return false, nil
			}
		}
	}
	key := keyfile.Generate()
	mark, err := f.Begin(key, r.flags.identity, r.flags.all)
	if err != nil {
		return false, fmt.Errorf("secret %q, entry %q: %w", r.name, r.entry, err)
	}
	text, err := json.Marshal(mark)
	if err != nil {
		return false, err
	}
	if secret.Annotations == nil {
		secret.Annotations = map[string]string{}
	}
	secret.Annotations[rotationAnnotation] = string(text)
	r.key, r.mark = key, mark
	r.screen.Step("adding a new key to Secret %q beside the old one", r.name)
	return true, nil
}

// finish removes the old keys, if the new one is still there.
func (r *rotation) finish(secret *corev1.Secret, f *keyfile.File) (bool, error) {
	if f.Resume(r.mark) != r.key {
		return false, fmt.Errorf("the new key is gone from Secret %q: somebody else changed it, and nothing was removed", r.name)
	}
	r.old = f.Finish(r.mark, r.key)
	delete(secret.Annotations, rotationAnnotation)
	return true, nil
}

// everyPod asks all pods until each accepts the key, or refuses it.
func (r *rotation) everyPod(ctx context.Context, accepted bool, key string) error {
	what := map[bool]string{true: "have the new key", false: "have dropped the old key"}[accepted]
	tunnels := map[string]*cluster.Tunnel{}
	defer func() {
		for _, t := range tunnels {
			t.Close()
		}
	}()
	nudged := map[string]bool{}
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		pods, err := r.k.Pods(ctx, r.m)
		if err != nil {
			return err
		}
		done, all, last := 0, 0, error(nil)
		for i := range pods {
			p := &pods[i]
			if !holdsKeys(p) {
				continue
			}
			all++
			r.nudge(ctx, p, nudged)
			has, err := r.asks(ctx, p, tunnels, key)
			if err == nil && has == accepted {
				done++
			} else if err != nil {
				last = err
			}
		}
		if done == all {
			return nil
		}
		r.screen.Progress("%d of %d pods %s", done, all, what)
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("%d of %d pods %s: %w", done, all, what, context.Cause(ctx)), last)
		case <-tick.C:
		}
	}
}

// holdsKeys reports whether the pod has mounted the Secret: one whose container has not started will mount the present one.
func holdsKeys(p *corev1.Pod) bool {
	if p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded || !p.DeletionTimestamp.IsZero() {
		return false
	}
	for _, c := range p.Status.ContainerStatuses {
		if c.State.Running != nil {
			return true
		}
	}
	return false
}

func (r *rotation) nudge(ctx context.Context, p *corev1.Pod, nudged map[string]bool) {
	if nudged[p.Name] {
		return
	}
	nudged[p.Name] = true
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{nudgeAnnotation: r.now().UTC().Format(time.RFC3339Nano)}}})
	if err != nil {
		return
	}
	// Who may not change pods only waits longer.
	_ = r.k.Client.Patch(ctx, p.DeepCopy(), client.RawPatch("application/merge-patch+json", patch), client.FieldOwner(cluster.FieldManager))
}

func (r *rotation) asks(ctx context.Context, p *corev1.Pod, tunnels map[string]*cluster.Tunnel, key string) (bool, error) {
	ctx, cancel := withTimeout(ctx, requestTimeout)
	defer cancel()
	t := tunnels[p.Name]
	if t == nil {
		var err error
		if t, err = r.k.Tunnel(ctx, p); err != nil {
			return false, err
		}
		tunnels[p.Name] = t
	}
	has, err := talk.Server{HTTP: t.HTTP, Base: t.URL(""), Key: key}.Accepts(ctx)
	if err != nil {
		t.Close()
		delete(tunnels, p.Name)
		return false, fmt.Errorf("pod %s: %w", p.Name, err)
	}
	return has, nil
}
