package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// noNamespaces is the exit status of `cluster check` on a machine that forbids
// the namespaces and cgroups that a node needs.
const noNamespaces = 3

// kube is the cluster in use: a whole node, or its control plane alone.
type kube struct {
	// prefix comes before every command that talks to the cluster:
	// "bin/cluster exec --" for a node, nothing for a control plane on loopback.
	prefix []string
	// env is added to such commands: KUBECONFIG and PATH of a control plane.
	env []string
}

// command prepares a command that can reach the cluster.
func (k kube) command(ctx context.Context, args ...string) *exec.Cmd {
	args = append(append([]string{}, k.prefix...), args...)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), k.env...)
	return cmd
}

// kubectl runs kubectl with input on its standard input and returns what it prints.
func (k kube) kubectl(ctx context.Context, input []byte, args ...string) ([]byte, error) {
	cmd := k.command(ctx, append([]string{"kubectl"}, args...)...)
	cmd.Stdin = bytes.NewReader(input)
	return output(cmd)
}

// output runs cmd; its error carries what cmd said on standard error.
func output(cmd *exec.Cmd) ([]byte, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}

// attached runs a command on our own terminal.
func attached(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// canRunNode reports whether this machine can run a node, and if not, why.
func canRunNode(ctx context.Context) (ok bool, why string, err error) {
	out, err := exec.CommandContext(ctx, clusterProgram, "check").CombinedOutput()
	why = string(bytes.TrimSpace(out))
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == noNamespaces {
		return false, why, nil
	}
	if err != nil {
		return false, why, fmt.Errorf("cluster check: %w: %s", err, why)
	}
	return true, why, nil
}

// condition is one entry of an object's status.conditions.
type condition struct {
	Type    string `json:"type"`
	Status  string `json:"status"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// gom is what the demo reads of a GptOssModel.
type gom struct {
	Metadata struct {
		Generation int64 `json:"generation"`
	} `json:"metadata"`
	Status struct {
		ObservedGeneration int64       `json:"observedGeneration"`
		Conditions         []condition `json:"conditions"`
		URL                string      `json:"url"`
		Model              string      `json:"model"`
		APIKeySecret       string      `json:"apiKeySecret"`
	} `json:"status"`
}

// ready returns the Ready condition, if it speaks of the newest generation.
func (g gom) ready() (condition, bool) {
	for _, c := range g.Status.Conditions {
		if c.Type == "Ready" && g.Status.ObservedGeneration == g.Metadata.Generation {
			return c, true
		}
	}
	return condition{}, false
}

// model reads the GptOssModel called name in the default namespace.
func (k kube) model(ctx context.Context, name string) (gom, error) {
	var g gom
	out, err := k.kubectl(ctx, nil, "get", "gptossmodel", name, "-o", "json")
	if err != nil {
		return g, err
	}
	if err := json.Unmarshal(out, &g); err != nil {
		return g, fmt.Errorf("gptossmodel %s: %w", name, err)
	}
	return g, nil
}

// apiKey reads the key that the operator generated for g.
func (k kube) apiKey(ctx context.Context, g gom) (string, error) {
	if g.Status.APIKeySecret == "" {
		return "", errors.New("the status names no API-key Secret")
	}
	out, err := k.kubectl(ctx, nil, "get", "secret", g.Status.APIKeySecret, "-o", "jsonpath={.data.api-key}")
	if err != nil {
		return "", err
	}
	key, err := base64.StdEncoding.DecodeString(string(out))
	if err != nil {
		return "", fmt.Errorf("secret %s: %w", g.Status.APIKeySecret, err)
	}
	return string(key), nil
}
