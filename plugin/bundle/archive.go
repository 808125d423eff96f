package bundle

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"time"
)

// maxFile bounds a file of the archive.
const maxFile = 4 << 20

// Archive is a .tar.gz under way. It gets its name only when it is complete.
type Archive struct {
	redactor *Redactor
	file     *os.File
	gz       *gzip.Writer
	tar      *tar.Writer
	path     string
	now      time.Time
	names    []string
}

// Create begins an archive, readable by its owner only. A file that exists is not overwritten.
func Create(path string, r *Redactor, now time.Time) (*Archive, error) {
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("%s exists already", path)
	}
	f, err := os.OpenFile(path+".part", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	gz := gzip.NewWriter(f)
	return &Archive{redactor: r, file: f, gz: gz, tar: tar.NewWriter(gz), path: path, now: now}, nil
}

// Add writes a file, cleaned and bounded. Of what is too long the end is kept: that is where logs tell what happened.
func (a *Archive) Add(name string, content []byte) error {
	content = a.redactor.Clean(content)
	if len(content) > maxFile {
		content = append([]byte("[the beginning was cut]\n"), content[len(content)-maxFile:]...)
	}
	root := strings.TrimSuffix(strings.TrimSuffix(path.Base(a.path), ".gz"), ".tar")
	if err := a.tar.WriteHeader(&tar.Header{Name: path.Join(root, path.Clean("/"+name)), Mode: 0o600, Size: int64(len(content)), ModTime: a.now}); err != nil {
		return err
	}
	a.names = append(a.names, name)
	_, err := a.tar.Write(content)
	return err
}

// Names are the files so far.
func (a *Archive) Names() []string { return a.names }

// Close completes the archive and gives it its name.
func (a *Archive) Close() error {
	if err := errors.Join(a.tar.Close(), a.gz.Close(), a.file.Close()); err != nil {
		return errors.Join(err, os.Remove(a.path+".part"))
	}
	return os.Rename(a.path+".part", a.path)
}

// Abort removes what was written.
func (a *Archive) Abort() {
	_ = a.file.Close()
	_ = os.Remove(a.path + ".part") // there is nothing better to do about it
}
