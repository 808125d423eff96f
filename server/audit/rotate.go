package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// rotating is a file that is set aside when it is full: path becomes path.1, path.1 becomes path.2, and so on.
type rotating struct {
	path  string
	most  int64 // bytes
	files int   // older ones that are kept
	file  *os.File
	size  int64
}

func openRotating(path string, most int64, files int) (*rotating, error) {
	r := &rotating{path: path, most: most, files: files}
	return r, r.open()
}

// open goes on with the file that is there. Only its owner may read who asked for what.
func (r *rotating) open() error {
	f, err := os.OpenFile(r.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if r.size = info.Size(); info.IsDir() {
		return errors.Join(fmt.Errorf("%s is a directory", r.path), f.Close())
	}
	r.file = f
	return nil
}

// Write writes a line as a whole or not at all: of a part that a full disk took nothing stays.
func (r *rotating) Write(line []byte) (int, error) {
	if r.file == nil {
		if err := r.open(); err != nil {
			return 0, err
		}
	}
	if r.size > 0 && r.size+int64(len(line)) > r.most {
		if err := r.rotate(); err != nil {
			return 0, err
		}
	}
	n, err := r.file.Write(line)
	if err != nil {
		if n > 0 && r.file.Truncate(r.size) != nil {
			r.size += int64(n) // a torn line stays; better than none after it
			return n, err
		}
		return 0, err
	}
	r.size += int64(n)
	return n, nil
}

// rotate sets the file aside. What fails halfway is made good by the next try, since renaming skips what is not there.
func (r *rotating) rotate() error {
	err := r.file.Close()
	r.file = nil
	if err != nil {
		return err
	}
	for i := r.files; i > 0; i-- {
		from := r.path
		if i > 1 {
			from = fmt.Sprintf("%s.%d", r.path, i-1)
		}
		if err := os.Rename(from, fmt.Sprintf("%s.%d", r.path, i)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if r.files == 0 {
		if err := os.Remove(r.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return r.open()
}

// Close closes the file.
func (r *rotating) Close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}
