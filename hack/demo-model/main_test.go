package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestEmbeddedFilesAreCurrent runs the generator again and wants the bytes that are in the repository.
func TestEmbeddedFilesAreCurrent(t *testing.T) {
	dir := t.TempDir()
	if err := write(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"config.json", "generation_config.json", "tokenizer.json", "model.safetensors"} {
		want, err := os.ReadFile(filepath.Join("..", "..", "engine", "demo", "files", name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs from engine/demo/files: run the generator again", name)
		}
	}
}
