package weights

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/engine/weights/gguf"
)

// ggufNames pairs the names of a tensor in Hugging Face's layout and in GGUF: outside the layers, then in one. Experts
// are apart, for GGUF has them in one tensor each of gate, up and down.
var (
	ggufNames = []namePair{
		{model.EmbeddingName, "token_embd.weight"},
		{model.FinalNormName, "output_norm.weight"},
		{model.LMHeadName, "output.weight"},
	}
	ggufLayerNames = []namePair{
		{"input_layernorm.weight", "attn_norm.weight"},
		{"self_attn.q_proj.weight", "attn_q.weight"},
		{"self_attn.q_proj.bias", "attn_q.bias"},
		{"self_attn.k_proj.weight", "attn_k.weight"},
		{"self_attn.k_proj.bias", "attn_k.bias"},
		{"self_attn.v_proj.weight", "attn_v.weight"},
		{"self_attn.v_proj.bias", "attn_v.bias"},
		{"self_attn.sinks", "attn_sinks.weight"},
		{"self_attn.o_proj.weight", "attn_output.weight"},
		{"self_attn.o_proj.bias", "attn_output.bias"},
		{"post_attention_layernorm.weight", "post_attention_norm.weight"},
		{"mlp.router.weight", "ffn_gate_inp.weight"},
		{"mlp.router.bias", "ffn_gate_inp.bias"},
	}
	// ollamaNames are what ollama's own converter called three tensors of the architecture "gptoss".
	ollamaNames = strings.NewReplacer(
		".attn_out.", ".attn_output.", ".ffn_norm.", ".post_attention_norm.",
		".attn_sinks.weight", ".attn_sinks.weight", ".attn_sinks", ".attn_sinks.weight")
)

func blkPrefix(layer int) string { return fmt.Sprintf("blk.%d.", layer) }

// splitPattern is how the files of a model in parts are named, counted from 1.
var splitPattern = regexp.MustCompile(`^(.+)-([0-9]{5})-of-([0-9]{5})\.gguf$`)

// splitName takes the name of a part apart.
func splitName(name string) (stem string, part, parts int, ok bool) {
	m := splitPattern.FindStringSubmatch(name)
	if m == nil {
		return "", 0, 0, false
	}
	part, _ = strconv.Atoi(m[2]) // five digits
	parts, _ = strconv.Atoi(m[3])
	return m[1], part, parts, true
}

// listGGUF reads the heads of a GGUF file, or of all parts that belong to it.
func listGGUF(from source, name string, d detail) (*listing, error) {
	names := []string{name}
	if stem, _, parts, ok := splitName(name); ok {
		if parts < 1 || parts > maxShards {
			return nil, fmt.Errorf("%s: %d parts, want 1 to %d", name, parts, maxShards)
		}
		names = names[:0]
		for i := range parts {
			names = append(names, fmt.Sprintf("%s-%05d-of-%05d%s", stem, i+1, parts, ggufSuffix))
		}
	}
	l := &listing{layout: GGUF, source: "the metadata", from: from}
	l.tensors = store{from: names[0], own: func(name string) string { return name }, tensors: map[string]stored{}}
	var first gguf.Metadata
	for i, name := range names {
		head, err := l.addGGUF(name, d)
		if err != nil {
			return nil, err
		}
		if err := checkPart(head.Metadata, i, len(names)); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if i == 0 {
			first = head.Metadata
		}
	}
	if d == brief {
		withoutVocabulary(first)
	}
	if err := l.readMetadata(first); err != nil {
		return nil, fmt.Errorf("%s: %w", names[0], err)
	}
	l.check = func(l *listing) error { return l.verify(ggufTensors(l.config), anyFloats, blkPrefix) }
	l.assemble = func(l *listing, c *Checkpoint) { c.assembleGGUF(l.tensors) }
	return l, nil
}

