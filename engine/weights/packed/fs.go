package packed

import (
	"bytes"
	"io/fs"
	"time"
)

// Open opens a section as a file, which makes f an [fs.FS] with one flat folder. The section is read and compared with
// its digest first: it is meant for the small ones.
func (f *File) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	data, err := f.Checked(name)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &member{Reader: *bytes.NewReader(data), name: name}, nil
}

// member is an open section and its own description.
type member struct {
	bytes.Reader
	name string
}

// Stat returns the section itself.
func (m *member) Stat() (fs.FileInfo, error) { return info{m.name, m.Size()}, nil }

// Close does nothing: the memory belongs to the file.
func (m *member) Close() error { return nil }

type info struct {
	name string
	size int64
}

func (i info) Name() string     { return i.name }
func (i info) Size() int64      { return i.size }
func (info) Mode() fs.FileMode  { return 0o444 }
func (info) ModTime() time.Time { return time.Time{} }
func (info) IsDir() bool        { return false }
func (info) Sys() any           { return nil }
