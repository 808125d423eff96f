package weights

import (
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/engine/weights/weightstest"
)

// bits decodes every tensor of a checkpoint, by a name; bits rather than floats, so that NaN equals itself.
func bits(c *Checkpoint) map[string][]uint32 {
	all := map[string][]uint32{}
	add := func(name string, row []float32) {
		for _, v := range row {
			all[name] = append(all[name], math.Float32bits(v))
		}
	}
	matrix := func(name string, m Matrix) {
		row := make([]float32, m.Cols)
		for r := range m.Rows {
			m.Row(r, row)
			add(name, row)
		}
	}
	experts := func(name string, e Experts) {
		matrix(name+" bias", e.Bias)
		row := make([]float32, e.Cols())
		for x := range e.Bias.Rows {
			for r := range e.Rows() {
				e.Row(x, r, row)
				add(name, row)
			}
		}
	}
	matrix("embedding", c.Embedding)
	matrix("head", c.LMHead)
	add("final norm", c.FinalNorm)
	for _, l := range c.Layers {
		for name, v := range map[string]Linear{"query": l.Query, "key": l.Key, "value": l.Value, "output": l.Output, "router": l.Router} {
			matrix(name, v.Weight)
			add(name+" bias", v.Bias)
		}
		add("attention norm", l.AttentionNorm)
		add("sinks", l.Sinks)
		add("mlp norm", l.MLPNorm)
		experts("gate and up", l.GateUp)
		experts("down", l.Down)
	}
	return all
}

// under moves a folder's files into one below.
func under(name string, f folder) folder {
	moved := folder{}
	for file, data := range f {
		moved[name+"/"+file] = data
	}
	return moved
}

func with(f folder, more folder) folder {
	all := maps.Clone(f)
	maps.Copy(all, more)
	return all
}

// ggufParts splits a model over files as llama.cpp does.
func ggufParts(stem string, metadata []weightstest.Pair, tensors []tensor, parts int) folder {
	f := folder{}
	for i := range parts {
		name := stem + partSuffix(i+1, parts)
		keys := []weightstest.Pair{{Key: "split.no", Value: uint16(i)}, {Key: "split.count", Value: uint16(parts)}}
		if i == 0 {
			keys = append(keys, metadata...)
		}
		f[name] = weightstest.WriteGGUF(keys, tensors[len(tensors)*i/parts:len(tensors)*(i+1)/parts])
	}
	return f
}

func partSuffix(part, parts int) string {
	return "-0000" + string(rune('0'+part)) + "-of-0000" + string(rune('0'+parts)) + ".gguf"
}

