package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

const (
	sample     = "config/samples/demo.yaml"
	sampleName = "demo"
)

// questions show what the model can do: talk, think aloud, and call a tool.
var questions = []question{
	{prompt: "Hello! Who are you?"},
	{prompt: "What is the capital of Japan?", reasoning: "high"},
	{prompt: "What is the weather in Boston?", weather: true},
}

// up is `make demo`.
func up(ctx context.Context) error {
	p := newProgress(os.Stdout)
	ok, why, err := canRunNode(ctx)
	if err != nil {
		return err
	}
	if !ok {
		p.step("no node here: %s", why)
		p.step("going on with what this machine allows: the real control plane and operator, without a node")
		return withoutNode(ctx, p)
	}
	k, err := install(ctx, p)
	if err != nil {
		return err
	}
	if err := k.applySample(ctx, p); err != nil {
		return err
	}
	g, err := k.waitReady(ctx, p, sampleName, 3*time.Minute)
	if err != nil {
		return err
	}
	out, err := k.kubectl(ctx, nil, "get", "gom")
	if err != nil {
		return err
	}
	fmt.Printf("\n$ kubectl get gom\n%s\n", out)
	for _, q := range questions {
		if err := k.ask(ctx, g, q); err != nil {
			return err
		}
	}
	fmt.Print(goOn)
	return nil
}

// goOn tells what to do next.
const goOn = `
Those answers came from a pod that the operator made. Go on:

  bin/demo ask "Explain autoscaling"                       another question
  bin/cluster exec -- kubectl get gom,deploy,svc,pods     what there is
  bin/cluster exec -- kubectl describe gom demo           and why
  bin/cluster exec -- kubectl edit gom demo               change it and watch it roll
  make demo-down                                          stop everything
`

// applySample shows the seven lines and applies them.
func (k kube) applySample(ctx context.Context, p *progress) error {
	object, err := os.ReadFile(sample)
	if err != nil {
		return err
	}
	p.step("kubectl apply -f %s", sample)
	fmt.Printf("\n  %s\n\n", strings.ReplaceAll(strings.TrimSpace(string(object)), "\n", "\n  "))
	_, err = k.kubectl(ctx, object, "apply", "-f", "-")
	return err
}

// ask streams one answer from inside the cluster, by the Service's name.
func (k kube) ask(ctx context.Context, g gom, q question) error {
	key, err := k.apiKey(ctx, g)
	if err != nil {
		return err
	}
	cmd := k.command(ctx, append([]string{demoProgram, "chat", "--url", g.Status.URL, "--model", g.Status.Model}, q.args()...)...)
	cmd.Env = append(cmd.Env, "OPENAI_API_KEY="+key)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	fmt.Printf("\n> %s\n", q.prompt)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("chat: %w", err)
	}
	return nil
}

// ask is `demo ask QUESTION`.
func ask(ctx context.Context, args []string) error {
	q, err := parseQuestion(flag.NewFlagSet("ask", flag.ContinueOnError), args)
	if err != nil {
		return err
	}
	k := kube{prefix: []string{clusterProgram, "exec", "--"}}
	g, err := k.model(ctx, sampleName)
	if err != nil {
		return err
	}
	return k.ask(ctx, g, q)
}

// down stops the node and the control plane, whichever ran.
func down(ctx context.Context) error {
	return errors.Join(
		attached(ctx, clusterProgram, "down"),
		attached(ctx, clusterProgram, "control-plane", "down"),
	)
}
