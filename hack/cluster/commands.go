package main

import (
	"errors"
	"os"

	"github.com/gptoss/gptoss-operator/hack/cluster/state"
)

// Names of the state folders below the cache folder.
const (
	nodeState  = "cluster"
	planeState = "control-plane"
)

func commands() []command {
	return []command{
		checkCommand(), upCommand(), downCommand(), statusCommand(), execCommand(), loadCommand(), logsCommand(),
		controlPlaneCommand(), buildCommand(), assetsCommand(), imageCommand(),
		launchCommand(), initCommand(), probeCommand(), bootCommand(),
	}
}

// errDown is the answer of commands that need a running node.
func errDown() error {
	return statusError{exitNotStarted, errors.New("the cluster is not up; start it with: cluster up")}
}

// loadNode reads the record of the node.
func loadNode() (state.Dir, state.Node, error) {
	dir, err := state.Open(nodeState)
	if err != nil {
		return "", state.Node{}, err
	}
	n, ok, err := dir.Load()
	if err == nil && !ok {
		err = errDown()
	}
	return dir, n, err
}

// copyFile copies a small private file.
func copyFile(to, from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o600)
}