// TestLayoutsAreOneForm opens the same weights from every place that a model can lie in.
func TestLayoutsAreOneForm(t *testing.T) {
	config, tensors := tiny(), tinyTensors()
	original, gguf := folder(weightstest.Original(config, tensors)), weightstest.GGUF(config, tensors)
	own := weightstest.OriginalTensors(config, tensors)
	inFiles := folder{configName: original[configName], "a.safetensors": weightstest.Safetensors(own[:9]), "b.safetensors": weightstest.Safetensors(own[9:])}
	metadata, packed := weightstest.Metadata(config), weightstest.GGUFTensors(config, tensors)
	ollama := weightstest.GGUFTensors(config, tensors)
	for i := range ollama {
		ollama[i].Name = strings.NewReplacer("attn_sinks.weight", "attn_sinks", "attn_output", "attn_out", "post_attention_norm", "ffn_norm").Replace(ollama[i].Name)
	}
	tests := map[string]struct {
		folder folder
		layout Layout
	}{
		"shards with an index":          {sharded(tensors), HuggingFace},
		"original":                      {original, Original},
		"original in files":             {inFiles, Original},
		"original in its folder":        {under("original", original), Original},
		"original under a foreign text": {with(under("original", original), folder{"README.md": []byte("x")}), Original},
		"original and a config alone":   {with(under("original", original), folder{configName: []byte(tinyConfig)}), Original},
		"safetensors win over original": {with(single(tensors), under("original", folder{configName: []byte("{")})), HuggingFace},
		"safetensors win over GGUF":     {with(single(tensors), folder{"x.gguf": nil}), HuggingFace},
		"one GGUF file":                 {folder{"x.gguf": gguf, "README.md": nil}, GGUF},
		"a GGUF file beside a config":   {folder{"x.gguf": gguf, configName: []byte(tinyConfig)}, GGUF},
		"GGUF in parts":                 {ggufParts("x", metadata, packed, 3), GGUF},
		"GGUF as ollama has it":         {folder{"x.gguf": weightstest.WriteGGUF(ollamaMetadata(metadata), ollama)}, GGUF},
	}
	want, err := OpenFS(single(tensors).fs())
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := OpenFS(tc.folder.fs())
			if err != nil {
				t.Fatal(err)
			}
			if got.Layout != tc.layout {
				t.Errorf("layout %q, want %q", got.Layout, tc.layout)
			}
			if diff := cmp.Diff(want.Config, got.Config); diff != "" {
				t.Errorf("configuration (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(bits(want), bits(got)); diff != "" {
				t.Errorf("tensors (-want +got):\n%s", diff)
			}
			mapped, err := Open(tc.folder.dir(t))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(bits(want), bits(mapped)); diff != "" {
				t.Errorf("mapped tensors (-want +got):\n%s", diff)
			}
			if err := mapped.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// ollamaMetadata is what ollama's own converter wrote: another architecture and fewer keys.
func ollamaMetadata(metadata []weightstest.Pair) []weightstest.Pair {
	var out []weightstest.Pair
	for _, p := range metadata {
		switch p.Key = strings.Replace(p.Key, "gpt-oss.", "gptoss.", 1); p.Key {
		case "general.architecture":
			p.Value = "gptoss"
		case "gptoss.expert_feed_forward_length":
			p.Key = "gptoss.feed_forward_length"
		case "gptoss.rope.scaling.type":
			continue
		}
		out = append(out, p)
	}
	return out
}

func TestOpenTakesAnyPartOfGGUF(t *testing.T) {
	config, tensors := tiny(), tinyTensors()
	dir := ggufParts("my-model", weightstest.Metadata(config), weightstest.GGUFTensors(config, tensors), 2).dir(t)
	for _, name := range []string{"my-model-00001-of-00002.gguf", "my-model-00002-of-00002.gguf"} {
		c, err := Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if c.Embedding.Rows != config.VocabSize {
			t.Errorf("%s: embedding of %d rows, want %d", name, c.Embedding.Rows, config.VocabSize)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestOriginalTakesFilesFromAbove(t *testing.T) {
	f := under("original", weightstest.Original(tiny(), tinyTensors()))
	f[generationName] = []byte(`{"eos_token_id":[3,1]}`)
	f["tokenizer.json"] = []byte("words")
	dir := f.dir(t)
	for _, path := range []string{dir, filepath.Join(dir, "original")} {
		c, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if want := []int32{3, 1}; !slices.Equal(c.Config.EOSTokenIDs, want) {
			t.Errorf("%s: end tokens %v, want %v", path, c.Config.EOSTokenIDs, want)
		}
		if words, err := fs.ReadFile(c.Files(), "tokenizer.json"); string(words) != "words" {
			t.Errorf("%s: tokenizer.json is %q, %v", path, words, err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestOpenRefusesPaths(t *testing.T) {
	config, tensors := tiny(), tinyTensors()
	gguf := weightstest.GGUF(config, tensors)
	const second = "c-00002-of-00002.gguf"
	parts := ggufParts("c", weightstest.Metadata(config), weightstest.GGUFTensors(config, tensors), 2)
	delete(parts, second)
	dir := with(folder{"a.gguf": gguf, "b.gguf": gguf, "notes.txt": nil}, parts).dir(t)
	empty := t.TempDir()
	if err := os.Mkdir(filepath.Join(empty, "d.gguf"), 0o700); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct{ path, want string }{
		"nothing":            {filepath.Join(dir, "none"), "none: want a folder with config.json and model.safetensors, or a .gguf file: "},
		"another file":       {filepath.Join(dir, "notes.txt"), "notes.txt: is a file, want a folder or a .gguf file"},
		"several models":     {dir, "a.gguf and b.gguf: several models in one folder, want the path of one of them"},
		"a missing part":     {filepath.Join(dir, "c-00001-of-00002.gguf"), second + ": missing"},
		"an empty folder":    {t.TempDir(), "no model in the folder: want config.json with model.safetensors or its shards, OpenAI's folder original, or one .gguf file"},
		"a folder as a file": {empty, "d.gguf: is not a regular file"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Open(tc.path)
			wantSentence(t, err, tc.want)
		})
	}
}

func TestOpenRefusesOriginal(t *testing.T) {
	config := tiny()
	files := func(change func(folder, []tensor)) folder {
		own := weightstest.OriginalTensors(config, tinyTensors())
		f := folder{configName: weightstest.Original(config, tinyTensors())[configName]}
		change(f, own)
		if _, ok := f[singleName]; !ok {
			f[singleName] = weightstest.Safetensors(own)
		}
		return f
	}
	renamed := func(old, changed string) func(folder, []tensor) {
		return func(_ folder, own []tensor) {
			for i := range own {
				own[i].Name = strings.Replace(own[i].Name, old, changed, 1)
			}
		}
	}
	tests := map[string]struct {
		change func(folder, []tensor)
		want   string
	}{
		"a config short of a field": {func(f folder, _ []tensor) {
			f[configName] = []byte(`{"num_experts":2,"initial_context_length":32}`)
		}, `config.json: field "vocab_size" is missing`},
		"end tokens of another": {func(f folder, _ []tensor) { f[generationName] = []byte(`{"eos_token_id":5}`) }, `generation_config.json: field "eos_token_id" holds 5`},
		"broken end tokens":     {func(f folder, _ []tensor) { f[generationName] = []byte(`[`) }, `generation_config.json: not a JSON object`},
		"no weights":            {func(f folder, _ []tensor) { f[singleName] = nil }, "model.safetensors: 0 bytes long"},
		"a missing tensor":      {renamed("attn.sinks", "attn.sunk"), `model.safetensors: tensor "block.0.attn.sinks": missing, want BF16 [4] from config.json`},
		"no qkv":                {renamed("attn.qkv.weight", "attn.q.weight"), `tensor "block.0.attn.qkv.weight": missing`},
		"a short qkv": {func(_ folder, own []tensor) {
			i := slices.IndexFunc(own, func(t tensor) bool { return strings.HasSuffix(t.Name, "qkv.weight") })
			own[i].Shape, own[i].Data = []int{48, 64}, own[i].Data[:48*64*2]
		}, `model.safetensors: tensor "block.0.attn.qkv.weight": shape [48 64], want [64 64] from config.json`},
		"a wrong type": {func(_ folder, own []tensor) {
			i := slices.IndexFunc(own, func(t tensor) bool { return t.Name == "norm.scale" })
			own[i].DType = "I16"
		}, `tensor "norm.scale": type I16, want BF16`},
		"a tensor in two files": {func(f folder, own []tensor) { f["n.safetensors"] = weightstest.Safetensors(own[:1]) }, "n.safetensors: tensor \"embedding.weight\": is in model.safetensors as well"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := OpenFS(files(tc.change).fs())
			wantSentence(t, err, tc.want)
		})
	}
	more := weightstest.OriginalTensors(config, tinyTensors())
	more = append(more, tensor{Name: "block.1.attn.sinks", DType: model.BF16, Shape: []int{1}, Data: []byte{0, 0}})
	_, err := OpenFS(files(func(f folder, _ []tensor) { f[singleName] = weightstest.Safetensors(more) }).fs())
	wantSentence(t, err, `model.safetensors: tensor "block.1.*": layer 1, want layers 0 to 0 from config.json`)
	_, err = OpenFS(folder{configName: weightstest.Original(config, tinyTensors())[configName]}.fs())
	wantSentence(t, err, "0 .safetensors files beside config.json, want 1 to 1024")
}
