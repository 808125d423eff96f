package weights

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/gptoss/gptoss-operator/engine/model"
)

// Checkpoint is an opened model. Its tensors may lie in mapped memory: do not touch them after Close.
type Checkpoint struct {
	Config    model.Config
	Embedding Matrix // [vocab, hidden]
	Layers    []Layer
	FinalNorm []float32 // [hidden]
	LMHead    Matrix    // [vocab, hidden]

	fsys  fs.FS
	files []mapped
}

// Layer is one transformer block: attention, then a mixture of experts.
type Layer struct {
	AttentionNorm []float32 // [hidden]
	Query         Linear    // [heads × head_dim, hidden]
	Key           Linear    // [kv_heads × head_dim, hidden]
	Value         Linear    // [kv_heads × head_dim, hidden]
	Sinks         []float32 // [heads]
	Output        Linear    // [hidden, heads × head_dim]
	MLPNorm       []float32 // [hidden]
	Router        Linear    // [experts, hidden]
	GateUp        Experts   // [experts, 2 × intermediate, hidden]; gate on even rows, up on odd ones
	Down          Experts   // [experts, hidden, intermediate]
}

// Linear is a weight [out, in] with a bias [out].
type Linear struct {
	Weight Matrix
	Bias   []float32
}

// Experts is one linear map per expert, with a row of biases for each.
type Experts struct {
	Weight MXFP4  // [experts, out, in]
	Bias   Matrix // [experts, out]
}

// OpenDir opens the checkpoint in a folder and maps its files into memory where the platform can.
// A mapped file must not be cut short while the checkpoint is open: the system would end the process.
func OpenDir(dir string) (*Checkpoint, error) {
	if info, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("%s: want a folder with %s and %s: %w", dir, configName, singleName, reason(err))
	} else if !info.IsDir() {
		return nil, fmt.Errorf("%s: is a file, want a folder with %s and %s", dir, configName, singleName)
	}
	return open(os.DirFS(dir), func(name string) (mapped, error) { return mapFile(dir, name) })
}

// OpenFS opens the checkpoint at the root of fsys and reads its files into memory.
func OpenFS(fsys fs.FS) (*Checkpoint, error) {
	return open(fsys, func(name string) (mapped, error) { return readFile(fsys, name) })
}

// Files returns the folder that the checkpoint was opened from: tokenizer.json and generation_config.json lie there.
func (c *Checkpoint) Files() fs.FS { return c.fsys }

// Close releases the files. It is safe to call twice, not while a forward pass runs.
func (c *Checkpoint) Close() error {
	var errs []error
	for _, f := range c.files {
		errs = append(errs, f.close())
	}
	c.files = nil
	return errors.Join(errs...)
}

func open(fsys fs.FS, load func(name string) (mapped, error)) (*Checkpoint, error) {
	data, err := readSmall(fsys, configName)
	if err != nil {
		return nil, err
	}
	config, err := model.ParseConfig(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", configName, err)
	}
	c := &Checkpoint{Config: config, fsys: fsys}
	if err := c.load(load); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Checkpoint) load(load func(name string) (mapped, error)) error {
	plan, err := planFiles(c.fsys)
	if err != nil {
		return err
	}
	found := store{from: plan.describe(), tensors: map[string]located{}}
	for _, name := range plan.files {
		f, err := load(name)
		if err != nil {
			return err
		}
		c.files = append(c.files, f)
		header, err := parseHeader(f.data)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := plan.collect(found.tensors, name, header, f.data); err != nil {
			return err
		}
	}
	if err := found.check(c.Config); err != nil {
		return err
	}
	c.assemble(found)
	return nil
}

