package mapping

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"unsafe"
)

// TestOpen has the content of a file after the file was closed.
func TestOpen(t *testing.T) {
	for name, want := range map[string]string{"a file": "content", "an empty one": ""} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x")
			if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			m, err := Open(f, len(want))
			if err := errors.Join(err, f.Close()); err != nil {
				t.Fatal(err)
			}
			if string(m.Data) != want {
				t.Errorf("content %q, want %q", m.Data, want)
			}
			if err := errors.Join(m.Close(), m.Close()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestCopy reads a file of several chunks, and tells how far it is.
func TestCopy(t *testing.T) {
	want := make([]byte, 2*copyChunk+77)
	for i := range want {
		want[i] = byte(i % 251)
	}
	var last, total int64
	m, err := Copy(bytes.NewReader(want), len(want), func(done, all int64) {
		if done <= last {
			t.Errorf("%d bytes after %d", done, last)
		}
		last, total = done, all
	})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(m.Data, want) || m.Mapped || uintptr(unsafe.Pointer(&m.Data[0]))%64 != 0 {
		t.Errorf("%d bytes, not those of the file", len(m.Data))
	}
	if last != int64(len(want)) || total != last {
		t.Errorf("the last progress is %d of %d bytes, want all %d", last, total, len(want))
	}
	if err := errors.Join(m.Close(), m.Close()); err != nil {
		t.Error(err)
	}
	if m, err := Copy(bytes.NewReader(nil), 0, nil); err != nil || len(m.Data) != 0 || m.Close() != nil {
		t.Errorf("of nothing: %+v, %v", m, err)
	}
	for _, short := range [][]byte{want[1:], want[:copyChunk], nil} {
		if _, err := Copy(bytes.NewReader(short), len(want), nil); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes: error %v, want %v", len(short), err, io.ErrUnexpectedEOF)
		}
	}
}
