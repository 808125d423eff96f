package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/gptoss/gptoss-operator/hack/cluster/boot"
	"github.com/gptoss/gptoss-operator/hack/cluster/build"
	"github.com/gptoss/gptoss-operator/hack/cluster/component"
	"github.com/gptoss/gptoss-operator/hack/cluster/host"
	"github.com/gptoss/gptoss-operator/hack/cluster/node"
	"github.com/gptoss/gptoss-operator/hack/cluster/pki"
	"github.com/gptoss/gptoss-operator/hack/cluster/state"
)

func checkCommand() command {
	return command{
		name: "check", summary: "tell whether this machine can run a node: status 0, or 3 and the reason",
		example: "cluster check || echo 'only the control plane is possible here'",
		run: noArgs(func(context.Context) error {
			dir, err := state.Open(nodeState)
			if err != nil {
				return err
			}
			if err := host.Check(dir); err != nil {
				return impossible(err)
			}
			missing := host.Missing()
			switch {
			case len(missing) == 0:
				fmt.Println("this machine can run a node")
			case host.CanInstall():
				fmt.Println("this machine can run a node; up installs first:", host.AptLine(missing))
			default:
				return impossible(fmt.Errorf("%w: packages are missing; as root: %s", host.ErrImpossible, host.AptLine(missing)))
			}
			return nil
		}),
	}
}

// impossible gives an error the exit status that callers fall back on.
func impossible(err error) error {
	if errors.Is(err, host.ErrImpossible) {
		return statusError{exitImpossible, err}
	}
	return err
}

func upCommand() command {
	return command{
		name: "up", summary: "start the cluster, building and installing what it needs; status 3 where that cannot be",
		example: "cluster up && cluster exec -- kubectl get nodes",
		run:     noArgs(up),
	}
}

func up(ctx context.Context) error {
	if os.Getenv(node.Inside) != "" {
		return errors.New("this is inside the cluster already")
	}
	dir, err := state.Open(nodeState)
	if err != nil {
		return err
	}
	unlock, err := state.Lock(ctx, dir.Lock(), func() { fmt.Println("another up or down is running, waiting for it") })
	if err != nil {
		return err
	}
	defer unlock()
	p := boot.NewProgress(os.Stdout)
	if again, err := alreadyUp(ctx, dir); again || err != nil {
		return err
	}
	if err := prepareHost(ctx, dir, p); err != nil {
		return impossible(err)
	}
	bin, err := build.Ensure(ctx, os.Stderr)
	if err != nil {
		return err
	}
	p.Done("Kubernetes " + build.Version + " built")
	if err := bringUp(ctx, dir, bin, p); err != nil {
		kept := keepLogs(dir)
		return errors.Join(err, kept, node.Stop(dir))
	}
	fmt.Printf("up after %.1fs; run commands inside with: cluster exec -- kubectl get pods -A\n", p.Total().Seconds())
	return nil
}

// alreadyUp tells whether there is nothing to do, and otherwise clears what an
// earlier run left.
func alreadyUp(ctx context.Context, dir state.Dir) (bool, error) {
	n, ok, err := dir.Load()
	if err == nil && ok && n.Ready && node.Alive(n) {
		if err := runSelf(ctx, "exec", "--", "kubectl", "get", "--raw=/readyz", "--request-timeout=10s"); err == nil {
			fmt.Println("\nthe cluster is up already; kubeconfig for use inside of exec:", dir.Kubeconfig())
			return true, nil
		}
		fmt.Println("the cluster is up but does not answer; it is made anew")
	}
	left, err := node.Remains(dir)
	if err != nil || len(left) == 0 {
		return false, err
	}
	fmt.Println("removing what an earlier run left")
	return false, node.Stop(dir)
}

// prepareHost checks the machine before and after packages are installed: the
// first check is quick and spares the installation where no node could run.
func prepareHost(ctx context.Context, dir state.Dir, p *boot.Progress) error {
	if err := host.Check(dir); err != nil {
		return err
	}
	p.Done("machine checked")
	missing := host.Missing()
	if len(missing) == 0 {
		return nil
	}
	if err := host.Install(ctx, missing, os.Stdout); err != nil {
		return err
	}
	p.Done("packages installed")
	return host.Check(dir)
}

func bringUp(ctx context.Context, dir state.Dir, bin string, p *boot.Progress) error {
	if err := dir.Make(); err != nil {
		return err
	}
	c := component.Node(dir, bin)
	if err := pki.Write(dir.PKI(""), c.URL(), component.NodeName, c.Hosts()); err != nil {
		return err
	}
	if err := copyFile(dir.Kubeconfig(), dir.PKI("admin.kubeconfig")); err != nil {
		return err
	}
	facts, err := host.Facts(dir)
	if err != nil {
		return err
	}
	if err := c.WriteConfigs(facts); err != nil {
		return err
	}
	if err := clusterImages(dir, bin); err != nil {
		return err
	}
	p.Done("certificates, configuration and images written")
	if err := node.Start(dir, bin); err != nil {
		return err
	}
	p.Done("namespaces made")
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := runSelf(ctx, "exec", "--", self, bootName, "--state", string(dir)); err != nil {
		return fmt.Errorf("the cluster's programs did not come up: %w", err)
	}
	n, _, err := dir.Load()
	if err != nil {
		return err
	}
	n.Ready = true
	return dir.Save(n)
}

// clusterImages writes the images that the cluster itself needs.
func clusterImages(dir state.Dir, bin string) error {
	if err := os.MkdirAll(dir.Path("images"), 0o700); err != nil {
		return err
	}
	for name, ref := range map[string]string{"pause": component.PauseImage, "coredns": component.DNSImage} {
		if err := writeImage(dir.Path("images", name+".tar"), ref, filepath.Join(bin, name)); err != nil {
			return err
		}
	}
	return nil
}

// keepLogs saves the logs of a start that failed, as the state folder goes.
func keepLogs(dir state.Dir) error {
	kept := string(dir) + ".failed-log"
	if err := os.RemoveAll(kept); err != nil {
		return err
	}
	if err := os.Rename(dir.Path("log"), kept); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "cluster: the logs are kept in", kept)
	return nil
}

// runSelf runs another command of this program. Its output is this one's.
func runSelf(ctx context.Context, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	return cmd.Run()
}
