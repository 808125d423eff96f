package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gptoss/gptoss-operator/hack/cluster/build"
	"github.com/gptoss/gptoss-operator/hack/cluster/image"
)

// hostCertificates is where Debian, Ubuntu and Alpine keep root certificates.
const hostCertificates = "/etc/ssl/certs/ca-certificates.crt"

func buildCommand() command {
	return command{
		name: "build", summary: "build the Kubernetes binaries into the cache, once", example: "cluster build",
		run: noArgs(func(ctx context.Context) error {
			bin, err := build.Ensure(ctx, os.Stderr)
			if err == nil {
				fmt.Fprintln(os.Stderr, "kube: ready in", bin)
			}
			return err
		}),
	}
}

func assetsCommand() command {
	return command{
		name: "assets", summary: "print the folder of the Kubernetes binaries, building them when needed",
		example: "KUBEBUILDER_ASSETS=$(cluster assets) go test ./controllers/...",
		run: noArgs(func(ctx context.Context) error {
			bin, err := build.Ensure(ctx, os.Stderr)
			if err == nil {
				fmt.Println(bin)
			}
			return err
		}),
	}
}

func imageCommand() command {
	var out, ref, binary string
	return command{
		name: "image", args: "--out FILE --ref NAME:TAG --binary FILE",
		summary: "write a container image around one static binary, for load",
		example: "cluster image --out bin/server.tar --ref gptoss.dev/gptoss-server:dev --binary bin/gptoss-server",
		flags: func(set *flag.FlagSet) {
			set.StringVar(&out, "out", "", "tarball to write")
			set.StringVar(&ref, "ref", "", "image name and tag")
			set.StringVar(&binary, "binary", "", "static Linux executable, the image's entry point")
		},
		run: noArgs(func(context.Context) error {
			if out == "" || ref == "" || binary == "" {
				return statusError{exitUsage, errors.New("image needs --out, --ref and --binary")}
			}
			return writeImage(out, ref, binary)
		}),
	}
}

// writeImage puts the tarball in place by a rename, so that a reader never
// sees half of it.
func writeImage(out, ref, binary string) error {
	data, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	certificates, err := os.ReadFile(hostCertificates)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(out), ".image-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	err = image.Write(f, image.Options{Ref: ref, Name: filepath.Base(binary), Binary: data, Certificates: certificates})
	if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), out)
}
