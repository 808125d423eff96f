package packed

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// piece is a section with its content.
type piece struct{ name, content string }

// parts are sections of all kinds of length: none, a few bytes, exactly up to the next place, and beyond it.
func parts() []piece {
	return []piece{
		{"config.json", `{"model_type":"x"}`},
		{"nothing", ""},
		{"full", string(bytes.Repeat([]byte{7}, Align))},
		{"layers.0.q-k_v", string(bytes.Repeat([]byte("ab"), Align/2+1))},
	}
}

// write fills the sections of w, each in two pieces.
func write(t testing.TB, w *Writer, parts []piece) {
	t.Helper()
	for _, p := range parts {
		if err := w.Section(p.name, int64(len(p.content))); err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{p.content[:len(p.content)/3], p.content[len(p.content)/3:]} {
			if n, err := w.Write([]byte(text)); n != len(text) || err != nil {
				t.Fatalf("wrote %d of %d bytes: %v", n, len(text), err)
			}
		}
	}
}

// create makes a file of the sections.
func create(t testing.TB, path string, parts []piece) {
	t.Helper()
	w, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, w, parts)
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
}

// image returns the bytes of a file of the sections.
func image(t testing.TB, parts []piece) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x")
	create(t, path, parts)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// openFile opens a file that is to be good.
func openFile(t testing.TB, path string) *File {
	t.Helper()
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func names(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := []string{}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}
