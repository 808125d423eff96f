package weights

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gptoss/gptoss-operator/engine/weights/weightstest"
)

// FuzzSafetensorsOpen changes a few bytes of a whole checkpoint; what still opens can be read to the end.
func FuzzSafetensorsOpen(f *testing.F) {
	f.Add([]byte(tinyConfig), uint32(0), byte('{'))
	f.Add([]byte(tinyConfig), uint32(100), byte('9'))
	f.Add([]byte(strings.Replace(tinyConfig, `"head_dim":8`, `"head_dim":16`, 1)), uint32(8), byte('{'))
	file := weightstest.Safetensors(tinyTensors())
	f.Fuzz(func(t *testing.T, config []byte, at uint32, value byte) {
		changed := append([]byte(nil), file...)
		changed[int(at)%len(changed)] = value
		c, err := OpenFS(folder{configName: config, singleName: changed}.fs())
		if err != nil {
			return
		}
		row := make([]float32, max(c.Config.HiddenSize, c.Config.IntermediateSize))
		c.LMHead.Row(c.LMHead.Rows-1, row)
		last := c.Layers[len(c.Layers)-1].Down
		last.Weight.Row(last.Weight.Experts-1, last.Weight.Rows-1, row)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestMappedFile makes sure that the data of Open are not a copy on systems that map.
func TestMappedFile(t *testing.T) {
	dir := t.TempDir()
	want := []byte("content")
	if err := os.WriteFile(filepath.Join(dir, "a"), want, 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := mapFile(dir, "a")
	if err != nil {
		t.Fatal(err)
	}
	if string(m.Data) != string(want) {
		t.Errorf("mapped %q, want %q", m.Data, want)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if _, err := mapFile(dir, "b"); err == nil || !strings.Contains(err.Error(), "b: missing") {
		t.Errorf("error %v, want one that the file is missing", err)
	}
}
