package weights

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/engine/weights/weightstest"
)

func TestOpen(t *testing.T) {
	for name, f := range map[string]folder{"in one file": single(tinyTensors()), "in shards": sharded(tinyTensors())} {
		t.Run(name, func(t *testing.T) {
			c, err := openBoth(t, f)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tiny(), c.Config); diff != "" {
				t.Errorf("configuration (-want +got):\n%s", diff)
			}
			checkTensors(t, c)
			if _, err := fs.Stat(c.Files(), configName); err != nil {
				t.Errorf("files of the checkpoint: %v", err)
			}
		})
	}
}

// checkTensors compares the typed form with tinyTensors' pattern: bytes 1, 2, 3, … in every tensor.
func checkTensors(t *testing.T, c *Checkpoint) {
	t.Helper()
	l := c.Layers[0]
	shapes := map[string][2]int{
		"embedding": {c.Embedding.Rows, c.Embedding.Cols}, "lm_head": {c.LMHead.Rows, c.LMHead.Cols},
		"query": {l.Query.Weight.Rows, l.Query.Weight.Cols}, "key": {l.Key.Weight.Rows, l.Key.Weight.Cols},
		"value": {l.Value.Weight.Rows, l.Value.Weight.Cols}, "output": {l.Output.Weight.Rows, l.Output.Weight.Cols},
		"router": {l.Router.Weight.Rows, l.Router.Weight.Cols}, "gate and up": {l.GateUp.Weight.Rows, l.GateUp.Weight.Cols},
		"down": {l.Down.Weight.Rows, l.Down.Weight.Cols}, "down bias": {l.Down.Bias.Rows, l.Down.Bias.Cols},
		"vectors": {len(c.FinalNorm), len(l.Sinks)}, "norms": {len(l.AttentionNorm), len(l.MLPNorm)},
		"biases": {len(l.Query.Bias), len(l.Output.Bias)}, "experts": {l.GateUp.Weight.Experts, l.Down.Weight.Experts},
	}
	want := map[string][2]int{
		"embedding": {5, 64}, "lm_head": {5, 64}, "query": {32, 64}, "key": {16, 64}, "value": {16, 64}, "output": {64, 32},
		"router": {2, 64}, "gate and up": {64, 64}, "down": {64, 32}, "down bias": {2, 64}, "vectors": {64, 4},
		"norms": {64, 64}, "biases": {32, 64}, "experts": {2, 2},
	}
	if diff := cmp.Diff(want, shapes); diff != "" {
		t.Errorf("shapes (-want +got):\n%s", diff)
	}
	blocks, scales := l.GateUp.Weight.RowBytes(0, 1) // two blocks a row
	if blocks[0] != 33 || len(blocks) != 32 || scales[0] != 3 || len(scales) != 2 {
		t.Errorf("row 1 begins with block %d of %d bytes and scale %d of %d", blocks[0], len(blocks), scales[0], len(scales))
	}
	blocks, scales = l.Down.Weight.RowBytes(1, 2) // one block a row, 64 rows an expert
	if blocks[0] != (66*16+1)%256 || len(blocks) != 16 || scales[0] != 67 || len(scales) != 1 {
		t.Errorf("row 2 of expert 1 begins with block %d of %d bytes and scale %d of %d", blocks[0], len(blocks), scales[0], len(scales))
	}
}

func TestOpenTakesWiderFloats(t *testing.T) {
	tensors := tinyTensors()
	for i, tt := range tensors {
		if tt.Name == model.FinalNormName {
			tensors[i].DType = model.F32
			tensors[i].Data = slices.Repeat([]byte{0, 0, 0x80, 0x3f}, 64)
		}
		if tt.Name == model.LMHeadName {
			tensors[i].DType = model.F16
			tensors[i].Data = slices.Repeat([]byte{0, 0x3c}, 5*64)
		}
	}
	c, err := openBoth(t, single(tensors))
	if err != nil {
		t.Fatal(err)
	}
	row := make([]float32, 64)
	c.LMHead.Row(4, row)
	if want := slices.Repeat([]float32{1}, 64); !slices.Equal(c.FinalNorm, want) || !slices.Equal(row, want) {
		t.Errorf("final norm %v and row of lm_head %v, want ones", c.FinalNorm, row)
	}
}

// change applies a change to the tensor of that name.
func change(name string, f func(*tensor)) []tensor {
	tensors := tinyTensors()
	for i := range tensors {
		if tensors[i].Name == name {
			f(&tensors[i])
		}
	}
	return tensors
}

func scalar(name string) tensor {
	return tensor{Name: name, DType: model.BF16, Shape: []int{1}, Data: []byte{0, 0}}
}

func without(name string) []tensor {
	return slices.DeleteFunc(tinyTensors(), func(t tensor) bool { return t.Name == name })
}

