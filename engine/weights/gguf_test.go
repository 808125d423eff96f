package weights

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/engine/weights/gguf"
	"github.com/gptoss/gptoss-operator/engine/weights/weightstest"
)

type pair = weightstest.Pair

// set gives metadata another value for a key, none for a nil, or one more key.
func set(metadata []pair, key string, value any) []pair {
	metadata = slices.DeleteFunc(slices.Clone(metadata), func(p pair) bool { return p.Key == key })
	if value == nil {
		return metadata
	}
	return append(metadata, pair{Key: key, Value: value})
}

// openGGUF opens tiny's tensors with other metadata.
func openGGUF(metadata []pair) (*Checkpoint, error) {
	file := weightstest.WriteGGUF(metadata, weightstest.GGUFTensors(tiny(), tinyTensors()))
	return OpenFS(folder{"x.gguf": file}.fs())
}

// vocabulary is one of four tokens, in a model of five.
func vocabulary() []pair {
	return []pair{
		{Key: "tokenizer.ggml.model", Value: "gpt2"},
		{Key: "tokenizer.ggml.pre", Value: "gpt-4o"},
		{Key: "tokenizer.ggml.tokens", Value: []string{"a", "<|call|>", "b", "<|return|>"}},
		{Key: "tokenizer.ggml.token_type", Value: []int32{1, 3, 1, 3}},
		{Key: "tokenizer.ggml.merges", Value: []string{"a b"}},
		{Key: "tokenizer.ggml.bos_token_id", Value: uint32(0)},
		{Key: "tokenizer.ggml.eos_token_id", Value: uint32(2)},
	}
}

func TestGGUFConfig(t *testing.T) {
	base := weightstest.Metadata(tiny())
	change := func(f func(*model.Config)) model.Config {
		c := tiny()
		f(&c)
		return c
	}
	tests := map[string]struct {
		metadata []pair
		want     model.Config
	}{
		"as it is":               {base, tiny()},
		"without betas":          {set(base, "gpt-oss.rope.scaling.yarn_beta_fast", nil), change(func(c *model.Config) { c.YaRNBetaFast = 32 })},
		"a window everywhere":    {set(base, "gpt-oss.attention.sliding_window_pattern", uint32(0)), change(func(c *model.Config) { c.WindowLayers = []bool{true} })},
		"a window nowhere":       {set(base, "gpt-oss.attention.sliding_window_pattern", uint32(1)), change(func(c *model.Config) { c.WindowLayers = []bool{false} })},
		"a window in turn":       {set(base, "gpt-oss.attention.sliding_window_pattern", uint32(2)), tiny()},
		"windows by layer":       {set(base, "gpt-oss.attention.sliding_window_pattern", []bool{false}), change(func(c *model.Config) { c.WindowLayers = []bool{false} })},
		"one end token":          {set(base, "tokenizer.ggml.eos_token_id", uint32(4)), change(func(c *model.Config) { c.EOSTokenIDs = []int32{4} })},
		"several end tokens":     {set(base, "tokenizer.ggml.eos_token_ids", []int32{4, 2}), change(func(c *model.Config) { c.EOSTokenIDs = []int32{4, 2} })},
		"end tokens by name":     {append(slices.Clone(base), vocabulary()...), change(func(c *model.Config) { c.EOSTokenIDs = []int32{3, 1} })},
		"another epsilon":        {set(base, "gpt-oss.attention.layer_norm_rms_epsilon", float32(1e-6)), change(func(c *model.Config) { c.RMSNormEps = 1e-6 })},
		"an old name, gpt_oss":   {rename(base, "gpt_oss"), tiny()},
		"an old name, gptoss":    {rename(base, "gptoss"), tiny()},
		"no values beside keys":  {set(base, "gpt-oss.attention.value_length", nil), tiny()},
		"yarn is what is meant":  {set(base, "gpt-oss.rope.scaling.type", nil), tiny()},
		"an unknown key besides": {set(base, "gpt-oss.something", "new"), tiny()},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := openGGUF(tc.metadata)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, c.Config); diff != "" {
				t.Errorf("configuration (-want +got):\n%s", diff)
			}
		})
	}
}

