package weights

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gptoss/gptoss-operator/engine/weights/mapping"
)

const maxSmallBytes = 16 << 20 // config.json and the index

// source is a folder with a checkpoint's files.
type source struct {
	fsys fs.FS
	dir  string // the same folder by its path; empty if the files are to be read rather than mapped
}

// sub returns a folder within.
func (s source) sub(name string) (source, error) {
	fsys, err := fs.Sub(s.fsys, name)
	if s.dir == "" {
		return source{fsys: fsys}, err
	}
	return source{fsys, filepath.Join(s.dir, name)}, err
}

func (s source) load(name string) (*mapping.Memory, error) {
	if s.dir == "" {
		return readFile(s.fsys, name)
	}
	return mapFile(s.dir, name)
}

func (s source) has(name string) bool {
	_, err := fs.Stat(s.fsys, name)
	return err == nil || !errors.Is(err, fs.ErrNotExist)
}

// readHead hands the start of a file and its size to read; an error names the file.
func readHead(fsys fs.FS, name string, read func(r io.Reader, size int64) error) (size int64, err error) {
	info, err := fs.Stat(fsys, name) // before Open, which would wait for the writer of a named pipe
	if err != nil {
		return 0, describeOpen(name, err)
	}
	if !info.Mode().IsRegular() {
		return 0, fmt.Errorf("%s: is not a regular file", name)
	}
	f, err := fsys.Open(name)
	if err != nil {
		return 0, describeOpen(name, err)
	}
	defer f.Close() //nolint:errcheck // only read from
	if err := read(f, info.Size()); err != nil {
		return 0, fmt.Errorf("%s: %w", name, reason(err))
	}
	return info.Size(), nil
}

// readSmall reads a JSON file, at most maxSmallBytes of it.
func readSmall(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, describeOpen(name, err)
	}
	defer f.Close() //nolint:errcheck // only read from
	data, err := io.ReadAll(io.LimitReader(f, maxSmallBytes+1))
	if err != nil {
		return nil, describeOpen(name, err)
	}
	if len(data) > maxSmallBytes {
		return nil, fmt.Errorf("%s: longer than %d bytes", name, maxSmallBytes)
	}
	return data, nil
}

// readFile reads a whole file of any size.
func readFile(fsys fs.FS, name string) (*mapping.Memory, error) {
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, describeOpen(name, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: is not a regular file", name)
	}
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, describeOpen(name, err)
	}
	return &mapping.Memory{Data: data}, nil
}

// mapFile maps a file where the system can.
func mapFile(dir, name string) (*mapping.Memory, error) {
	path := filepath.Join(dir, name)
	info, err := os.Stat(path) // before Open, which would wait for the writer of a named pipe
	if err != nil {
		return nil, describeOpen(name, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: is not a regular file", name)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, describeOpen(name, err)
	}
	defer f.Close() // the memory outlives the descriptor
	if info, err = f.Stat(); err != nil {
		return nil, describeOpen(name, err)
	}
	size := info.Size()
	if int64(int(size)) != size {
		return nil, fmt.Errorf("%s: %d bytes long, more than this processor can address", name, size)
	}
	m, err := mapping.Open(f, int(size))
	if err != nil {
		return nil, describeOpen(name, err)
	}
	return m, nil
}

// describeOpen shortens a path error to one clause that starts with the file's name.
func describeOpen(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: missing: %w", name, fs.ErrNotExist)
	}
	return fmt.Errorf("%s: %w", name, reason(err))
}

// reason takes the operation and the path off an error that is about to name the file itself.
func reason(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}
