package plugin

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/gptoss/gptoss-operator/plugin/diagnosis"
	"github.com/gptoss/gptoss-operator/plugin/screen"
)

// snapshotTimeout bounds how long looking around may take.
const snapshotTimeout = time.Minute

func (a *app) why() *cobra.Command {
	var verbose bool
	c := &cobra.Command{
		Use:   "why NAME",
		Short: "Say in one sentence why a model is not ready",
		Long: `Say in one true sentence why a model is not ready, from the objects themselves: the Deployment, its pods, claims,
Jobs, events, quotas, nodes, the autoscaler and the operator. With -v, the facts that it rests on.

Exit status 0 when the model is ready, 3 when it is not.`,
		Example: "  kubectl gptoss why chat\n  kubectl gptoss why chat -v\n  kubectl gptoss why chat -o json | jq -r .reason",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, cancel := withTimeout(c.Context(), snapshotTimeout)
			defer cancel()
			k, namespace, err := a.connect()
			if err != nil {
				return err
			}
			m, err := k.Model(ctx, namespace, args[0])
			if err != nil {
				return err
			}
			s, err := k.Snapshot(ctx, m, a.now())
			if err != nil {
				return err
			}
			return a.explain(diagnosis.Diagnose(s), m.Namespace, m.Name, verbose)
		},
	}
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "also show the facts")
	return c
}

// explain writes a diagnosis and chooses the exit status.
func (a *app) explain(d diagnosis.Diagnosis, namespace, name string, verbose bool) error {
	var end error
	if !d.Ready {
		end = errNo
	}
	if a.wantsJSON() {
		if err := a.json(struct {
			Namespace string `json:"namespace"`
			Name      string `json:"name"`
			diagnosis.Diagnosis
		}{namespace, name, d}); err != nil {
			return err
		}
		return end
	}
	style := screen.Yellow
	if d.Ready {
		style = screen.Green
	}
	fmt.Fprintln(a.Out, a.screen.Paint(style, screen.Line(d.Sentence)))
	if d.Advice != "" {
		fmt.Fprintln(a.Out, "Try: "+screen.Line(d.Advice))
	}
	if verbose {
		fmt.Fprintf(a.Out, "\nReason: %s\n", screen.Line(d.Reason))
		for _, e := range d.Evidence {
			fmt.Fprintf(a.Out, "  %s: %s\n", a.screen.Paint(screen.Bold, screen.Line(e.Object)), screen.Line(e.Text))
		}
	}
	return end
}
