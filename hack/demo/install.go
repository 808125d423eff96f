package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"time"
)

// Where the Makefile puts what the demo uses, seen from the repository's root.
const (
	clusterProgram  = "bin/cluster"
	operatorProgram = "bin/gptoss-operator"
	serverProgram   = "bin/gptoss-server"
	demoProgram     = "bin/demo"
)

// namespace is the operator's.
const namespace = "gptoss-system"

// developmentImage returns the reference of a program's image as config/default names it.
func developmentImage(program string) string { return "gptoss.dev/" + program + ":dev" }

// install brings the cluster up, loads the images and rolls out the operator.
func install(ctx context.Context, p *progress) (kube, error) {
	k := kube{prefix: []string{clusterProgram, "exec", "--"}}
	p.step("cluster: starting (the first time builds Kubernetes: 10 to 20 minutes on two cores)")
	if err := attached(ctx, clusterProgram, "up"); err != nil {
		return k, err
	}
	operator, err := loadImage(ctx, p, "gptoss-operator", operatorProgram)
	if err != nil {
		return k, err
	}
	server, err := loadImage(ctx, p, "gptoss-server", serverProgram)
	if err != nil {
		return k, err
	}
	manifests, err := k.kubectl(ctx, nil, "kustomize", "config/default")
	if err != nil {
		return k, err
	}
	manifests = bytes.ReplaceAll(manifests, []byte(developmentImage("gptoss-operator")), []byte(operator))
	manifests = bytes.ReplaceAll(manifests, []byte(developmentImage("gptoss-server")), []byte(server))
	p.step("operator: installing CRD, RBAC and Deployment (config/default)")
	if _, err := k.kubectl(ctx, manifests, "apply", "--server-side", "-f", "-"); err != nil {
		return k, err
	}
	if _, err := k.kubectl(ctx, nil, "wait", "--for=condition=Established", "crd/gptossmodels.gptoss.dev", "--timeout=60s"); err != nil {
		return k, err
	}
	p.step("operator: waiting for its pods")
	if _, err := k.kubectl(ctx, nil, "-n", namespace, "rollout", "status", "deployment/gptoss-operator", "--timeout=180s"); err != nil {
		return k, err
	}
	p.step("operator: running")
	return k, nil
}

// loadImage makes an image of a program without docker and imports it into the
// node. The tag is the program's hash, so that a new build rolls out and an
// unchanged one does not.
func loadImage(ctx context.Context, p *progress, name, program string) (string, error) {
	sum, err := hashFile(program)
	if err != nil {
		return "", err
	}
	ref := fmt.Sprintf("gptoss.dev/%s:%.12x", name, sum)
	tarball := program + "-demo.tar"
	if _, err := output(kube{}.command(ctx, clusterProgram, "image", "--out", tarball, "--ref", ref, "--binary", program)); err != nil {
		return "", err
	}
	if _, err := output(kube{}.command(ctx, clusterProgram, "load", tarball)); err != nil {
		return "", err
	}
	p.step("image %s loaded", ref)
	return ref, nil
}

// hashFile returns the SHA-256 of a file.
func hashFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return h.Sum(nil), nil
}

// waitReady follows the Ready condition of a GptOssModel until it is true,
// printing each change of reason.
func (k kube) waitReady(ctx context.Context, p *progress, name string, limit time.Duration) (gom, error) {
	var g gom
	last := condition{}
	err := poll(ctx.Done(), limit, func() (bool, string, error) {
		var err error
		if g, err = k.model(ctx, name); err != nil {
			return false, "", err
		}
		c, ok := g.ready()
		if !ok {
			return false, "the operator has not answered yet", nil
		}
		if c != last {
			p.step("model %s: Ready=%s %s: %s", name, c.Status, c.Reason, c.Message)
			last = c
		}
		return c.Status == "True", c.Reason + ": " + c.Message, nil
	})
	return g, err
}
