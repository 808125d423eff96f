package weights

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/gptoss/gptoss-operator/engine/model"
)

// originalNames pairs the names of a tensor in Hugging Face's and OpenAI's layout: outside the layers, then in one.
// Query, key and value are one tensor there.
var (
	originalNames = []namePair{
		{model.EmbeddingName, "embedding.weight"},
		{model.FinalNormName, "norm.scale"},
		{model.LMHeadName, "unembedding.weight"},
	}
	originalLayerNames = []namePair{
		{"input_layernorm.weight", "attn.norm.scale"},
		{"self_attn.q_proj.weight", "attn.qkv.weight"},
		{"self_attn.k_proj.weight", "attn.qkv.weight"},
		{"self_attn.v_proj.weight", "attn.qkv.weight"},
		{"self_attn.q_proj.bias", "attn.qkv.bias"},
		{"self_attn.k_proj.bias", "attn.qkv.bias"},
		{"self_attn.v_proj.bias", "attn.qkv.bias"},
		{"self_attn.sinks", "attn.sinks"},
		{"self_attn.o_proj.weight", "attn.out.weight"},
		{"self_attn.o_proj.bias", "attn.out.bias"},
		{"post_attention_layernorm.weight", "mlp.norm.scale"},
		{"mlp.router.weight", "mlp.gate.weight"},
		{"mlp.router.bias", "mlp.gate.bias"},
		{"mlp.experts.gate_up_proj_blocks", "mlp.mlp1_weight.blocks"},
		{"mlp.experts.gate_up_proj_scales", "mlp.mlp1_weight.scales"},
		{"mlp.experts.gate_up_proj_bias", "mlp.mlp1_bias"},
		{"mlp.experts.down_proj_blocks", "mlp.mlp2_weight.blocks"},
		{"mlp.experts.down_proj_scales", "mlp.mlp2_weight.scales"},
		{"mlp.experts.down_proj_bias", "mlp.mlp2_bias"},
	}
)

// namePair is what a tensor is called here and in a file.
type namePair struct{ name, own string }

func blockPrefix(layer int) string { return fmt.Sprintf("block.%d.", layer) }

// ownNames returns, by Hugging Face name, what a layout calls the tensors of a model with so many layers.
func ownNames(layers int, outside, inside []namePair, prefix func(int) string) map[string]string {
	own := make(map[string]string, len(outside)+layers*len(inside))
	for _, p := range outside {
		own[p.name] = p.own
	}
	for i := range layers {
		for _, p := range inside {
			own[model.LayerPrefix(i)+p.name] = prefix(i) + p.own
		}
	}
	return own
}

// listOriginal reads the heads of all .safetensors files of a folder, as OpenAI's loader does. The folder above is nil
// or has generation_config.json and tokenizer.json, as in the published repositories.
func listOriginal(from source, above fs.FS, config []byte) (*listing, error) {
	c, err := model.ParseOriginal(config)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", configName, err)
	}
	if above != nil {
		from.fsys = layered{from.fsys, above}
	}
	if len(c.EOSTokenIDs) == 0 {
		if c.EOSTokenIDs, err = endTokens(from.fsys); err != nil {
			return nil, fmt.Errorf("%s: %w", generationName, err)
		}
		if err := c.Validate(); err != nil {
			return nil, fmt.Errorf("%s: %w", generationName, err)
		}
	}
	l := &listing{layout: Original, config: c, source: configName, from: from}
	names, err := safetensorsFiles(from.fsys)
	if err != nil {
		return nil, err
	}
	seen := map[string]stored{}
	for _, name := range names {
		tensors, err := l.addSafetensors(name)
		if err != nil {
			return nil, err
		}
		for _, t := range tensors {
			if other, ok := seen[t.name]; ok {
				return nil, fmt.Errorf("%s: tensor %.120q: is in %s as well", name, t.name, other.file)
			}
			seen[t.name] = t
		}
	}
	l.arrange(seen)
	return l, nil
}

// arrange gives the tensors the names of Hugging Face's layout and cuts query, key and value apart.
func (l *listing) arrange(seen map[string]stored) {
	own := ownNames(l.config.Layers, originalNames, originalLayerNames, blockPrefix)
	l.tensors = store{from: l.files[0].Name, own: func(name string) string { return own[name] }, tensors: map[string]stored{}}
	var problem error
	for name, file := range own {
		t, ok := seen[file]
		if !ok {
			continue
		}
		if strings.Contains(name, ".self_attn.") && strings.Contains(file, ".qkv.") {
			var err error
			if t, err = cutQKV(l.config, t, name); err != nil && (problem == nil || err.Error() < problem.Error()) {
				problem = err
			}
		}
		l.tensors.tensors[name] = t
	}
	for name, t := range seen { // so that layers too many are found
		if strings.HasPrefix(name, blockPrefix(l.config.Layers)) {
			l.tensors.tensors[name] = t
		}
	}
	l.check = func(l *listing) error {
		if problem != nil {
			return problem
		}
		return l.verify(l.config.Tensors(), floats, blockPrefix)
	}
	l.assemble = func(l *listing, c *Checkpoint) { c.assemble(l.tensors) }
}

// cutQKV returns the rows of query, key or value, which lie in this order in one tensor.
func cutQKV(c model.Config, t stored, name string) (stored, error) {
	q, kv := int64(c.Heads)*int64(c.HeadDim), int64(c.KVHeads)*int64(c.HeadDim)
	want := []int{int(q + 2*kv), c.HiddenSize}
	if strings.HasSuffix(name, ".bias") {
		want = want[:1]
	}
	if !equalShape(t.shape, want) {
		return t, fmt.Errorf("%s: tensor %q: shape %v, want %v from %s", t.file, t.name, t.shape, want, configName)
	}
	first, rows := int64(0), q
	switch {
	case strings.Contains(name, ".k_proj."):
		first, rows = q, kv
	case strings.Contains(name, ".v_proj."):
		first, rows = q+kv, kv
	}
	each := (t.end - t.begin) / t.shape[0]
	t.begin += first * each
	t.end = t.begin + rows*each
	t.shape = append([]int64{rows}, t.shape[1:]...)
	return t, nil
}

// safetensorsFiles returns the files of a folder with tensors.
func safetensorsFiles(fsys fs.FS) ([]string, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, describeOpen(".", err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".safetensors") {
			names = append(names, e.Name())
		}
	}
	if len(names) == 0 || len(names) > maxShards {
		return nil, fmt.Errorf("%d .safetensors files beside %s, want 1 to %d", len(names), configName, maxShards)
	}
	return names, nil
}

const generationName = "generation_config.json"

// endTokens reads generation_config.json if there is one.
func endTokens(fsys fs.FS) ([]int32, error) {
	data, err := readSmall(fsys, generationName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return model.ParseEndTokens(data)
}

// layered is a folder that takes what it lacks from others.
type layered []fs.FS

// Open opens the file in the first folder that has it.
func (l layered) Open(name string) (fs.File, error) {
	for _, fsys := range l[:len(l)-1] {
		f, err := fsys.Open(name)
		if !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
	}
	return l[len(l)-1].Open(name)
}
