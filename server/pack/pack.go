package pack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gptoss/gptoss-operator/engine/cpu"
	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/engine/weights"
	"github.com/gptoss/gptoss-operator/engine/weights/packed"
	"github.com/gptoss/gptoss-operator/server/terminal"
)

var errInterrupted = errors.New("interrupted; nothing is left of it")

// run does what the command line says and returns what there is to tell about it.
func (c command) run(ctx context.Context, demo fs.FS, m *terminal.Meter) (summary string, err error) {
	if c.verify {
		return verify(ctx, c.dest, m)
	}
	if err := checkDest(c.dest, c.force); err != nil {
		return "", err
	}
	begun := m.Now()
	m.Say("opening " + c.source)
	checkpoint, err := open(c.source, demo)
	if err != nil {
		return "", fmt.Errorf("cannot pack %s: %w", c.source, err)
	}
	err = write(ctx, checkpoint, c.source, c.dest, m)
	note := wordless(checkpoint)
	if err := errors.Join(err, checkpoint.Close()); err != nil {
		return "", err
	}
	f, err := packed.Open(c.dest)
	if err != nil {
		return "", err
	}
	summary = fmt.Sprintf("%s is complete: %s in %s, %s\n%sServe it with: gptoss-server --model=%s\n",
		c.dest, terminal.Bytes(f.Size()), m.Now().Sub(begun).Round(time.Second), f.Digest(), note, c.dest)
	return summary, f.Close()
}

func open(source string, demo fs.FS) (*weights.Checkpoint, error) {
	if source == demoPath && demo != nil {
		return weights.OpenFS(demo)
	}
	if packed.Is(source) {
		return nil, errors.New("it is a packed file already")
	}
	return weights.Open(source)
}

// checkDest keeps what is no packed file, and without force what is one.
func checkDest(dest string, force bool) error {
	info, err := os.Lstat(dest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		return fmt.Errorf("%s: is a folder, want the name of a file to make, such as %s", dest, filepath.Join(dest, "model.gptoss"))
	}
	f, err := packed.Open(dest)
	switch {
	case err == nil && force:
		return f.Close()
	case err == nil:
		return errors.Join(fmt.Errorf("%s: is a packed file already; --force replaces it", dest), f.Close())
	case errors.Is(err, packed.ErrForeign):
		return fmt.Errorf("%s: is there already and is not a packed file; remove it or name another", dest)
	case (errors.Is(err, packed.ErrIncomplete) || errors.Is(err, packed.ErrDamaged)) && force:
		return nil
	case errors.Is(err, packed.ErrIncomplete) || errors.Is(err, packed.ErrDamaged):
		return fmt.Errorf("%w; --force replaces it", err)
	}
	return err
}

// Write packs the model at source, a folder or a GGUF file, into dest, and replaces a packed file that is there. progress
// hears of every piece of work, in bytes. The end of ctx leaves nothing.
func Write(ctx context.Context, source, dest string, progress func(done, total int64)) error {
	if err := checkDest(dest, true); err != nil {
		return err
	}
	c, err := open(source, nil)
	if err != nil {
		return fmt.Errorf("cannot pack %s: %w", source, err)
	}
	return errors.Join(write(ctx, c, source, dest, listener(progress)), c.Close())
}

// Is reports whether there is a packed file at path, whole or not.
func Is(path string) bool { return packed.Is(path) }

// Check opens the packed file at path as a server would, and says what is wrong with it. It reads the file's head alone.
func Check(path string) error {
	f, err := packed.Open(path)
	if err != nil {
		return err
	}
	_, err = cpu.Load(f)
	return errors.Join(err, f.Close())
}

// reporter hears how far the work is; a [terminal.Meter] is one.
type reporter interface {
	Say(text string)
	Progress(done, total int64)
}

// listener is a reporter that wants numbers only.
type listener func(done, total int64)

func (l listener) Say(string) {}

func (l listener) Progress(done, total int64) { l(done, total) }

// write makes the file. It ends early when ctx ends, and leaves nothing after any error.
func write(ctx context.Context, c *weights.Checkpoint, source, dest string, m reporter) error {
	w, err := packed.Create(dest)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: the folder %s does not exist", dest, filepath.Dir(dest))
	}
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = w.Abort() })() // an error of it comes up again below
	err = cpu.Pack(w, c, m.Progress)
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("cannot pack %s: %w", source, err)
	}
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
	return errors.Join(err, aborted)
}

// wordless warns of a model that no server can serve, because nobody knows its words.
func wordless(c *weights.Checkpoint) string {
	if c.Vocabulary != nil || c.Config.VocabSize == model.PublishedVocabulary {
		return ""
	}
	if _, err := fs.Stat(c.Files(), "tokenizer.json"); !errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return fmt.Sprintf("It has no tokenizer, and a vocabulary of %d tokens is not that of gpt-oss: it cannot be served.\n", c.Config.VocabSize)
}

// verify reads a file whole.
func verify(ctx context.Context, path string, m *terminal.Meter) (summary string, err error) {
	f, err := packed.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := cpu.Load(f); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	var done int64
	for _, s := range f.Sections() {
		if ctx.Err() != nil {
			return "", errors.New("interrupted")
		}
		if _, err := f.Checked(s.Name); err != nil {
			return "", fmt.Errorf("%s: %w", path, err)
		}
		done += s.Length
		m.Progress(done, f.Size())
	}
	return fmt.Sprintf("%s is whole: %s, %s\n", path, terminal.Bytes(f.Size()), f.Digest()), nil
}
