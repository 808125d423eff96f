package boot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"

	"github.com/gptoss/gptoss-operator/hack/cluster/component"
	"github.com/gptoss/gptoss-operator/hack/cluster/node"
	"github.com/gptoss/gptoss-operator/hack/cluster/process"
)

// ControlPlane starts etcd, the API server and the controller manager and
// waits until objects can be made.
func ControlPlane(ctx context.Context, c component.Cluster, out io.Writer) error {
	p, g := NewProgress(out), process.NewGroup(c.Dir.Path("run"))
	a, err := newAPI(c)
	if err != nil {
		return err
	}
	if err := start(g, c.Etcd(), c.APIServer()); err != nil {
		return err
	}
	if err := a.answers(ctx, p, g); err != nil {
		return err
	}
	if err := start(g, c.ControllerManager()); err != nil {
		return err
	}
	return a.controlled(ctx, p, g)
}

func (a *api) answers(ctx context.Context, p *Progress, g *process.Group) error {
	return p.wait(ctx, "etcd and kube-apiserver answer", g.Exits(), a.exists("/readyz"))
}

// controlled waits for an object that the controller manager makes.
func (a *api) controlled(ctx context.Context, p *Progress, g *process.Group) error {
	return p.wait(ctx, "kube-controller-manager works", g.Exits(), a.exists("/api/v1/namespaces/default/serviceaccounts/default"))
}

// Node starts everything. It runs inside the node.
func Node(ctx context.Context, c component.Cluster, h component.Host, images []string, out io.Writer) error {
	p, g := NewProgress(out), process.NewGroup(c.Dir.Path("run"))
	if _, err := os.Stat(node.BridgeFilter); err != nil {
		h.Masquerade = true
	}
	if err := c.WriteConfigs(h); err != nil {
		return err
	}
	a, err := newAPI(c)
	if err != nil {
		return err
	}
	if err := start(g, c.Containerd(), c.Etcd(), c.APIServer()); err != nil {
		return err
	}
	// Without the pause image no pod could start, so the kubelet comes after it.
	if err := importAll(ctx, p, g, images); err != nil {
		return err
	}
	if err := a.answers(ctx, p, g); err != nil {
		return err
	}
	if err := start(g, c.ControllerManager(), c.Scheduler(), c.Kubelet(), c.Proxy()); err != nil {
		return err
	}
	manifest := c.Dir.Config("manifest/coredns.yaml")
	if err := run(ctx, nil, c.Bin+"/kubectl", "--kubeconfig", c.Dir.Kubeconfig(), "apply", "-f", manifest); err != nil {
		return err
	}
	if err := p.wait(ctx, "kubelet runs, node Ready", g.Exits(), a.condition("/api/v1/nodes/"+component.NodeName, "Ready")); err != nil {
		return err
	}
	if err := a.controlled(ctx, p, g); err != nil {
		return err
	}
	if err := p.wait(ctx, "CoreDNS available", g.Exits(), a.condition("/apis/apps/v1/namespaces/kube-system/deployments/coredns", "Available")); err != nil {
		return err
	}
	return p.wait(ctx, "kube-proxy works, service names resolve", g.Exits(), resolves)
}

func importAll(ctx context.Context, p *Progress, g *process.Group, images []string) error {
	if err := p.wait(ctx, "containerd answers", g.Exits(), func(ctx context.Context) error {
		return run(ctx, nil, "ctr", "version")
	}); err != nil {
		return err
	}
	for _, image := range images {
		if err := importImage(ctx, image); err != nil {
			return err
		}
	}
	p.Done("images of the cluster imported")
	return nil
}

// resolves asks CoreDNS through its service's address, as pods do.
func resolves(ctx context.Context) error {
	r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, net.JoinHostPort(component.DNSAddress, "53"))
	}}
	found, err := r.LookupHost(ctx, "kubernetes.default.svc."+component.Domain+".")
	if err != nil {
		return err
	}
	if len(found) != 1 || found[0] != component.ServiceAddress {
		return fmt.Errorf("the service kubernetes resolves to %v, want %s", found, component.ServiceAddress)
	}
	return nil
}

// importImage gives containerd the images of a tarball.
func importImage(ctx context.Context, tarball string) error {
	f, err := os.Open(tarball)
	if err != nil {
		return fmt.Errorf("boot: %w", err)
	}
	defer func() { _ = f.Close() }()
	return run(ctx, f, "ctr", "--namespace", "k8s.io", "images", "import", "-")
}

func start(g *process.Group, all ...process.Spec) error {
	for _, s := range all {
		if err := g.Start(s); err != nil {
			return err
		}
	}
	return nil
}

func run(ctx context.Context, stdin io.Reader, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = stdin
	out, err := cmd.CombinedOutput()
	if err != nil {
		return errors.Join(fmt.Errorf("boot: %s: %w", name, err), errors.New(strings.TrimSpace(string(out))))
	}
	return nil
}