// assemble fills the typed form from tensors that were checked.
func (c *Checkpoint) assemble(s store) {
	c.Embedding = s.matrix(model.EmbeddingName)
	c.FinalNorm = s.vector(model.FinalNormName)
	c.LMHead = s.matrix(model.LMHeadName)
	c.Layers = make([]Layer, c.Config.Layers)
	for i := range c.Layers {
		p := model.LayerPrefix(i)
		c.Layers[i] = Layer{
			AttentionNorm: s.vector(p + "input_layernorm.weight"),
			Query:         s.linear(p + "self_attn.q_proj"),
			Key:           s.linear(p + "self_attn.k_proj"),
			Value:         s.linear(p + "self_attn.v_proj"),
			Sinks:         s.vector(p + "self_attn.sinks"),
			Output:        s.linear(p + "self_attn.o_proj"),
			MLPNorm:       s.vector(p + "post_attention_layernorm.weight"),
			Router:        s.linear(p + "mlp.router"),
			GateUp:        s.experts(p + "mlp.experts.gate_up_proj"),
			Down:          s.experts(p + "mlp.experts.down_proj"),
		}
	}
}

// located is a tensor and the file it lies in.
type located struct {
	entry
	file string
	data []byte
}

// store holds the tensors of all files by name.
type store struct {
	from    string // the file to name when a tensor is missing
	tensors map[string]located
}

// check compares the tensors with what the configuration implies.
func (s store) check(config model.Config) error {
	for _, want := range config.Tensors() {
		got, ok := s.tensors[want.Name]
		if !ok {
			return s.missing(want)
		}
		if !sameType(got.dtype, want.DType) {
			return fmt.Errorf("%s: tensor %q: type %s, want %s", got.file, want.Name, got.dtype, want.DType)
		}
		if !equalShape(got.shape, want.Shape) {
			return fmt.Errorf("%s: tensor %q: shape %v, want %v from %s", got.file, want.Name, got.shape, want.Shape, configName)
		}
	}
	beyond := model.LayerPrefix(config.Layers)
	for name, t := range s.tensors {
		if strings.HasPrefix(name, beyond) {
			return fmt.Errorf("%s: tensor %q: layer %d, want layers 0 to %d from %s", t.file, beyond+"*", config.Layers, config.Layers-1, configName)
		}
	}
	return nil
}

func (s store) missing(want model.Tensor) error {
	plain := strings.TrimSuffix(want.Name, "_blocks")
	if t, ok := s.tensors[plain]; ok && plain != want.Name {
		return fmt.Errorf("%s: tensor %q: experts in %s, want MXFP4 in %q and its scales", t.file, plain, t.dtype, want.Name)
	}
	return fmt.Errorf("%s: tensor %q: missing, want %s %v from %s", s.from, want.Name, want.DType, want.Shape, configName)
}

func sameType(got, want model.DType) bool {
	return got == want || want == model.BF16 && (got == model.F16 || got == model.F32)
}

func equalShape(got []int64, want []int) bool {
	if len(got) != len(want) {
		return false
	}
	for i, n := range want {
		if got[i] != int64(n) {
			return false
		}
	}
	return true
}

func (s store) matrix(name string) Matrix {
	t := s.tensors[name]
	return Matrix{Rows: int(t.shape[0]), Cols: int(t.shape[1]), DType: t.dtype, Data: t.data}
}

func (s store) vector(name string) []float32 {
	t := s.tensors[name]
	v := make([]float32, t.shape[0])
	decode(t.dtype, t.data, v)
	return v
}

func (s store) linear(name string) Linear {
	return Linear{Weight: s.matrix(name + ".weight"), Bias: s.vector(name + ".bias")}
}

func (s store) experts(name string) Experts {
	blocks, scales := s.tensors[name+"_blocks"], s.tensors[name+"_scales"]
	return Experts{
		Weight: MXFP4{
			Experts: int(blocks.shape[0]), Rows: int(blocks.shape[1]), Cols: int(blocks.shape[2]) * blockValues,
			Blocks: blocks.data, Scales: scales.data,
		},
		Bias: s.matrix(name + "_bias"),
	}
}
