package weights

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/engine/weights/gguf"
)

// ggufKeys reads the keys of one architecture and keeps the first error.
type ggufKeys struct {
	meta gguf.Metadata
	arch string
	err  error
}

func (k *ggufKeys) int(name string) int {
	v, err := k.meta.Int(k.arch + "." + name)
	if k.err == nil && err != nil {
		k.err = err
	}
	return int(min(max(v, math.MinInt32), math.MaxInt32)) // model.Config.Validate has the bounds
}

func (k *ggufKeys) float(name string, fallback float64) float64 {
	v, err := k.meta.Float(k.arch + "." + name)
	if errors.Is(err, gguf.ErrMissing) {
		return fallback
	}
	if k.err == nil && err != nil {
		k.err = err
	}
	return v
}

// has reports whether there is such a key, for those that converters leave out.
func (k *ggufKeys) has(name string) bool {
	_, ok := k.meta[k.arch+"."+name]
	return ok
}

// withoutVocabulary makes what was passed over of a vocabulary none at all. What ends an answer is known of the published
// one.
func withoutVocabulary(m gguf.Metadata) {
	n, _ := m[tokensKey].(gguf.Skipped)
	if n == model.PublishedVocabulary {
		m[endTokensKey] = slices.Clone(publishedEndTokens)
	}
	if n > 0 {
		delete(m, tokensKey)
	}
	if _, ok := m[mergesKey].(gguf.Skipped); ok {
		m[mergesKey] = []string{}
	}
}

// readMetadata takes configuration and vocabulary from a file's metadata.
func (l *listing) readMetadata(m gguf.Metadata) error {
	arch, err := m.String("general.architecture")
	if err != nil {
		return err
	}
	if !slices.Contains([]string{"gpt-oss", "gptoss", "gpt_oss"}, arch) {
		return fmt.Errorf("key %q is %.40q, want \"gpt-oss\"", "general.architecture", arch)
	}
	if l.vocabulary, err = ggufVocabulary(m, arch); err != nil {
		return err
	}
	k := &ggufKeys{meta: m, arch: arch}
	c := model.Config{
		VocabSize: l.rows("token_embd.weight"), HiddenSize: k.int("embedding_length"),
		Layers: k.int("block_count"), Heads: k.int("attention.head_count"), KVHeads: k.int("attention.head_count_kv"),
		HeadDim: k.int("attention.key_length"), Experts: k.int("expert_count"), ActiveExperts: k.int("expert_used_count"),
		SlidingWindow: k.int("attention.sliding_window"), MaxContext: k.int("context_length"),
		OriginalContext: k.int("rope.scaling.original_context_length"),
		RopeTheta:       k.float("rope.freq_base", 150000), YaRNFactor: k.float("rope.scaling.factor", 32),
		YaRNBetaFast: k.float("rope.scaling.yarn_beta_fast", 32), YaRNBetaSlow: k.float("rope.scaling.yarn_beta_slow", 1),
		RMSNormEps: k.float("attention.layer_norm_rms_epsilon", 1e-5), SwiGLULimit: 7, // GGUF has no key for it
	}
	if k.has("expert_feed_forward_length") {
		c.IntermediateSize = k.int("expert_feed_forward_length")
	} else {
		c.IntermediateSize = k.int("feed_forward_length")
	}
	if c.WindowLayers, err = k.windows(c.Layers); err != nil {
		return err
	}
	if k.err != nil {
		return k.err
	}
	if err := k.refuseForeign(c); err != nil {
		return err
	}
	if c.EOSTokenIDs, err = ggufEndTokens(m, l.vocabulary); err != nil {
		return err
	}
	l.config = c
	return ggufValidate(c, l.vocabulary)
}

func ggufValidate(c model.Config, v *Vocabulary) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("metadata, in the words of %s: %w", configName, err)
	}
	if v != nil && len(v.Tokens) > c.VocabSize {
		return fmt.Errorf("key %q has %d entries, want at most the %d rows of %q", tokensKey, len(v.Tokens), c.VocabSize, "token_embd.weight")
	}
	return nil
}

// refuseForeign rejects what this project does not compute rather than computing something else.
func (k *ggufKeys) refuseForeign(c model.Config) error {
	if k.has("attention.value_length") {
		if v := k.int("attention.value_length"); v != c.HeadDim {
			return fmt.Errorf("key %q is %d, want %d as of the keys", k.arch+".attention.value_length", v, c.HeadDim)
		}
	}
	if !k.has("rope.scaling.type") {
		return nil // ollama's files leave it out
	}
	if kind, err := k.meta.String(k.arch + ".rope.scaling.type"); err != nil || kind != "yarn" {
		return fmt.Errorf("key %q is %.40q, want \"yarn\"", k.arch+".rope.scaling.type", kind)
	}
	return nil
}

