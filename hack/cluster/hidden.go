package main

import (
	"context"
	"flag"
	"os"
	"path/filepath"

	"github.com/gptoss/gptoss-operator/hack/cluster/boot"
	"github.com/gptoss/gptoss-operator/hack/cluster/component"
	"github.com/gptoss/gptoss-operator/hack/cluster/host"
	"github.com/gptoss/gptoss-operator/hack/cluster/node"
	"github.com/gptoss/gptoss-operator/hack/cluster/state"
)

// bootName is the command that starts the components, inside the node.
const bootName = "node-boot"

// hidden is a command that this program calls itself, for a state folder.
func hidden(name string, run func(context.Context, state.Dir) error) command {
	var dir string
	return command{
		name: name, hidden: true, args: "--state DIR", summary: "a step of up; not for use by hand", example: "cluster up",
		flags: func(set *flag.FlagSet) { set.StringVar(&dir, "state", "", "state folder") },
		run:   noArgs(func(ctx context.Context) error { return run(ctx, state.Dir(dir)) }),
	}
}

func launchCommand() command {
	return hidden(node.LaunchCommand, func(_ context.Context, dir state.Dir) error { return node.Launch(dir) })
}

func initCommand() command {
	return hidden(node.InitCommand, func(_ context.Context, dir state.Dir) error { return node.Init(dir) })
}

func probeCommand() command {
	return hidden(node.ProbeCommand, func(context.Context, state.Dir) error { return node.ProbeInit() })
}

func bootCommand() command {
	return hidden(bootName, func(ctx context.Context, dir state.Dir) error {
		n, _, err := dir.Load()
		if err != nil {
			return err
		}
		facts, err := host.Facts(dir)
		if err != nil {
			return err
		}
		images, err := filepath.Glob(dir.Path("images", "*.tar"))
		if err != nil {
			return err
		}
		return boot.Node(ctx, component.Node(dir, n.Bin), facts, images, os.Stdout)
	})
}
