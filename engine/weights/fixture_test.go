package weights

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/engine/weights/weightstest"
)

// tiny is the smallest configuration with everything in it.
func tiny() model.Config {
	return model.Config{
		VocabSize: 5, HiddenSize: 64, IntermediateSize: 32, Layers: 1, Heads: 4, KVHeads: 2, HeadDim: 8,
		Experts: 2, ActiveExperts: 1, SlidingWindow: 4, OriginalContext: 32, MaxContext: 64,
		RopeTheta: 10000, YaRNFactor: 2, YaRNBetaFast: 4, YaRNBetaSlow: 1, RMSNormEps: 1e-5, SwiGLULimit: 7,
	}
}

const tinyConfig = `{"model_type":"gpt_oss","vocab_size":5,"hidden_size":64,"intermediate_size":32,"num_hidden_layers":1,
"num_attention_heads":4,"num_key_value_heads":2,"head_dim":8,"num_local_experts":2,"num_experts_per_tok":1,
"sliding_window":4,"max_position_embeddings":64,"rope_theta":10000,
"rope_scaling":{"rope_type":"yarn","factor":2,"beta_fast":4,"beta_slow":1,"truncate":false,"original_max_position_embeddings":32}}`

// tensor is one tensor of a file under construction.
type tensor = weightstest.Tensor

// tinyTensors returns what tiny needs; byte i of a tensor is i+1.
func tinyTensors() []tensor {
	var all []tensor
	for _, t := range tiny().Tensors() {
		size := elementSize(t.DType)
		for _, d := range t.Shape {
			size *= d
		}
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(i + 1)
		}
		all = append(all, tensor{Name: t.Name, DType: t.DType, Shape: t.Shape, Data: data})
	}
	return all
}

// folder is a checkpoint's content by file name.
type folder map[string][]byte

func single(tensors []tensor) folder {
	return folder{configName: []byte(tinyConfig), singleName: weightstest.Safetensors(tensors)}
}

// sharded deals the tensors out to two files.
func sharded(tensors []tensor) folder {
	const first, second = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
	half := len(tensors) / 2
	places := map[string]string{}
	for i, t := range tensors {
		places[t.Name] = first
		if i >= half {
			places[t.Name] = second
		}
	}
	return folder{
		configName: []byte(tinyConfig), indexName: indexJSON(places),
		first: weightstest.Safetensors(tensors[:half]), second: weightstest.Safetensors(tensors[half:]),
	}
}

func indexJSON(places map[string]string) []byte {
	data, _ := json.Marshal(map[string]any{"metadata": map[string]any{"total_size": 1}, "weight_map": places})
	return data // a map of strings always has a JSON form
}

func (f folder) fs() fs.FS {
	m := fstest.MapFS{}
	for name, data := range f {
		m[name] = &fstest.MapFile{Data: data, Mode: 0o644}
	}
	return m
}

func (f folder) dir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range f {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, data, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// openBoth opens the folder from disk and from memory, and wants the same of both.
func openBoth(t *testing.T, f folder) (*Checkpoint, error) {
	t.Helper()
	fromDir, errDir := Open(f.dir(t))
	fromFS, errFS := OpenFS(f.fs())
	if fmt.Sprint(errDir) != fmt.Sprint(errFS) {
		t.Errorf("from disk %v, from memory %v, want the same", errDir, errFS)
	}
	if errDir != nil {
		return nil, errDir
	}
	t.Cleanup(func() {
		for range 2 {
			if err := fromDir.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	if !bytes.Equal(fromDir.LMHead.Data, fromFS.LMHead.Data) {
		t.Error("disk and memory differ")
	}
	return fromDir, nil
}

// wantSentence checks that an error is one line that holds the text.
func wantSentence(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v, want one line with %q", err, text)
	}
}