// windows reads which layers have a window: a period n, of which all but the last have one, or a flag per layer.
// Published files have neither, and every even layer has a window.
func (k *ggufKeys) windows(layers int) ([]bool, error) {
	const name = "attention.sliding_window_pattern"
	if !k.has(name) {
		return nil, nil
	}
	if flags, err := k.meta.Ints(k.arch + "." + name); err == nil {
		if len(flags) != layers {
			return nil, fmt.Errorf("key %q has %d entries, want %d", k.arch+"."+name, len(flags), layers)
		}
		windowed := make([]bool, layers)
		for i, v := range flags {
			windowed[i] = v != 0
		}
		return windowed, nil
	}
	period := k.int(name)
	if period < 0 || layers < 0 || layers > 1<<10 {
		return nil, fmt.Errorf("key %q is %d, want a period", k.arch+"."+name, period)
	}
	if period == 2 {
		return nil, nil
	}
	windowed := make([]bool, layers)
	for i := range windowed {
		windowed[i] = period == 0 || i%period < period-1
	}
	return windowed, nil
}

// rows returns the rows of a matrix, or 0 if there is none of the name.
func (l *listing) rows(name string) int {
	if t, ok := l.tensors.tensors[name]; ok && len(t.shape) == 2 {
		return int(min(t.shape[0], math.MaxInt32))
	}
	return 0
}

const (
	tokensKey    = "tokenizer.ggml.tokens"
	mergesKey    = "tokenizer.ggml.merges"
	endTokensKey = "tokenizer.ggml.eos_token_ids"
)

// publishedEndTokens are the ids of those that ggufEndTokens looks for by name.
var publishedEndTokens = []int64{200002, 199999, 200012}

// ggufVocabulary returns the vocabulary, or nil if the file has none.
func ggufVocabulary(m gguf.Metadata, arch string) (*Vocabulary, error) {
	tokens, err := m.Strings(tokensKey)
	if errors.Is(err, gguf.ErrMissing) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	v := &Vocabulary{Tokens: tokens, Pre: "gpt-4o", BOS: -1, EOS: -1}
	if kind, err := m.String("tokenizer.ggml.model"); err != nil {
		return nil, err
	} else if kind != "gpt2" {
		return nil, fmt.Errorf("key %q is %.40q, want \"gpt2\", which is byte-level BPE", "tokenizer.ggml.model", kind)
	}
	if v.Merges, err = m.Strings(mergesKey); err != nil {
		return nil, err
	}
	types, err := m.Ints("tokenizer.ggml.token_type")
	if err != nil && !errors.Is(err, gguf.ErrMissing) {
		return nil, err
	}
	if len(types) > 0 && len(types) != len(tokens) {
		return nil, fmt.Errorf("key %q has %d entries, want %d", "tokenizer.ggml.token_type", len(types), len(tokens))
	}
	for _, t := range types {
		v.Types = append(v.Types, int32(t))
	}
	// ollama's own files say "default", although the text is split as for gpt-4o.
	if pre, err := m.String("tokenizer.ggml.pre"); err == nil && arch != "gptoss" {
		v.Pre = pre
	}
	for key, to := range map[string]*int32{"bos": &v.BOS, "eos": &v.EOS} {
		id, err := m.Int("tokenizer.ggml." + key + "_token_id")
		if errors.Is(err, gguf.ErrMissing) {
			continue
		}
		if err != nil || id < 0 || id >= int64(len(tokens)) {
			return nil, fmt.Errorf("key %q is %d, want 0 to %d", "tokenizer.ggml."+key+"_token_id", id, len(tokens)-1)
		}
		*to = int32(id)
	}
	return v, nil
}

// ggufEndTokens returns the ids that end an answer: the tokens that do so in gpt-oss by name, for converters disagree
// on the keys, else what the keys say.
func ggufEndTokens(m gguf.Metadata, v *Vocabulary) ([]int32, error) {
	var ids []int32
	if v != nil {
		for _, name := range []string{"<|return|>", "<|endoftext|>", "<|call|>"} {
			if id := slices.Index(v.Tokens, name); id >= 0 {
				ids = append(ids, int32(id))
			}
		}
	}
	if len(ids) > 0 {
		return ids, nil
	}
	if many, err := m.Ints(endTokensKey); err == nil && len(many) <= 64 {
		for _, id := range many {
			ids = append(ids, int32(min(max(id, -1), math.MaxInt32)))
		}
		return ids, nil
	}
	id, err := m.Int("tokenizer.ggml.eos_token_id")
	if errors.Is(err, gguf.ErrMissing) {
		return nil, nil
	}
	return []int32{int32(min(max(id, -1), math.MaxInt32))}, err
}
