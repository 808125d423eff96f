package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
)

const (
	synthetic = "gpt-oss-20b"
	// modelSpace is what must be free where a model is made: the longer of the two files is 13 GB, and 2 GB stay free beside.
	modelSpace = 15_000_000_000
)

// makeModels makes the models that nobody named and that are not there yet, and makes the paths absolute.
func (s *settings) makeModels(ctx context.Context, say func(string, ...any)) (err error) {
	if s.threads == 0 {
		s.threads = runtime.GOMAXPROCS(0)
	}
	if s.server, err = filepath.Abs(s.server); err != nil {
		return err
	}
	if s.model == "" {
		s.model = filepath.Join(s.cache, synthetic+"-synthetic.gptoss")
		if err := s.synthesise(ctx, s.model, "packed", say); err != nil {
			return err
		}
	}
	if s.gguf == "" && len(s.peers) > 0 {
		s.gguf = filepath.Join(s.cache, synthetic+"-synthetic.gguf")
		if err := s.synthesise(ctx, s.gguf, "gguf", say); err != nil {
			return err
		}
	}
	for _, path := range []*string{&s.model, &s.gguf} {
		if *path == "" || *path == "demo" {
			continue
		}
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	return nil
}

// synthesise makes a model with random weights, unless it is there. The server gives it its name when it is whole.
func (s *settings) synthesise(ctx context.Context, path, format string, say func(string, ...any)) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	if free := int64(disk.Bavail) * disk.Bsize; free < s.space {
		return fmt.Errorf("%s has %.1f GB free, making %s takes %.1f GB: name another with --cache, or a model with --model",
			dir, float64(free)/1e9, filepath.Base(path), float64(s.space)/1e9)
	}
	say("making %s", path)
	c := exec.CommandContext(ctx, s.server, "synth", path, "--model", synthetic, "--format", format, "--quiet")
	gentle(c)
	if output, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("making %s: %w: %s", path, err, lastLine(output))
	}
	return nil
}
