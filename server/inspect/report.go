package inspect

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/engine/weights"
)

// report is what is printed; its JSON form is the output of --output json.
type report struct {
	Model      string     `json:"model"`
	Layout     string     `json:"layout,omitempty"`
	Problem    string     `json:"problem,omitempty"`
	Files      []file     `json:"files,omitempty"`
	Digest     string     `json:"digest,omitempty"` // of a packed file
	Config     config     `json:"config"`
	Parameters parameters `json:"parameters"`
	Types      []share    `json:"types"`
	Shared     []tensor   `json:"shared_tensors"`
	Layers     []layers   `json:"layers"`
	Tensors    []tensor   `json:"tensors,omitempty"`
	Memory     memory     `json:"memory"`
}

type file struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

// config has the names of Hugging Face's config.json.
type config struct {
	Layers          int     `json:"num_hidden_layers"`
	HiddenSize      int     `json:"hidden_size"`
	Intermediate    int     `json:"intermediate_size"`
	Heads           int     `json:"num_attention_heads"`
	KVHeads         int     `json:"num_key_value_heads"`
	HeadDim         int     `json:"head_dim"`
	Experts         int     `json:"num_local_experts"`
	ActiveExperts   int     `json:"num_experts_per_tok"`
	VocabSize       int     `json:"vocab_size"`
	SlidingWindow   int     `json:"sliding_window"`
	WindowLayers    int     `json:"sliding_window_layers"`
	MaxContext      int     `json:"max_position_embeddings"`
	OriginalContext int     `json:"original_max_position_embeddings"`
	RopeTheta       float64 `json:"rope_theta"`
	YaRNFactor      float64 `json:"rope_factor"`
	SwiGLULimit     float64 `json:"swiglu_limit"`
	EndTokens       []int32 `json:"eos_token_id"`
}

type parameters struct {
	Total  int64 `json:"total"`
	Active int64 `json:"active"`
}

// share is what the tensors of one type take.
type share struct {
	Type    string `json:"type"`
	Tensors int    `json:"tensors"`
	Bytes   int64  `json:"bytes"`
}

type tensor struct {
	Name  string  `json:"name"`
	Type  string  `json:"type"`
	Shape []int64 `json:"shape"`
	Bytes int64   `json:"bytes"`
	File  string  `json:"file,omitempty"`
}

// layers is a run of layers whose tensors are alike.
type layers struct {
	First   int      `json:"first"`
	Last    int      `json:"last"`
	Bytes   int64    `json:"bytes_per_layer"`
	Tensors []tensor `json:"tensors"` // of one layer, by the names after the layer's prefix
}

type memory struct {
	ContextLength int   `json:"context_length"`
	Sequences     int   `json:"sequences"`
	Weights       int64 `json:"weights_bytes"`
	Copied        int64 `json:"copied_bytes"` // of the weights: packed into memory rather than mapped
	KVCache       int64 `json:"kv_cache_bytes"`
	Working       int64 `json:"working_bytes"`
	Total         int64 `json:"total_bytes"`
}

func newReport(f flags, d *weights.Description, digest string) (*report, error) {
	c := d.Config
	if f.contextLength > c.MaxContext {
		return nil, fmt.Errorf("--context-length is %d, want at most the model's %d", f.contextLength, c.MaxContext)
	}
	r := &report{
		Model:      cmp.Or(f.path, f.preset),
		Layout:     string(d.Layout),
		Digest:     digest,
		Config:     newConfig(c),
		Parameters: parameters{c.TotalParameters(), c.ActiveParameters()},
	}
	if d.Problem != nil {
		r.Problem = d.Problem.Error()
	}
	for _, x := range d.Files {
		r.Files = append(r.Files, file{x.Name, x.Size})
	}
	all := make([]tensor, len(d.Tensors))
	for i, t := range d.Tensors {
		all[i] = tensor{t.Name, typeName(t.Type), t.Shape, t.Bytes, t.File}
	}
	r.Types = typesOf(all)
	r.Shared, r.Layers = group(all)
	if f.tensors {
		r.Tensors = all
	}
	r.Memory = plan(c, f)
	if f.path != "" && digest == "" {
		r.Memory.Copied = r.Memory.Weights
	}
	return r, nil
}

func newConfig(c model.Config) config {
	windowed := 0
	for i := range c.Layers {
		if c.Window(i) > 0 {
			windowed++
		}
	}
	return config{
		c.Layers, c.HiddenSize, c.IntermediateSize, c.Heads, c.KVHeads, c.HeadDim, c.Experts, c.ActiveExperts, c.VocabSize,
		c.SlidingWindow, windowed, c.MaxContext, c.OriginalContext, c.RopeTheta, c.YaRNFactor, c.SwiGLULimit, c.EOSTokenIDs,
	}
}

// typeName calls the bytes of safetensors what they are: gpt-oss has no others than MXFP4 blocks and scales.
func typeName(t model.DType) string {
	if t == model.U8 {
		return string(model.MXFP4)
	}
	return string(t)
}

// typesOf adds up the tensors by type, the largest share first.
func typesOf(all []tensor) []share {
	var shares []share
	for _, t := range all {
		i := slices.IndexFunc(shares, func(s share) bool { return s.Type == t.Type })
		if i < 0 {
			i = len(shares)
			shares = append(shares, share{Type: t.Type})
		}
		shares[i].Tensors++
		shares[i].Bytes += t.Bytes
	}
	slices.SortStableFunc(shares, func(a, b share) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Type, b.Type))
	})
	return shares
}

// layerPattern takes a layer's prefix off in any of the layouts.
var layerPattern = regexp.MustCompile(`^(?:model\.layers|layers|block|blk)\.([0-9]{1,4})\.(.+)$`)

// group parts the tensors of the layers from the others, and joins neighbouring layers with the same tensors.
func group(all []tensor) (shared []tensor, runs []layers) {
	byLayer := map[int][]tensor{}
	for _, t := range all {
		t.File = ""
		m := layerPattern.FindStringSubmatch(t.Name)
		if m == nil {
			shared = append(shared, t)
			continue
		}
		layer, _ := strconv.Atoi(m[1]) // four digits at most
		t.Name = m[2]
		byLayer[layer] = append(byLayer[layer], t)
	}
	numbers := make([]int, 0, len(byLayer))
	for n, tensors := range byLayer {
		slices.SortFunc(tensors, func(a, b tensor) int { return cmp.Compare(a.Name, b.Name) })
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		if last := len(runs) - 1; last >= 0 && runs[last].Last == n-1 && slices.EqualFunc(runs[last].Tensors, byLayer[n], alike) {
			runs[last].Last = n
			continue
		}
		run := layers{First: n, Last: n, Tensors: byLayer[n]}
		for _, t := range run.Tensors {
			run.Bytes += t.Bytes
		}
		runs = append(runs, run)
	}
	return shared, runs
}

func alike(a, b tensor) bool {
	return a.Name == b.Name && a.Type == b.Type && slices.Equal(a.Shape, b.Shape)
}

// plan is the engine's arithmetic for sequences that are all as long as they may be. However the weights are stored, they
// are packed when they are computed with.
func plan(c model.Config, f flags) memory {
	m := c.Memory(model.Serving{ContextLength: f.contextLength, Sequences: f.sequences})
	return memory{
		ContextLength: cmp.Or(f.contextLength, c.MaxContext), Sequences: f.sequences,
		Weights: m.Weights, KVCache: m.KVCache, Working: m.Working, Total: m.Total,
	}
}
