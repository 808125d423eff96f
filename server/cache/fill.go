package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/gptoss/gptoss-operator/server/options"
	"github.com/gptoss/gptoss-operator/server/pack"
	"github.com/gptoss/gptoss-operator/server/pull"
)

// errUnusable is the kind of errors about a download that is no model.
var errUnusable = errors.New("cache: unusable")

// unusable is an errUnusable in words.
type unusable struct{ error }

func (unusable) Is(target error) bool { return target == errUnusable }

func (u unusable) Unwrap() error { return u.error }

// work is one run of the command.
type work struct {
	options.Cache
	token   pull.Token
	log     *slog.Logger
	tracker *tracker
}

// fill makes the folder of the model complete.
func (w *work) fill(ctx context.Context) error {
	if err := w.clean(); err != nil {
		if w.Source == "" {
			return err
		}
		w.log.Warn("folders of other models stay", "error", err) // the download may fit all the same
	}
	if w.Source == "" {
		return nil
	}
	dest := filepath.Join(w.Root, w.Folder, w.File)
	if w.File != "" && pack.Check(dest) == nil {
		w.log.Info("complete already", "file", dest)
		return os.RemoveAll(filepath.Join(w.Root, w.Folder, options.CacheFiles)) // of a run that ended just before this
	}
	result, err := w.fetch(ctx)
	if err != nil {
		return err
	}
	w.log.Info("downloaded", "source", result.Source, "commit", result.Commit, "bytes", result.Bytes)
	if w.File == "" {
		return nil
	}
	if err := w.pack(ctx, result, dest); err != nil {
		return err
	}
	if err := os.RemoveAll(result.Dir); err != nil {
		w.log.Warn("what the packed file was made from stays", "error", err)
	}
	w.log.Info("complete", "file", dest)
	return nil
}

// clean removes the folders of models that are not to be kept.
func (w *work) clean() error {
	root, err := os.OpenRoot(w.Root)
	if err != nil {
		return fmt.Errorf("--root: %w", err)
	}
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return errors.Join(fmt.Errorf("--root: %w", err), root.Close())
	}
	var failed []error
	for _, e := range entries {
		name := e.Name()
		if !options.CacheFolder.MatchString(name) || name == w.Folder || slices.Contains(w.Keep, name) {
			continue
		}
		w.log.Info("removing a model that is not served any more", "folder", name)
		if err := root.RemoveAll(name); err != nil {
			failed = append(failed, fmt.Errorf("remove %s: %w", name, err))
		}
	}
	return errors.Join(append(failed, root.Close())...)
}

// fetch brings the files. A complete download is taken as it is: a branch that has moved since is not looked at, so that
// nothing changes under pods that run on it.
func (w *work) fetch(ctx context.Context) (pull.Result, error) {
	w.tracker.begin(options.CacheDownloading)
	o := pull.Options{
		Source: w.Source, Revision: w.Revision, Endpoint: w.Endpoint, SHA256: w.SHA256, To: filepath.Join(w.Root, w.Folder, options.CacheFiles),
		Token: w.token, TokenHint: "tokenSecretRef", Proxy: http.ProxyFromEnvironment, Report: w.tracker.download,
	}
	if strings.Contains(w.Source, "://") {
		o.TokenOrigin, o.TokenHint = w.Source, "secretRef"
	}
	there := o
	there.Offline, there.Report = true, nil
	if result, err := pull.Fetch(ctx, there); err == nil {
		return result, nil
	}
	return pull.Fetch(ctx, o)
}

// pack makes the packed file of what was downloaded, or takes a download that is one already.
func (w *work) pack(ctx context.Context, result pull.Result, dest string) error {
	w.tracker.begin(options.CachePacking)
	source := result.Dir
	if len(result.Files) == 1 {
		if file := filepath.Join(result.Dir, result.Files[0]); pack.Is(file) {
			if err := pack.Check(file); err != nil {
				return unusable{fmt.Errorf("%s: %w", result.Files[0], err)}
			}
			return os.Rename(file, dest)
		}
	}
	err := pack.Write(ctx, source, dest, w.tracker.packed)
	switch {
	case err == nil || ctx.Err() != nil:
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: no space is left in the volume to pack %s", pull.ErrFull, result.Source)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EIO), errors.Is(err, syscall.EROFS):
		return err
	}
	return unusable{err}
}