func TestOpenRefusesTensorsThatConfigDenies(t *testing.T) {
	const query, blocks = "model.layers.0.self_attn.q_proj.weight", "model.layers.0.mlp.experts.down_proj_blocks"
	dequantised := append(without(blocks), scalar("model.layers.0.mlp.experts.down_proj"))
	tests := map[string]struct {
		tensors []tensor
		want    string
	}{
		"a wrong shape": {
			change(query, func(t *tensor) { t.Shape = []int{64, 32} }),
			`model.safetensors: tensor "` + query + `": shape [64 32], want [32 64] from config.json`,
		},
		"a wrong rank": {
			change(query, func(t *tensor) { t.Shape = []int{32 * 64} }),
			`model.safetensors: tensor "` + query + `": shape [2048], want [32 64] from config.json`,
		},
		"a wrong type": {
			change(query, func(t *tensor) { t.DType = "I16" }),
			`model.safetensors: tensor "` + query + `": type I16, want BF16`,
		},
		"floats instead of blocks": {
			change(blocks, func(t *tensor) { t.DType, t.Data = model.BF16, append(t.Data, t.Data...) }),
			`model.safetensors: tensor "` + blocks + `": type BF16, want U8`,
		},
		"a missing tensor": {
			without(query),
			`model.safetensors: tensor "` + query + `": missing, want BF16 [32 64] from config.json`,
		},
		"experts that are not MXFP4": {
			dequantised,
			`model.safetensors: tensor "model.layers.0.mlp.experts.down_proj": experts in BF16, want MXFP4`,
		},
		"more layers than said": {
			append(tinyTensors(), scalar("model.layers.1.self_attn.sinks")),
			`model.safetensors: tensor "model.layers.1.*": layer 1, want layers 0 to 0 from config.json`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := openBoth(t, single(tc.tensors))
			wantSentence(t, err, tc.want)
		})
	}
}

func TestOpenRefusesFolders(t *testing.T) {
	with := func(f folder, name string, data []byte) folder {
		f[name] = data
		return f
	}
	withoutFile := func(f folder, name string) folder {
		delete(f, name)
		return f
	}
	foreign := func(file string) folder {
		return with(sharded(tinyTensors()), indexName, indexJSON(map[string]string{"lm_head.weight": file}))
	}
	const shard = "model-00002-of-00002.safetensors"
	tests := map[string]struct {
		folder folder
		want   string
	}{
		"no config":               {withoutFile(single(tinyTensors()), configName), "config.json: missing"},
		"a broken config":         {with(single(tinyTensors()), configName, []byte("{")), "config.json: not a JSON object"},
		"a config of another":     {with(single(tinyTensors()), configName, []byte("{}")), `config.json: field "model_type" is missing`},
		"a huge config":           {with(single(tinyTensors()), configName, make([]byte, maxSmallBytes+1)), "config.json: longer than"},
		"no weights":              {withoutFile(single(tinyTensors()), singleName), "model.safetensors: missing, want it or model.safetensors.index.json"},
		"empty weights":           {with(single(tinyTensors()), singleName, nil), "model.safetensors: 0 bytes long"},
		"a truncated file":        {with(single(tinyTensors()), singleName, weightstest.Safetensors(tinyTensors())[:5000]), "model.safetensors: tensor"},
		"a missing shard":         {withoutFile(sharded(tinyTensors()), shard), shard + ": missing"},
		"a truncated shard":       {with(sharded(tinyTensors()), shard, []byte("short")), shard + ": 5 bytes long"},
		"a shard without tensor":  {with(sharded(tinyTensors()), shard, weightstest.Safetensors(nil)), shard + ": tensor \""},
		"an index of nothing":     {with(sharded(tinyTensors()), indexName, []byte("{}")), `model.safetensors.index.json: field "weight_map" is empty`},
		"an index that is a list": {with(sharded(tinyTensors()), indexName, []byte("[]")), "model.safetensors.index.json: not an index"},
		"an index upwards":        {foreign("../x.safetensors"), `tensor "lm_head.weight": file "../x.safetensors", want a .safetensors file of the same folder`},
		"an index to a folder":    {foreign("a/x.safetensors"), `want a .safetensors file of the same folder`},
		"an index to the root":    {foreign("/etc/x.safetensors"), `want a .safetensors file of the same folder`},
		"an index to a drive":     {foreign(`C:x.safetensors`), `want a .safetensors file of the same folder`},
		"an index to a device":    {foreign("console"), `want a .safetensors file of the same folder`},
		"an index short of one":   {foreign(shard), `model.safetensors.index.json: tensor "model.embed_tokens.weight": missing`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := openBoth(t, tc.folder)
			wantSentence(t, err, tc.want)
		})
	}
}

func TestOpenRefusesPlaces(t *testing.T) {
	dir := single(tinyTensors()).dir(t)
	_, err := Open(filepath.Join(dir, "nowhere"))
	wantSentence(t, err, "nowhere: want a folder with config.json and model.safetensors")
	_, err = Open(filepath.Join(dir, configName))
	wantSentence(t, err, "config.json: is a file, want a folder or a .gguf file")

	if err := os.Remove(filepath.Join(dir, singleName)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, singleName), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err = Open(dir)
	wantSentence(t, err, "model.safetensors: is not a regular file")
	_, err = OpenFS(os.DirFS(dir))
	wantSentence(t, err, "model.safetensors: is not a regular file")
}

// TestOpenFollowsLinks covers the cache of huggingface_hub, where every file is a link to a blob.
func TestOpenFollowsLinks(t *testing.T) {
	blobs, dir := single(tinyTensors()).dir(t), t.TempDir()
	for _, name := range []string{configName, singleName} {
		if err := os.Symlink(filepath.Join(blobs, name), filepath.Join(dir, name)); err != nil {
			if strings.Contains(err.Error(), "privilege") {
				t.Skip("this system lets only administrators make links")
			}
			t.Fatal(err)
		}
	}
	c, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
