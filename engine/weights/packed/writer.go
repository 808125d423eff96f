package packed

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"sync"

	"github.com/gptoss/gptoss-operator/engine/weights/part"
)

// errEnded is the answer to whoever goes on after Commit or Abort.
var errEnded = errors.New("packed: the file was committed or aborted")

// Writer makes a file: [Writer.Section] and [Writer.Write] in turn, then [Writer.Commit]. Its methods may be called from
// several goroutines; writing from one and aborting from another is what that is for.
type Writer struct {
	path string

	mu       sync.Mutex
	file     *part.File // nil once committed or aborted
	sections []Section
	names    map[string]bool
	hash     hash.Hash
	left     int64 // bytes that the last section still wants
}

// Create begins a file. Until Commit it is NAME.gptoss-part in the same folder, which nobody else can write to at the same
// time; one left behind by a process that was killed is taken over. What lies at path stays until Commit replaces it.
func Create(path string) (*Writer, error) {
	file, err := part.Create(path)
	if err != nil {
		return nil, fmt.Errorf("packed: %w", err)
	}
	return &Writer{path: path, file: file, names: map[string]bool{}, hash: sha256.New()}, nil
}

// Reserve returns an error if the file system has no room for so many bytes. Where it does not say, there is room.
func (w *Writer) Reserve(bytes int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.file == nil {
		return errEnded
	}
	if err := w.file.Reserve(bytes); err != nil {
		return fmt.Errorf("packed: %w", err)
	}
	return nil
}

// Section ends the section before, which must be whole, and begins one of the given length in bytes.
func (w *Writer) Section(name string, length int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.seal(); err != nil {
		return err
	}
	switch {
	case !validName(name) || w.names[name]:
		return fmt.Errorf("packed: section %.120q: want 1 to %d letters, digits, dots, dashes and underscores, and no other section of the name", name, maxName)
	case length < 0 || length > maxLength:
		return fmt.Errorf("packed: section %q: length of %d bytes", name, length)
	case len(w.sections) >= maxDirectory/(entryBytes+maxName):
		return fmt.Errorf("packed: section %q: after %d others, which is the most", name, len(w.sections))
	}
	at := int64(Align)
	if n := len(w.sections); n > 0 {
		at = w.sections[n-1].end()
	}
	w.names[name] = true
	w.sections = append(w.sections, Section{Name: name, Offset: at, Length: length})
	w.left = length
	w.hash.Reset()
	return nil
}

// Write appends to the section that was begun last.
func (w *Writer) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.file == nil {
		return 0, errEnded
	}
	if int64(len(b)) > w.left {
		return 0, fmt.Errorf("packed: %d bytes where a section wants %d", len(b), w.left)
	}
	if len(b) == 0 {
		return 0, nil
	}
	s := w.sections[len(w.sections)-1]
	n, err := w.file.WriteAt(b, s.Offset+s.Length-w.left)
	w.hash.Write(b[:n])
	w.left -= int64(n)
	return n, w.failed(err)
}

// failed names the file that was to be, not the part.
func (w *Writer) failed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("packed: %s: %w", w.path, reason(err))
}

// seal notes the digest of the last section.
func (w *Writer) seal() error {
	if w.file == nil {
		return errEnded
	}
	if n := len(w.sections); n > 0 {
		s := &w.sections[n-1]
		if w.left > 0 {
			return fmt.Errorf("packed: section %q: lacks %d of %d bytes", s.Name, w.left, s.Length)
		}
		w.hash.Sum(s.SHA256[:0])
	}
	return nil
}

// Commit waits until all is on the disk and gives the file its name. After an error the writer can only be aborted.
func (w *Writer) Commit() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.seal(); err != nil {
		return err
	}
	x, head, directory := newIndex(w.sections)
	_, err := w.file.WriteAt(append(directory, x.tail()...), x.directory)
	if err == nil {
		err = w.file.Sync()
	}
	// The head comes last: whatever a crash leaves before this moment begins with zeros.
	if err == nil {
		_, err = w.file.WriteAt(head, 0)
	}
	if err == nil {
		err = w.file.Commit()
	}
	if err == nil {
		w.file = nil
	}
	return w.failed(err)
}

// Abort removes what was written. It is safe at any time and does nothing after Commit.
func (w *Writer) Abort() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.file == nil {
		return nil
	}
	err := w.file.Abort()
	w.file = nil
	return w.failed(err)
}
