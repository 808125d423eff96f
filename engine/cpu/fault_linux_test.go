package cpu

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/gptoss/gptoss-operator/engine/kernel"
)

// TestShortenedFileEndsTheStepOnly maps a matrix from a file that somebody cuts off while it is in use.
func TestShortenedFileEndsTheStepOnly(t *testing.T) {
	for _, name := range []string{"", "generic"} {
		t.Run("kernel "+name, func(t *testing.T) {
			w := packCheckpoint(t, openCase(t, "window"))
			size, err := kernel.Int8Bytes(w.LMHead.Rows(), w.LMHead.Cols())
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "lm_head")
			if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			data, err := syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ, syscall.MAP_SHARED)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := syscall.Munmap(data); err != nil {
					t.Error(err)
				}
			})
			if w.LMHead, err = kernel.NewInt8(data, w.LMHead.Rows(), w.LMHead.Cols()); err != nil {
				t.Fatal(err)
			}
			o := options()
			o.Kernel = name
			m := newModel(t, w, o)
			sequence := Sequence{Tokens: []int32{1}, Full: []int32{0}, Window: []int32{0}, Logits: make([]float32, w.Config.VocabSize)}
			step(t, m, sequence)
			if err := os.Truncate(path, 0); err != nil {
				t.Fatal(err)
			}
			var failure *PanicError
			if err := m.Step([]Sequence{sequence}); !errors.As(err, &failure) {
				t.Errorf("error %v, want that of reading what is not there", err)
			}
			sequence.Logits = nil
			step(t, m, sequence)
		})
	}
}
