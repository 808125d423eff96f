package synth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gptoss/gptoss-operator/engine/cpu"
	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/engine/weights"
	"github.com/gptoss/gptoss-operator/engine/weights/packed"
	"github.com/gptoss/gptoss-operator/engine/weights/part"
	"github.com/gptoss/gptoss-operator/server/terminal"
)

// maxConfigBytes bounds what is read of --config; model.ParseConfig takes no more either.
const maxConfigBytes = 1 << 20

var errInterrupted = errors.New("interrupted; nothing is left of it")

// run does what the command line says and returns what there is to tell about it.
func (c command) run(ctx context.Context, m *terminal.Meter) (summary string, err error) {
	config, err := c.configuration()
	if err != nil {
		return "", err
	}
	if err := c.checkDest(); err != nil {
		return "", err
	}
	begun := m.Now()
	m.Say("making up weights")
	checkpoint, note, err := makeUp(config, c.seed)
	if err != nil {
		return "", err
	}
	digest := ""
	if c.format == formatGGUF {
		err = writeGGUF(ctx, checkpoint, c.dest, m)
	} else {
		digest, err = writePacked(ctx, checkpoint, c.dest, m)
	}
	if err != nil {
		return "", err
	}
	info, err := os.Stat(c.dest)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s is complete: %s in %s%s\n%sServe it with: gptoss-server --model=%s\n",
		c.dest, terminal.Bytes(info.Size()), m.Now().Sub(begun).Round(time.Second), digest, note, c.dest), nil
}

// configuration is the shape that the flags ask for.
func (c command) configuration() (model.Config, error) {
	var config model.Config
	if c.config == "" {
		preset, ok := model.Preset(c.model)
		if !ok {
			return config, fmt.Errorf("no model is called %.100q: there are gpt-oss-20b, gpt-oss-120b and gpt-oss-demo", c.model)
		}
		config = preset
	} else {
		data, err := readConfig(c.config)
		if err != nil {
			return config, err
		}
		if config, err = model.ParseConfig(data); err != nil {
			return config, fmt.Errorf("%s: %w", c.config, err)
		}
	}
	if c.layers > 0 {
		if config.WindowLayers != nil && c.layers > len(config.WindowLayers) {
			return config, fmt.Errorf("--layers %d: %s says which of %d layers have a window, want at most as many", c.layers, c.config, len(config.WindowLayers))
		}
		if config.WindowLayers != nil {
			config.WindowLayers = config.WindowLayers[:c.layers]
		}
		config.Layers = c.layers
	}
	return config, config.Validate()
}

func readConfig(path string) ([]byte, error) {
	info, err := os.Stat(path) // before Open, which would wait for the writer of a named pipe
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		err = fmt.Errorf("%s: %w", path, failed.Err)
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxConfigBytes+1))
	return data, errors.Join(err, f.Close())
}

// makeUp makes weights and words. note says what is wrong with the words, if anything is.
func makeUp(config model.Config, seed uint64) (c *weights.Checkpoint, note string, err error) {
	words, err := vocabulary(config.VocabSize)
	if err != nil {
		return nil, "", err
	}
	if words == nil {
		note = fmt.Sprintf("Its %d tokens have no room for all bytes and the words of a conversation: it cannot be served.\n", config.VocabSize)
	} else {
		config.EOSTokenIDs = endTokens(words)
	}
	if c, err = weights.Synthetic(config, seed); err != nil {
		return nil, "", err
	}
	c.Vocabulary = words
	return c, note, nil
}

// checkDest keeps what is no file of the format, and without force what is one.
func (c command) checkDest() error {
	info, err := os.Lstat(c.dest)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%s: is a folder, want the name of a file to make, such as %s", c.dest, filepath.Join(c.dest, "synth.gptoss"))
	case !info.Mode().IsRegular() || !c.ours():
		return fmt.Errorf("%s: is there already and is not a %s file; remove it or name another", c.dest, c.format)
	case !c.force:
		return fmt.Errorf("%s: is a %s file already; --force replaces it", c.dest, c.format)
	}
	return nil
}

// ours reports whether the file at dest begins as one of the format does.
func (c command) ours() bool {
	if c.format == formatPacked {
		return packed.Is(c.dest)
	}
	f, err := os.Open(c.dest)
	if err != nil {
		return false
	}
	defer f.Close()
	var start [4]byte
	_, err = io.ReadFull(f, start[:])
	return err == nil && string(start[:]) == "GGUF"
}

// writePacked makes a packed file. It ends early when ctx ends, and leaves nothing after any error.
func writePacked(ctx context.Context, c *weights.Checkpoint, dest string, m *terminal.Meter) (digest string, err error) {
	w, err := packed.Create(dest)
	if err != nil {
		return "", describe(err, dest)
	}
	defer context.AfterFunc(ctx, func() { _ = w.Abort() })() // an error of it comes up again below
	err = cpu.Pack(w, c, m.Progress)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		m.Say("waiting until it is on the disk")
		err = w.Commit()
	}
	aborted := w.Abort() // nothing after a commit
	if err != nil && ctx.Err() != nil {
		err = errInterrupted
	}
	if err := errors.Join(err, aborted); err != nil {
		return "", err
	}
	f, err := packed.Open(dest)
	if err != nil {
		return "", err
	}
	return ", " + f.Digest(), f.Close()
}

// untilDone is a file that refuses more when ctx ended.
type untilDone struct {
	*part.File
	ctx context.Context
}

func (u untilDone) Write(b []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.File.Write(b)
}

// writeGGUF makes a GGUF file in the same manner.
func writeGGUF(ctx context.Context, c *weights.Checkpoint, dest string, m *terminal.Meter) error {
	f, err := part.Create(dest)
	if err != nil {
		return describe(err, dest)
	}
	err = c.WriteGGUF(untilDone{f, ctx}, m.Progress)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		m.Say("waiting until it is on the disk")
		err = f.Commit()
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = errInterrupted
	}
	return errors.Join(err, f.Abort())
}

// describe says what a missing file is when one is to be made.
func describe(err error, dest string) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: the folder %s does not exist", dest, filepath.Dir(dest))
	}
	return err
}
