package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gptoss/gptoss-operator/hack/cluster/host"
	"github.com/gptoss/gptoss-operator/hack/cluster/node"
	"github.com/gptoss/gptoss-operator/hack/cluster/process"
	"github.com/gptoss/gptoss-operator/hack/cluster/state"
)

func execCommand() command {
	return command{
		name: "exec", args: "-- COMMAND [ARG...]",
		summary: "run a command inside the node: its network and names, your files and working directory",
		example: "cluster exec -- kubectl get pods -A",
		run: func(_ context.Context, args []string) error {
			if len(args) == 0 {
				return statusError{exitUsage, errors.New("exec needs a command")}
			}
			run, err := enter()
			if err != nil {
				return err
			}
			return run(args, os.Stdin)
		},
	}
}

// runner runs a command inside the node; it ends with the command's exit status.
type runner func(args []string, stdin *os.File) error

// enter moves this process into the node, unless it is in it already. The
// working directory is asked for first: afterwards it is the node's /.
func enter() (runner, error) {
	dir, n, err := loadNode()
	if err != nil {
		return nil, err
	}
	wd, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	if os.Getenv(node.Inside) == "" {
		if !node.Alive(n) {
			return nil, errDown()
		}
		if err := node.Enter(n); err != nil {
			return nil, err
		}
	}
	env := node.Environment(append(os.Environ(), "PATH="+host.Path()), n.Bin, dir.Kubeconfig())
	return func(args []string, stdin *os.File) error {
		status, err := node.Exec{Args: args, Env: env, Dir: wd, Stdin: stdin, Stdout: os.Stdout, Stderr: os.Stderr}.Run()
		if err == nil && status != 0 {
			return statusError{status, errors.New("")}
		}
		return err
	}, nil
}

func loadCommand() command {
	return command{
		name: "load", args: "FILE.tar...", summary: "give the cluster the images of tarballs (docker-archive or OCI)",
		example: "cluster load bin/gptoss-server.tar",
		run: func(_ context.Context, args []string) error {
			if len(args) == 0 {
				return statusError{exitUsage, errors.New("load needs a file")}
			}
			return load(args)
		},
	}
}

// load opens the files before it enters the node, so that their paths may be
// ones which the node does not see.
func load(names []string) error {
	var files []*os.File
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		files = append(files, f)
	}
	run, err := enter()
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := run([]string{"ctr", "--namespace", "k8s.io", "images", "import", "-"}, f); err != nil {
			return fmt.Errorf("load %s: %w", f.Name(), err)
		}
	}
	return nil
}

func statusCommand() command {
	return command{
		name: "status", summary: "tell what runs: status 0 when all does, 4 when the cluster is not up", example: "cluster status",
		run: noArgs(func(context.Context) error {
			dir, n, err := loadNode()
			if err != nil {
				return err
			}
			if _, err := enter(); err != nil {
				return err
			}
			fmt.Printf("node        process %d\nbinaries    %s\nkubeconfig  %s (for use inside of exec)\naudit log   %s\n",
				n.PID, n.Bin, dir.Kubeconfig(), dir.Path("audit.log"))
			return componentStatus(dir)
		}),
	}
}

// componentStatus works inside the node, whose process ids are the recorded ones.
func componentStatus(dir state.Dir) error {
	records, err := process.Records(dir.Path("run"))
	if err != nil {
		return err
	}
	var dead []string
	for _, r := range records {
		word := "runs"
		if !r.Alive() {
			word, dead = "ENDED", append(dead, r.Name)
		}
		fmt.Printf("%-24s %s, log %s\n", r.Name, word, dir.Log(r.Name))
	}
	if len(dead) > 0 {
		return fmt.Errorf("ended: %s", strings.Join(dead, ", "))
	}
	return nil
}

func logsCommand() command {
	var lines int
	return command{
		name: "logs", args: "[--lines N] [COMPONENT]", summary: "print a component's log, or which components have one",
		example: "cluster logs --lines 50 kubelet",
		flags: func(set *flag.FlagSet) {
			set.IntVar(&lines, "lines", 200, "how many lines from the end")
		},
		run: func(_ context.Context, args []string) error {
			dir, _, err := loadNode()
			if err != nil {
				return err
			}
			files, err := filepath.Glob(dir.Log("*"))
			if err != nil {
				return err
			}
			if len(args) == 0 {
				for _, file := range files {
					fmt.Println(strings.TrimSuffix(filepath.Base(file), ".log"))
				}
				return nil
			}
			file := dir.Log(args[0])
			if !slices.Contains(files, file) {
				return fmt.Errorf("no component %q; cluster logs lists them", args[0])
			}
			fmt.Println(process.Tail(file, lines))
			return nil
		},
	}
}
