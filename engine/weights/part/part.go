package part

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// suffix is what a file's name ends in until it is whole.
const suffix = ".gptoss-part"

// File is a file that is being written. It has [os.File]'s methods for that.
type File struct {
	*os.File // under the name of the part
	path     string
	ended    bool // it has its final name, or was aborted
}

// Create begins a file, empty. Until Commit it is NAME.gptoss-part in the same folder, which nobody else can write to at
// the same time. What lies at path stays until Commit replaces it. Errors name the file.
func Create(path string) (*File, error) {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: is there already and is not a regular file", path)
	}
	name := path + suffix
	for range 10 { // whoever held the lock before may have renamed or removed the file: then another name is free
		file, err := take(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, reason(err))
		}
		if file == nil {
			continue
		}
		if err := file.Truncate(0); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", name, reason(err)), file.Close())
		}
		return &File{File: file, path: path}, nil
	}
	return nil, fmt.Errorf("%s: others keep writing to it", name)
}

// take opens and locks the file, or returns nil if it lost its name meanwhile.
func take(name string) (*os.File, error) {
	if info, err := os.Lstat(name); err == nil && !info.Mode().IsRegular() {
		return nil, errors.New("is there already and is not a regular file")
	}
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if !lockFile(file) {
		return nil, errors.Join(errors.New("another process is writing to it"), file.Close())
	}
	ours, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if now, err := os.Lstat(name); err != nil || !os.SameFile(ours, now) {
		return nil, file.Close()
	}
	return file, nil
}

// Reserve returns an error if the file system has no room for so many bytes. Where it does not say, there is room.
func (f *File) Reserve(bytes int64) error {
	if free, ok := freeBytes(f.File); ok && free < bytes {
		return fmt.Errorf("%s: no room: needs %d bytes, and %d are free", filepath.Dir(f.path), bytes, free)
	}
	return nil
}

// Commit waits until all is on the disk, gives the file its name and closes it. After an error the file can only be
// aborted.
func (f *File) Commit() error {
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), f.path); err != nil {
		return err
	}
	f.ended = true
	// Closing gives up the lock, so it comes after the rename.
	return errors.Join(syncFolder(filepath.Dir(f.path)), f.Close())
}

// Abort removes what was written and closes the file. It does nothing once the file has its name, or was aborted.
func (f *File) Abort() error {
	if f.ended {
		return nil
	}
	f.ended = true
	err := os.Remove(f.Name())
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, f.Close())
}

// reason takes the operation and the path off an error that is about to name the file itself.
func reason(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}
