package packed

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/gptoss/gptoss-operator/engine/weights/mapping"
)

// File is an open file. What it gives out are views of one memory: do not touch them after Close.
type File struct {
	index
	names  map[string]int // of sections
	memory *mapping.Memory
}

// Open maps a file read-only, or reads it where the system cannot map it. It looks at head, directory, tail and the
// length of the file only, so it takes no time; what the sections hold is checked by [File.Checked] and [File.Verify].
// Errors are one sentence with the path, and wrap [ErrForeign], [ErrIncomplete] or [ErrDamaged] where that is the matter.
// A mapped file must not be cut short while it is open: the system would end the process.
func Open(path string) (*File, error) {
	return open(path, mapping.Open)
}

// OpenCopy is Open with the file read into memory of this process alone, as [mapping.Copy] does it: faster to compute with
// on some machines. progress may be nil.
func OpenCopy(path string, progress func(done, total int64)) (*File, error) {
	return open(path, func(file *os.File, size int) (*mapping.Memory, error) { return mapping.Copy(file, size, progress) })
}

func open(path string, load func(file *os.File, size int) (*mapping.Memory, error)) (*File, error) {
	f, err := openWith(path, load)
	if err != nil {
		return nil, fmt.Errorf("packed: %s: %w", path, reason(err))
	}
	return f, nil
}

func openWith(path string, load func(file *os.File, size int) (*mapping.Memory, error)) (*File, error) {
	file, size, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() // a mapping outlives the descriptor
	x, err := parse(file, size)
	if err != nil {
		return nil, err
	}
	if int64(int(size)) != size {
		return nil, fmt.Errorf("%d bytes long, more than this processor can address", size)
	}
	f := &File{index: *x, names: make(map[string]int, len(x.sections))}
	for i, s := range x.sections {
		f.names[s.Name] = i
	}
	if f.memory, err = load(file, int(size)); errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("%w: it was cut short a moment ago", ErrIncomplete)
	}
	return f, err
}

// Is reports whether a file begins as a packed one does; it may be damaged all the same. A path to nothing is no error
// here, but will be one for who opens it.
func Is(path string) bool {
	file, _, err := openRegular(path)
	if err != nil {
		return false
	}
	defer file.Close()
	var start [len(magic)]byte
	_, err = io.ReadFull(file, start[:])
	return err == nil && string(start[:]) == magic
}

func openRegular(path string) (*os.File, int64, error) {
	info, err := os.Stat(path) // before Open, which would wait for the writer of a named pipe
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, errors.New("is not a regular file")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	if info, err = file.Stat(); err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, info.Size(), nil
}

// reason takes the operation and the path off an error that is about to name the file itself.
func reason(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}

// Close releases the memory. It is safe to call twice, not while somebody reads.
func (f *File) Close() error { return f.memory.Close() }

// Mapped reports whether the file is mapped rather than read: then all processes of the machine share one copy.
func (f *File) Mapped() bool { return f.memory.Mapped }

// Size returns the length of the file in bytes.
func (f *File) Size() int64 { return f.size() }

// Digest returns the digest of all sections and their names, as "sha256:" and hexadecimal digits.
func (f *File) Digest() string { return "sha256:" + hex.EncodeToString(f.digest[:]) }

// Sections returns the directory, in the order of the file. The caller must not change it.
func (f *File) Sections() []Section { return f.sections }

// Section returns a view of a section, which nobody checked, and whether there is one.
func (f *File) Section(name string) ([]byte, bool) {
	i, ok := f.names[name]
	if !ok {
		return nil, false
	}
	s := f.sections[i]
	return f.memory.Data[s.Offset : s.Offset+s.Length : s.Offset+s.Length], true
}

// Contents returns views of all sections that hold something, in the order of the file. Nobody checked them.
func (f *File) Contents() (all [][]byte) {
	for _, s := range f.sections {
		if s.Length > 0 {
			all = append(all, f.memory.Data[s.Offset:s.Offset+s.Length:s.Offset+s.Length])
		}
	}
	return all
}

// Checked reads a section whole, with the zeros after it, and returns it if that is what was written. An error wraps
// [ErrDamaged], or [fs.ErrNotExist] if there is no such section.
func (f *File) Checked(name string) ([]byte, error) {
	data, ok := f.Section(name)
	if !ok {
		return nil, fmt.Errorf("packed: section %q: missing: %w", name, fs.ErrNotExist)
	}
	s := f.sections[f.names[name]]
	if sha256.Sum256(data) != s.SHA256 {
		return nil, fmt.Errorf("packed: section %q: %w: its %d bytes do not have the SHA-256 in the directory", name, ErrDamaged, s.Length)
	}
	return data, allZero(f.memory.Data[s.Offset+s.Length : s.end()])
}

// Verify reads the whole file and returns an error that wraps [ErrDamaged] unless every byte is as it was written.
func (f *File) Verify() error {
	for _, s := range f.sections {
		if _, err := f.Checked(s.Name); err != nil {
			return err
		}
	}
	return allZero(f.memory.Data[headBytes:Align])
}

// allZero checks what lies between the parts of a file.
func allZero(b []byte) error {
	for _, v := range b {
		if v != 0 {
			return fmt.Errorf("packed: %w: something lies between its sections, want zeros", ErrDamaged)
		}
	}
	return nil
}
