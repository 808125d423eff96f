package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/gptoss/gptoss-operator/hack/cluster/node"
	"github.com/gptoss/gptoss-operator/hack/cluster/state"
)

func downCommand() command {
	var check bool
	return command{
		name: "down", args: "[--check]", summary: "end the cluster and remove all that it made on this machine",
		example: "cluster down",
		flags: func(set *flag.FlagSet) {
			set.BoolVar(&check, "check", false, "end nothing; list what there is of the cluster, status 1 when there is something")
		},
		run: noArgs(func(ctx context.Context) error {
			dir, err := state.Open(nodeState)
			if err != nil {
				return err
			}
			if !check {
				if err := down(ctx, dir); err != nil {
					return err
				}
			}
			return report(dir)
		}),
	}
}

func down(ctx context.Context, dir state.Dir) error {
	if os.Getenv(node.Inside) != "" {
		return errors.New("this is inside the cluster; run it outside of exec")
	}
	unlock, err := state.Lock(ctx, dir.Lock(), func() { fmt.Println("another up or down is running, waiting for it") })
	if err != nil {
		return err
	}
	defer unlock()
	return node.Stop(dir)
}

func report(dir state.Dir) error {
	left, err := node.Remains(dir)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return fmt.Errorf("still there: %s", strings.Join(left, ", "))
	}
	fmt.Printf("down; checked: no process, no control group %s, no mount and no folder %s\n", dir.Group(), dir)
	return nil
}
