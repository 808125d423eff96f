package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/gptoss/gptoss-operator/hack/cluster/boot"
	"github.com/gptoss/gptoss-operator/hack/cluster/build"
	"github.com/gptoss/gptoss-operator/hack/cluster/component"
	"github.com/gptoss/gptoss-operator/hack/cluster/pki"
	"github.com/gptoss/gptoss-operator/hack/cluster/process"
	"github.com/gptoss/gptoss-operator/hack/cluster/state"
)

// stopPatience is how long the kernel may take to end the components.
const stopPatience = 10 * time.Second

func controlPlaneCommand() command {
	return command{
		name: "control-plane", args: "up|down",
		summary: "etcd, API server and controller manager alone, on loopback, without root; up prints the kubeconfig's path",
		example: "export KUBECONFIG=$(cluster control-plane up)",
		run: func(ctx context.Context, args []string) error {
			if len(args) != 1 || args[0] != "up" && args[0] != "down" {
				return statusError{exitUsage, errors.New("control-plane needs up or down")}
			}
			dir, err := state.Open(planeState)
			if err != nil {
				return err
			}
			unlock, err := state.Lock(ctx, dir.Lock(), func() { fmt.Fprintln(os.Stderr, "waiting for another run") })
			if err != nil {
				return err
			}
			defer unlock()
			if args[0] == "down" {
				if err := planeDown(dir); err != nil {
					return err
				}
				fmt.Fprintf(os.Stderr, "down; checked: no process and no folder %s\n", dir)
				return nil
			}
			return planeUp(ctx, dir)
		},
	}
}

func planeUp(ctx context.Context, dir state.Dir) error {
	records, err := process.Records(dir.Path("run"))
	if err != nil {
		return err
	}
	n, _, err := dir.Load()
	if err == nil && n.Ready && allAlive(records) {
		fmt.Fprintln(os.Stderr, "the control plane is up already")
		fmt.Println(dir.Kubeconfig())
		return nil
	}
	if err := planeDown(dir); err != nil {
		return err
	}
	bin, err := build.Ensure(ctx, os.Stderr)
	if err != nil {
		return err
	}
	if err := planeStart(ctx, dir, bin); err != nil {
		return errors.Join(err, planeDown(dir))
	}
	if err := dir.Save(state.Node{Bin: bin, Ready: true}); err != nil {
		return err
	}
	fmt.Println(dir.Kubeconfig())
	return nil
}

func allAlive(records []process.Record) bool {
	for _, r := range records {
		if !r.Alive() {
			return false
		}
	}
	return len(records) > 0
}

func planeStart(ctx context.Context, dir state.Dir, bin string) error {
	ports, err := freePorts(3)
	if err != nil {
		return err
	}
	c := component.Cluster{Dir: dir, Bin: bin, Loopback: true, Port: ports[0], EtcdPort: ports[1], PeerPort: ports[2]}
	if err := dir.Make(); err != nil {
		return err
	}
	if err := pki.Write(dir.PKI(""), c.URL(), component.NodeName, c.Hosts()); err != nil {
		return err
	}
	if err := copyFile(dir.Kubeconfig(), dir.PKI("admin.kubeconfig")); err != nil {
		return err
	}
	if err := c.WriteConfigs(component.Host{}); err != nil {
		return err
	}
	return boot.ControlPlane(ctx, c, os.Stderr)
}

// planeDown ends the recorded processes and removes the folder.
func planeDown(dir state.Dir) error {
	records, err := process.Records(dir.Path("run"))
	if err != nil {
		return err
	}
	if err := process.Stop(records, stopPatience); err != nil {
		return err
	}
	return os.RemoveAll(string(dir))
}

// freePorts asks the kernel for ports of loopback that nobody uses. All are
// held until the last is known, so that no two are the same.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