// rename changes the architecture and what the keys begin with.
func rename(metadata []pair, arch string) []pair {
	out := slices.Clone(metadata)
	for i := range out {
		out[i].Key = strings.Replace(out[i].Key, "gpt-oss.", arch+".", 1)
	}
	return set(out, "general.architecture", arch)
}

func TestGGUFVocabulary(t *testing.T) {
	all := append(weightstest.Metadata(tiny()), vocabulary()...)
	full := Vocabulary{
		Tokens: []string{"a", "<|call|>", "b", "<|return|>"}, Merges: []string{"a b"}, Types: []int32{1, 3, 1, 3},
		Pre: "gpt-4o", BOS: 0, EOS: 2,
	}
	bare := full
	bare.Types, bare.BOS, bare.EOS = nil, -1, -1
	tests := map[string]struct {
		metadata []pair
		want     *Vocabulary
	}{
		"none":     {weightstest.Metadata(tiny()), nil},
		"a whole":  {all, &full},
		"the bare": {set(set(set(all, "tokenizer.ggml.token_type", nil), "tokenizer.ggml.bos_token_id", nil), "tokenizer.ggml.eos_token_id", nil), &bare},
		"ollama's": {rename(set(all, "tokenizer.ggml.pre", "default"), "gptoss"), &full},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := openGGUF(tc.metadata)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, c.Vocabulary); diff != "" {
				t.Errorf("vocabulary (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOpenRefusesGGUFMetadata(t *testing.T) {
	base := weightstest.Metadata(tiny())
	words := append(slices.Clone(base), vocabulary()...)
	tests := map[string]struct {
		metadata []pair
		want     string
	}{
		"no architecture":         {set(base, "general.architecture", nil), `x.gguf: key "general.architecture": missing, want a string`},
		"another architecture":    {set(base, "general.architecture", "llama"), `key "general.architecture" is "llama", want "gpt-oss"`},
		"a missing size":          {set(base, "gpt-oss.expert_count", nil), `key "gpt-oss.expert_count": missing, want an integer`},
		"a size of text":          {set(base, "gpt-oss.expert_count", "2"), `key "gpt-oss.expert_count" is a string, want an integer`},
		"a huge size":             {set(base, "gpt-oss.embedding_length", uint64(1)<<62), `metadata, in the words of config.json: field "hidden_size" is 2147483647`},
		"a million layers":        {set(base, "gpt-oss.block_count", uint32(1<<20)), `field "num_hidden_layers" is 1048576`},
		"layers by a period":      {set(set(base, "gpt-oss.block_count", uint32(1<<20)), "gpt-oss.attention.sliding_window_pattern", uint32(3)), "want a period"},
		"windows of other layers": {set(base, "gpt-oss.attention.sliding_window_pattern", []bool{true, false}), "has 2 entries, want 1"},
		"a linear rope":           {set(base, "gpt-oss.rope.scaling.type", "linear"), `key "gpt-oss.rope.scaling.type" is "linear", want "yarn"`},
		"other values than keys":  {set(base, "gpt-oss.attention.value_length", uint32(9)), `key "gpt-oss.attention.value_length" is 9, want 8`},
		"one part of several":     {set(base, "split.count", uint16(3)), `key "split.count" is 3, want 1: parts are named`},
		"end tokens beyond":       {set(base, "tokenizer.ggml.eos_token_id", uint32(5)), `field "eos_token_id" holds 5`},
		"a vocabulary of words":   {set(words, "tokenizer.ggml.model", "bert"), `key "tokenizer.ggml.model" is "bert", want "gpt2"`},
		"too many tokens":         {set(set(words, "tokenizer.ggml.tokens", make([]string, 6)), "tokenizer.ggml.token_type", nil), `key "tokenizer.ggml.tokens" has 6 entries, want at most the 5 rows`},
		"types of others":         {set(words, "tokenizer.ggml.token_type", []int32{1}), `key "tokenizer.ggml.token_type" has 1 entries, want 4`},
		"a start beyond":          {set(words, "tokenizer.ggml.bos_token_id", uint32(4)), `key "tokenizer.ggml.bos_token_id" is 4, want 0 to 3`},
		"no merges":               {set(words, "tokenizer.ggml.merges", nil), `key "tokenizer.ggml.merges": missing`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := openGGUF(tc.metadata)
			wantSentence(t, err, tc.want)
		})
	}
}

func TestOpenRefusesGGUFTensors(t *testing.T) {
	const sinks, gate = "blk.0.attn_sinks.weight", "blk.0.ffn_gate_exps.weight"
	at := func(name string, f func(*tensor)) []tensor {
		all := weightstest.GGUFTensors(tiny(), tinyTensors())
		f(&all[slices.IndexFunc(all, func(t tensor) bool { return t.Name == name })])
		return all
	}
	tests := map[string]struct {
		tensors []tensor
		want    string
	}{
		"a missing tensor": {at(sinks, func(t *tensor) { t.Name = "x" }), `x.gguf: tensor "blk.0.attn_sinks.weight": missing, want BF16 [4] from the metadata`},
		"missing experts":  {at(gate, func(t *tensor) { t.Name = "x" }), `tensor "blk.0.ffn_gate_exps.weight": missing, want MXFP4 [2 32 64]`},
		"a type that nobody computes with": {
			at(gate, func(t *tensor) { t.DType, t.Shape, t.Data = "Q4_K", []int{2, 32, 256}, make([]byte, 2*32*144) }),
			`x.gguf: tensor "blk.0.ffn_gate_exps.weight": type Q4_K, want MXFP4`,
		},
		"a wrong shape":   {at(sinks, func(t *tensor) { t.Shape = []int{2, 2} }), `tensor "blk.0.attn_sinks.weight": shape [2 2], want [4] from the metadata`},
		"one layer more":  {append(at(sinks, func(*tensor) {}), tensor{Name: "blk.1.x", DType: model.F32, Shape: []int{1}, Data: make([]byte, 4)}), `tensor "blk.1.*": layer 1, want layers 0 to 0 from the metadata`},
		"two names of it": {append(at(sinks, func(*tensor) {}), tensor{Name: "blk.0.attn_sinks", DType: model.F32, Shape: []int{1}, Data: make([]byte, 4)}), `tensor "blk.0.attn_sinks": is in x.gguf as well`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := OpenFS(folder{"x.gguf": weightstest.WriteGGUF(weightstest.Metadata(tiny()), tc.tensors)}.fs())
			wantSentence(t, err, tc.want)
		})
	}
}

