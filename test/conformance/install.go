package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"time"
)

// sources are the clients' programs and the lists of what they need.
//
//go:embed node/*.mjs node/*.json python/*.py python/requirements.txt
var sources embed.FS

// golang is where the Go client lives: a module of its own, so that its library stays out of the product's.
const golang = "test/conformance/golang"

// installTimeout bounds a package manager.
const installTimeout = 5 * time.Minute

// prepare makes the command that runs a client, without the scenarios. missing says what this machine lacks, if anything.
func prepare(ctx context.Context, c client, scratch string, out io.Writer) (command *exec.Cmd, missing string, err error) {
	switch c.kind {
	case "node":
		command, err = prepareNode(ctx, c, out)
		return command, "", err
	case "python":
		return preparePython(ctx, c, out)
	}
	binary := filepath.Join(scratch, c.entry)
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, ".")
	build.Dir = golang
	return &exec.Cmd{Path: binary, Args: []string{binary}, Dir: scratch}, "", do(build)
}

// prepareNode has the program lie beside the packages, from where they are looked up.
func prepareNode(ctx context.Context, c client, out io.Writer) (*exec.Cmd, error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, err
	}
	dir, err := install(ctx, "node", "package-lock.json", out, func(string) [][]string {
		return [][]string{{"npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"}}
	})
	return &exec.Cmd{Path: node, Args: []string{node, c.entry}, Dir: dir}, err
}

func preparePython(ctx context.Context, c client, out io.Writer) (command *exec.Cmd, missing string, err error) {
	python, missing := findPython(ctx)
	if missing != "" {
		return nil, missing, nil
	}
	dir, err := install(ctx, "python", "requirements.txt", out, func(dir string) [][]string {
		return [][]string{
			{python, "-m", "venv", "--clear", filepath.Join(dir, "venv")},
			{interpreterOf(dir), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r", "requirements.txt"},
		}
	})
	interpreter := interpreterOf(dir)
	return &exec.Cmd{Path: interpreter, Args: []string{interpreter, "-B", c.entry}, Dir: dir}, "", err
}

func interpreterOf(dir string) string { return filepath.Join(dir, "venv", "bin", "python") }

// findPython looks for an interpreter that can make an environment with pip in it; Debian packs that apart.
func findPython(ctx context.Context) (python, missing string) {
	python, err := exec.LookPath("python3")
	if err != nil {
		return "", "there is no python3"
	}
	if exec.CommandContext(ctx, python, "-c", "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))").Run() != nil {
		return "", "python3 is older than 3.10, or lacks venv or ensurepip"
	}
	return python, ""
}

// install lays a kind's programs out in the cache, in a folder named by what its lock file says, and has the packages
// installed there the first time. The folder is complete once the mark is in it.
func install(ctx context.Context, kind, lock string, out io.Writer, steps func(dir string) [][]string) (string, error) {
	wanted, err := sources.ReadFile(path.Join(kind, lock))
	if err != nil {
		return "", err
	}
	digest := sha256.Sum256(wanted)
	cache, err := cacheFolder()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "conformance", kind+"-"+hex.EncodeToString(digest[:8]))
	if err := layOut(kind, dir); err != nil {
		return "", err
	}
	mark := filepath.Join(dir, "installed")
	if _, err := os.Stat(mark); err == nil {
		return dir, nil
	}
	fmt.Fprintf(out, "installing the libraries for %s into %s\n", kind, dir)
	ctx, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()
	for _, step := range steps(dir) {
		c := exec.CommandContext(ctx, step[0], step[1:]...)
		c.Dir = dir
		if err := do(c); err != nil {
			return "", err
		}
	}
	return dir, os.WriteFile(mark, nil, 0o644)
}

// layOut writes a kind's files.
func layOut(kind, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	files, err := fs.Sub(sources, kind)
	if err != nil {
		return err
	}
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		content, err := fs.ReadFile(files, e.Name())
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, e.Name()), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// cacheFolder is what the Makefile exports, or what it would.
func cacheFolder() (string, error) {
	if dir := os.Getenv("GPTOSS_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	user, err := os.UserCacheDir()
	if err != nil {
		return "", errors.Join(err, errors.New("set GPTOSS_CACHE"))
	}
	return filepath.Join(user, "gptoss-operator"), nil
}

// do runs a command and makes its output part of the error.
func do(c *exec.Cmd) error {
	var output bytes.Buffer
	c.Stdout, c.Stderr = &output, &output
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(c.Path), err, lastLines(output.Bytes(), 10))
	}
	return nil
}
