package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// withoutNode shows what a machine can do that forbids the namespaces of a
// node: the control plane and the operator are real, and the server is started
// with the very arguments of the Deployment that the operator made. It stops
// all of it before it returns.
func withoutNode(ctx context.Context, p *progress) (err error) {
	p.step("control plane: starting (the first time builds Kubernetes: 10 to 20 minutes on two cores)")
	kubeconfig, err := controlPlaneUp(ctx)
	if err != nil {
		return err
	}
	defer func() {
		stop := context.WithoutCancel(ctx)
		err = errors.Join(err, attached(stop, clusterProgram, "control-plane", "down"))
	}()
	k, err := controlPlane(ctx, kubeconfig)
	if err != nil {
		return err
	}
	if _, err := k.kubectl(ctx, nil, "apply", "--server-side", "-k", "config/crd"); err != nil {
		return err
	}
	operator, err := start(ctx, k.env, operatorProgram, "--leader-elect=false", "--metrics-bind-address=0", "--health-probe-bind-address=127.0.0.1:0")
	if err != nil {
		return err
	}
	defer operator.stop()
	p.step("operator: running as an ordinary process")
	if err := k.applySample(ctx, p); err != nil {
		return err
	}
	args, err := k.serverArgs(ctx, p)
	if err != nil {
		return err
	}
	return k.serveAndAsk(ctx, p, args)
}

// controlPlaneUp starts the control plane, with its progress on our terminal, and returns the kubeconfig's path.
func controlPlaneUp(ctx context.Context) (string, error) {
	cmd := kube{}.command(ctx, clusterProgram, "control-plane", "up")
	cmd.Stderr = os.Stderr
	path, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("control plane: %w", err)
	}
	return strings.TrimSpace(string(path)), nil
}

// controlPlane finds the kubectl that belongs to the running control plane.
func controlPlane(ctx context.Context, kubeconfig string) (kube, error) {
	assets, err := output(kube{}.command(ctx, clusterProgram, "assets"))
	if err != nil {
		return kube{}, err
	}
	bin := strings.TrimSpace(string(assets))
	path := "PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH")
	return kube{
		prefix: []string{"env", path},
		env:    []string{"KUBECONFIG=" + kubeconfig},
	}, nil
}

// serverArgs waits for the operator's Deployment and returns its container's arguments.
func (k kube) serverArgs(ctx context.Context, p *progress) ([]string, error) {
	var args []string
	err := poll(ctx.Done(), time.Minute, func() (bool, string, error) {
		out, err := k.kubectl(ctx, nil, "get", "deployment", sampleName, "--ignore-not-found", "-o", "jsonpath={.spec.template.spec.containers[0].args}")
		if err != nil || len(out) == 0 {
			return false, "no Deployment yet", err
		}
		return true, "", json.Unmarshal(out, &args)
	})
	if err == nil {
		p.step("the operator made Deployment %s: gptoss-server %s", sampleName, strings.Join(args, " "))
	}
	return args, err
}

// serveAndAsk starts the server as the Deployment would, and asks it.
func (k kube) serveAndAsk(ctx context.Context, p *progress, args []string) error {
	g, err := k.model(ctx, sampleName)
	if err != nil {
		return err
	}
	key, err := k.apiKey(ctx, g)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "gptoss-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	keys := filepath.Join(dir, "api-key")
	if err := os.WriteFile(keys, []byte(key+"\n"), 0o600); err != nil {
		return err
	}
	port, err := freePort(ctx)
	if err != nil {
		return err
	}
	// What only a pod has is replaced by further flags, of which the last wins.
	args = append(args, "--host=127.0.0.1", "--port="+port, "--api-key-file="+keys, "--termination-log="+filepath.Join(dir, "termination-log"), "--shutdown-delay=0s")
	server, err := start(ctx, nil, append([]string{serverProgram}, args...)...)
	if err != nil {
		return err
	}
	defer server.stop()
	url := "http://127.0.0.1:" + port + "/v1"
	if err := waitHealthy(ctx, url); err != nil {
		return err
	}
	p.step("server: running with those arguments on %s", url)
	for _, q := range questions {
		fmt.Printf("\n> %s\n", q.prompt)
		if err := (chat{url: url, model: g.Status.Model, key: key}).ask(ctx, q, os.Stdout); err != nil {
			return err
		}
	}
	p.step("done; stopping everything again")
	return nil
}

// process is a program that runs beside the demo.
type process struct{ cmd *exec.Cmd }

// start starts a program, with its log on our standard error; cancelling ctx terminates it.
func start(ctx context.Context, env []string, args ...string) (*process, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &process{cmd}, nil
}

// stop ends the process and waits for it. Its exit status does not matter: it was told to go.
func (p *process) stop() {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err == nil {
		_ = p.cmd.Wait()
	}
}

// freePort asks the kernel for a port that nobody listens on.
func freePort(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// waitHealthy polls the server's health until it is 200.
func waitHealthy(ctx context.Context, url string) error {
	return poll(ctx.Done(), time.Minute, func() (bool, string, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/health", nil)
		if err != nil {
			return false, "", err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return false, err.Error(), nil //nolint:nilerr // refused until it listens; the limit ends the wait
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK, res.Status, nil
	})
}