// TestGGUFTypes compares every element type with what ggml's own library makes of it (hack/golden). It reads a scale of
// 255 as 2^128, where OCP Microscaling has NaN, as this package has in every layout.
func TestGGUFTypes(t *testing.T) {
	file, err := os.ReadFile(filepath.Join("testdata", "types.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Read(bytes.NewReader(file), int64(len(file)), 0)
	if err != nil {
		t.Fatal(err)
	}
	matrices := map[string]Matrix{}
	for _, x := range f.Tensors {
		matrices[x.Name] = Matrix{Rows: int(x.Shape[0]), Cols: int(x.Shape[1]), DType: model.DType(x.Type.String()), Data: file[x.Offset : x.Offset+x.Size]}
	}
	compared := 0
	for name, m := range matrices {
		want, ok := matrices[name+".values"]
		if !ok {
			continue
		}
		compared++
		t.Run(name, func(t *testing.T) {
			got, wanted := make([]float32, m.Cols), make([]float32, m.Cols)
			for r := range m.Rows {
				want.Row(r, wanted)
				m.Row(r, got)
				equalRows(t, name, r, got, wanted)
			}
		})
	}
	if compared != 8 {
		t.Errorf("compared %d tensors, want 8", compared)
	}
}

func equalRows(t *testing.T, name string, r int, got, want []float32) {
	t.Helper()
	for i, v := range got {
		isNaN := math.IsNaN(float64(v))
		if strings.HasPrefix(name, "MXFP4.255") && !isNaN || !strings.HasPrefix(name, "MXFP4.255") && v != want[i] {
			t.Fatalf("%s: row %d, element %d is %g, ggml has %g", name, r, i, v, want[i])
		}
	}
}

// TestOpenCostsLittleWhenItRefuses opens files that claim to be gpt-oss-120b and have nothing but a head.
func TestOpenCostsLittleWhenItRefuses(t *testing.T) {
	big, _ := model.Preset("gpt-oss-120b")
	head := weightstest.WriteGGUF(weightstest.Metadata(big), nil)
	files := map[string]folder{
		"a model without tensors": {"x.gguf": head},
		"a tensor of 60 GiB":      {"x.gguf": append(slices.Clone(head[:8]), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0, 0, 0, 0, 0)},
		"an original without any": {configName: weightstest.Original(big, weightstest.Shapes(big))[configName], singleName: weightstest.Safetensors(nil)},
	}
	for name, f := range files {
		t.Run(name, func(t *testing.T) {
			dir := f.dir(t)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Open(dir)
			runtime.ReadMemStats(&after)
			if err == nil || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one line", err)
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > 4<<20 {
				t.Errorf("allocated %d bytes, want at most 4 MiB", got)
			}
		})
	}
}

// FuzzGGUFOpen changes bytes of a whole checkpoint; what still opens can be read to the end.
func FuzzGGUFOpen(f *testing.F) {
	metadata := append(weightstest.Metadata(tiny()), vocabulary()...)
	file := weightstest.WriteGGUF(metadata, weightstest.GGUFTensors(tiny(), tinyTensors()))
	for at := range uint32(64) {
		f.Add(at*61, byte(at*7), uint16(at))
	}
	f.Fuzz(func(t *testing.T, at uint32, value byte, next uint16) {
		changed := slices.Clone(file)
		head := uint32(len(changed)) / 4 // the rest is tensors
		changed[at%head] = value
		changed[(at+uint32(next))%head] ^= value
		readAll(t, folder{"x.gguf": changed})
	})
}

// FuzzOriginalOpen does the same to OpenAI's own layout, its config.json included.
func FuzzOriginalOpen(f *testing.F) {
	files := folder(weightstest.Original(tiny(), tinyTensors()))
	f.Add(files[configName], []byte(`{"eos_token_id":[1,2]}`), uint32(0), byte('{'))
	f.Add(files[configName], []byte(`{}`), uint32(99), byte('9'))
	f.Fuzz(func(t *testing.T, config, generation []byte, at uint32, value byte) {
		changed := slices.Clone(files[singleName])
		changed[int(at)%len(changed)] = value
		readAll(t, under("original", folder{configName: config, generationName: generation, singleName: changed}))
	})
}

// FuzzIndex reads any index; what it names lies in the folder.
func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}`))
	f.Add([]byte(`{"weight_map":{"a":"../x.safetensors"}}`))
	f.Add([]byte(`{"weight_map":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := parseIndex(data)
		if err != nil {
			return
		}
		for _, file := range p.files {
			if filepath.Base(file) != file || filepath.Ext(file) != ".safetensors" {
				t.Errorf("file %q, want a name", file)
			}
		}
	})
}

// readAll decodes all of what opens.
func readAll(t *testing.T, f folder) {
	t.Helper()
	c, err := OpenFS(f.fs())
	if err != nil {
		return
	}
	if all := bits(c); len(all) == 0 {
		t.Error("no tensors")
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