// addGGUF reads the head of a file and notes the file and its tensors.
func (l *listing) addGGUF(name string, d detail) (head *gguf.File, err error) {
	size, err := readHead(l.from.fsys, name, func(r io.Reader, size int64) error {
		var err error
		head, err = gguf.Read(r, size, int64(d))
		return err
	})
	if err != nil {
		return nil, err
	}
	l.files = append(l.files, FileInfo{name, size})
	for _, t := range head.Tensors {
		s := stored{t.Name, model.DType(t.Type.String()), t.Shape, name, t.Offset, t.Offset + t.Size}
		l.all = append(l.all, s)
		known := ollamaNames.Replace(t.Name)
		if other, ok := l.tensors.tensors[known]; ok {
			return nil, fmt.Errorf("%s: tensor %.120q: is in %s as well", name, t.Name, other.file)
		}
		l.tensors.tensors[known] = s
	}
	return head, nil
}

// checkPart makes sure that a file is the part that its name says.
func checkPart(m gguf.Metadata, index, parts int) error {
	for _, k := range []struct {
		key  string
		want int
	}{{"split.count", parts}, {"split.no", index}} {
		got, err := m.Int(k.key)
		switch {
		case errors.Is(err, gguf.ErrMissing) && parts == 1:
			return nil
		case err != nil:
			return err
		case k.key == "split.count" && got <= 1 && parts == 1:
			return nil
		case got != int64(k.want):
			return fmt.Errorf("key %q is %d, want %d: parts are named NAME-00001-of-00003%s", k.key, got, k.want, ggufSuffix)
		}
	}
	return nil
}

// ggufTensors lists what a GGUF file must hold.
func ggufTensors(c model.Config) []model.Tensor {
	own := ownNames(c.Layers, ggufNames, ggufLayerNames, blkPrefix)
	var wanted []model.Tensor
	for _, t := range c.Tensors() {
		if name, ok := own[t.Name]; ok {
			wanted = append(wanted, model.Tensor{Name: name, DType: model.BF16, Shape: t.Shape})
		}
	}
	for i := range c.Layers {
		p := blkPrefix(i)
		for _, e := range []struct {
			name       string
			rows, cols int
		}{
			{"ffn_gate_exps", c.IntermediateSize, c.HiddenSize},
			{"ffn_up_exps", c.IntermediateSize, c.HiddenSize},
			{"ffn_down_exps", c.HiddenSize, c.IntermediateSize},
		} {
			wanted = append(wanted,
				model.Tensor{Name: p + e.name + ".weight", DType: model.MXFP4, Shape: []int{c.Experts, e.rows, e.cols}},
				model.Tensor{Name: p + e.name + ".bias", DType: model.F32, Shape: []int{c.Experts, e.rows}})
		}
	}
	return wanted
}

// anyFloats accepts every type that can be decoded, for any tensor: converters differ in what they quantize.
func anyFloats(got, _ model.DType) bool {
	return slices.Contains([]model.DType{model.MXFP4, model.Q8_0, model.F16, model.BF16, model.F32}, got)
}

// assembleGGUF fills the typed form from tensors that were checked.
func (c *Checkpoint) assembleGGUF(s store) {
	c.Embedding = s.matrix("token_embd.weight")
	c.FinalNorm = s.vector("output_norm.weight")
	c.LMHead = s.matrix("output.weight")
	c.Layers = make([]Layer, c.Config.Layers)
	for i := range c.Layers {
		p := blkPrefix(i)
		c.Layers[i] = Layer{
			AttentionNorm: s.vector(p + "attn_norm.weight"),
			Query:         s.linear(p + "attn_q"),
			Key:           s.linear(p + "attn_k"),
			Value:         s.linear(p + "attn_v"),
			Sinks:         s.vector(p + "attn_sinks.weight"),
			Output:        s.linear(p + "attn_output"),
			MLPNorm:       s.vector(p + "post_attention_norm.weight"),
			Router:        s.linear(p + "ffn_gate_inp"),
			GateUp:        s.ggufExperts(p+"ffn_gate_exps", p+"ffn_up_exps"),
			Down:          s.ggufExperts(p + "ffn_down_exps"),
		}
	}
}

// ggufExperts takes one or two tensors of experts, whose rows take turns.
func (s store) ggufExperts(names ...string) Experts {
	var e Experts
	var biases []Matrix
	for _, name := range names {
		e.Other = append(e.Other, s.matrix(name+".weight"))
		biases = append(biases, s.matrix(name+".bias"))
	}
	if e.Bias = biases[0]; len(biases) > 1 {
		e.Bias = interleave(biases)
	}
	return e
}
