package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	"github.com/gptoss/gptoss-operator/plugin/bundle"
	"github.com/gptoss/gptoss-operator/plugin/cluster"
	"github.com/gptoss/gptoss-operator/plugin/diagnosis"
)

const (
	bundleTimeout = 3 * time.Minute

	// Bounds of what is read of logs.
	maxLogPods  = 20
	maxLogLines = 2000
	maxLogBytes = 1 << 20
)

func (a *app) supportBundle() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "support-bundle NAME",
		Short: "Pack what a bug report needs, without secrets",
		Long: `Pack what a bug report needs into an archive: the diagnosis, the object and its children, pods, events, nodes, the ends of
logs (the operator's too) and versions. No value of a Secret gets in, in whatever form, nor what looks like a key or token
elsewhere; of Secrets only the names of entries and their lengths. Prompts are in no log of the server. Look into it
before you share it all the same.`,
		Example: "  kubectl gptoss support-bundle chat\n  kubectl gptoss support-bundle chat -o /tmp/chat.tar.gz",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, cancel := withTimeout(c.Context(), bundleTimeout)
			defer cancel()
			if file == "" {
				file = fmt.Sprintf("gptoss-%s-%s.tar.gz", args[0], a.now().UTC().Format("20060102-150405"))
			}
			return a.pack(ctx, args[0], file)
		},
	}
	c.Flags().StringVarP(&file, "output", "o", "", "file to write; it must not exist (default gptoss-NAME-TIME.tar.gz)")
	return c
}

func (a *app) pack(ctx context.Context, name, file string) error {
	k, namespace, err := a.connect()
	if err != nil {
		return err
	}
	m, err := k.Model(ctx, namespace, name)
	if err != nil {
		return err
	}
	a.screen.Progress("reading objects")
	s, err := k.Snapshot(ctx, m, a.now())
	if err != nil {
		return err
	}
	redactor := &bundle.Redactor{}
	for _, value := range k.SecretValues(ctx, s) {
		redactor.Add(value)
	}
	archive, err := bundle.Create(file, redactor, a.now())
	if err != nil {
		return err
	}
	if err := a.fill(ctx, k, s, archive); err != nil {
		archive.Abort()
		return err
	}
	if err := archive.Close(); err != nil {
		return err
	}
	a.screen.End()
	fmt.Fprintf(a.Out, "%s: %d files, secrets left out; look into it before you share it\n", file, len(archive.Names()))
	return nil
}

func (a *app) fill(ctx context.Context, k *cluster.Cluster, s *diagnosis.Snapshot, archive *bundle.Archive) error {
	d := diagnosis.Diagnose(s)
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	var events bytes.Buffer
	for i := range s.Events {
		e := &s.Events[i]
		fmt.Fprintf(&events, "%s %s %s/%s %s: %s\n", diagnosis.EventTime(e).UTC().Format(time.RFC3339), e.Type, e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Reason, e.Message)
	}
	about := fmt.Sprintf("%s\n\nkubectl-gptoss %s, %s, %s/%s\nKubernetes %s\nmade %s\n", d.Sentence, a.version, runtime.Version(), runtime.GOOS, runtime.GOARCH,
		k.ServerVersion(ctx), a.now().UTC().Format(time.RFC3339))
	for name, content := range map[string][]byte{"about.txt": []byte(about), "diagnosis.json": text, "events.txt": events.Bytes()} {
		if err := archive.Add(name, content); err != nil {
			return err
		}
	}
	for _, o := range k.Objects(ctx, s) {
		text, err := bundle.Object(o)
		if err != nil {
			return err
		}
		if err := archive.Add("objects/"+o.GetKind()+"-"+o.GetName()+".yaml", text); err != nil {
			return err
		}
	}
	return a.packLogs(ctx, k, s, archive)
}

// packLogs adds the ends of logs, and of those of containers that were there before. A log that cannot be read says why.
func (a *app) packLogs(ctx context.Context, k *cluster.Cluster, s *diagnosis.Snapshot, archive *bundle.Archive) error {
	pods := append(append([]corev1.Pod{}, s.Pods...), s.JobPods...)
	pods = append(pods[:min(len(pods), maxLogPods)], k.OperatorPods(ctx, s)...)
	for i := range pods {
		p := &pods[i]
		a.screen.Progress("reading logs: %d of %d pods", i+1, len(pods))
		for _, c := range p.Status.ContainerStatuses {
			for _, previous := range []bool{false, true} {
				if previous && c.RestartCount == 0 {
					continue
				}
				name := "logs/" + p.Name + "-" + c.Name
				if previous {
					name += "-previous"
				}
				text, err := k.Log(ctx, p, c.Name, previous, maxLogLines, maxLogBytes)
				if err != nil {
					text = []byte("not read: " + err.Error() + "\n")
				}
				if err := archive.Add(name+".log", text); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
