package cpu

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"unsafe"

	"github.com/gptoss/gptoss-operator/engine/kernel"
	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/engine/weights"
	"github.com/gptoss/gptoss-operator/engine/weights/packed"
)

// source gives sections: a packed file, or memory.
type source interface {
	Section(name string) ([]byte, bool)
}

// checkedSource can also tell whether a section is as it was written.
type checkedSource interface {
	source
	Checked(name string) ([]byte, error)
}

// Load returns the weights of a packed file as views of it, so they live as long as the file is open. Only the
// configuration is read; lengths are checked, and of the weights nothing more, so it takes no time.
func Load(f *packed.File) (*Weights, error) { return load(f) }

func load(from checkedSource) (*Weights, error) {
	c, err := readConfig(from)
	if err != nil {
		return nil, err
	}
	return loadWeights(from, c)
}

// Config returns the configuration of the model in a packed file. A file that holds something else is an error.
func Config(f *packed.File) (model.Config, error) { return readConfig(f) }

func readConfig(from checkedSource) (model.Config, error) {
	format, err := from.Checked(formatName)
	if errors.Is(err, fs.ErrNotExist) {
		return model.Config{}, errors.New("cpu: the file is packed, but holds no model")
	}
	if err != nil {
		return model.Config{}, err
	}
	if string(format) != formatText {
		return model.Config{}, fmt.Errorf("cpu: the file holds %.40q, want %q: pack the model again", format, formatText)
	}
	data, err := from.Checked(configName)
	if err != nil {
		return model.Config{}, err
	}
	c, err := model.ParseConfig(data)
	if err != nil {
		return model.Config{}, fmt.Errorf("cpu: section %q: %w", configName, err)
	}
	return c, nil
}

// Describe lists the weights of a packed file as [weights.Describe] lists those of others, without reading them. Files
// has to be filled in by who knows the path.
func Describe(f *packed.File) (*weights.Description, error) {
	c, err := readConfig(f)
	if err != nil {
		return nil, err
	}
	l := loader{from: f, note: true}
	_, problem := l.weights(c)
	return &weights.Description{Layout: "packed", Config: c, Tensors: l.seen, Problem: problem}, nil
}

// loadWeights makes views of the sections that [tensorSections] plans.
func loadWeights(from source, c model.Config) (*Weights, error) {
	l := loader{from: from}
	return l.weights(c)
}

func (l *loader) weights(c model.Config) (*Weights, error) {
	hidden, inter, vocab := c.HiddenSize, c.IntermediateSize, c.VocabSize
	q, kv := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	w := &Weights{
		Config:    c,
		Embedding: l.bfloat16("embedding", vocab, hidden),
		FinalNorm: l.float32("final_norm", 1, hidden),
		LMHead:    l.int8("lm_head", vocab, hidden),
		Layers:    make([]Layer, c.Layers),
	}
	for i := range w.Layers {
		p := layerPrefix(i)
		w.Layers[i] = Layer{
			AttentionNorm: l.float32(p+"attention_norm", 1, hidden),
			QKV:           l.int8(p+"qkv", q+2*kv, hidden),
			QKVBias:       l.float32(p+"qkv_bias", 1, q+2*kv),
			Sinks:         l.float32(p+"sinks", 1, c.Heads),
			Output:        l.int8(p+"output", hidden, kernel.Blocks(q)*kernel.BlockLen),
			OutputBias:    l.float32(p+"output_bias", 1, hidden),
			MLPNorm:       l.float32(p+"mlp_norm", 1, hidden),
			Router:        l.float32(p+"router", c.Experts, hidden),
			RouterBias:    l.float32(p+"router_bias", 1, c.Experts),
			GateUp:        l.mxfp4(p+"gate_up", c.Experts, 2*inter, hidden),
			GateUpBias:    l.float32(p+"gate_up_bias", c.Experts, 2*inter),
			Down:          l.mxfp4(p+"down", c.Experts, hidden, inter),
			DownBias:      l.float32(p+"down_bias", c.Experts, hidden),
		}
		if l.err != nil {
			break
		}
	}
	if l.err != nil {
		return nil, fmt.Errorf("cpu: %w", l.err)
	}
	return w, nil
}

// loader takes sections of known lengths and keeps the first error.
type loader struct {
	from source
	note bool                 // what is taken
	seen []weights.TensorInfo // what was noted
	err  error
}

// packedInt8 is what the matrices of [kernel.Int8] are called.
const packedInt8 model.DType = "INT8"

// see notes a section; of a shape that begins with 1 the rest.
func (l *loader) see(name string, kind model.DType, data []byte, shape ...int) {
	if !l.note {
		return
	}
	info := weights.TensorInfo{Name: name, Type: kind, Bytes: int64(len(data))}
	for i, n := range shape {
		if i > 0 || n != 1 {
			info.Shape = append(info.Shape, int64(n))
		}
	}
	l.seen = append(l.seen, info)
}

// bytes returns a section of n parts of so many bytes, or nil after an error; an error in the size counts as one.
func (l *loader) bytes(name string, n, each int, err error) []byte {
	data, ok := l.from.Section(name)
	switch want := int64(n) * int64(each); {
	case l.err != nil:
		return nil
	case err != nil:
		l.err = fmt.Errorf("section %q: %w", name, err)
	case !ok:
		l.err = fmt.Errorf("section %q: missing", name)
	case int64(len(data)) != want:
		l.err = fmt.Errorf("section %q: %d bytes, want %d for this model's %s", name, len(data), want, configName)
	default:
		return data
	}
	return nil
}

func (l *loader) bfloat16(name string, rows, cols int) []uint16 {
	b := l.bytes(name, rows, 2*cols, nil)
	l.see(name, model.BF16, b, rows, cols)
	if v, ok := view[uint16](b); ok {
		return v
	}
	v := make([]uint16, len(b)/2)
	for i := range v {
		v[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return v
}

func (l *loader) float32(name string, rows, cols int) []float32 {
	b := l.bytes(name, rows, 4*cols, nil)
	l.see(name, model.F32, b, rows, cols)
	if v, ok := view[float32](b); ok {
		return v
	}
	v := make([]float32, len(b)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return v
}

func (l *loader) int8(name string, rows, cols int) kernel.Int8 {
	size, err := kernel.Int8Bytes(rows, cols)
	b := l.bytes(name, 1, size, err)
	l.see(name, packedInt8, b, rows, cols)
	if l.err != nil {
		return kernel.Int8{}
	}
	m, err := kernel.NewInt8(b, rows, cols)
	l.err = err
	return m
}

func (l *loader) mxfp4(name string, experts, rows, cols int) []kernel.MXFP4 {
	size, err := kernel.MXFP4Bytes(rows, cols)
	b := l.bytes(name, experts, size, err)
	l.see(name, model.MXFP4, b, experts, rows, cols)
	if l.err != nil {
		return nil
	}
	all := make([]kernel.MXFP4, experts)
	for i := range all {
		if all[i], err = kernel.NewMXFP4(b[i*size:(i+1)*size:(i+1)*size], rows, cols); err != nil {
			l.err = err
			return nil
		}
	}
	return all
}

// view returns the same memory as numbers, if it lies and is ordered as this processor wants them.
func view[T uint16 | float32](b []byte) ([]T, bool) {
	size := int(unsafe.Sizeof(*new(T)))
	start := unsafe.Pointer(unsafe.SliceData(b))
	if uintptr(start)%uintptr(size) != 0 || binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		return nil, false
	}
	return unsafe.Slice((*T)(start), len(b)/size), true
}

// memory holds sections by name.
type memory map[string][]byte

// Section returns a section, as a packed file does.
func (m memory) Section(name string) ([]byte, bool) {
	b, ok := m[name]
	return b, ok
}

// memoryWriter fills a memory.
type memoryWriter struct {
	to   memory
	name string
}

// Section begins a section at a multiple of 64 bytes, as the kernels like it.
func (w *memoryWriter) Section(name string, length int64) error {
	const line = 64
	b := make([]byte, length+line)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) & (line - 1)
	w.to[name], w.name = b[skip:skip:skip+int(length)], name
	return nil
}

// Write appends to the section that was begun last, which has room for all that its length announced.
func (w *memoryWriter) Write(b []byte) (int, error) {
	w.to[w.name] = append(w.to[w.name], b...)
	return len(b), nil
}

// The sections that are not weights. Those that come from files have the names of the files.
const (
	formatName     = "format"
	formatText     = "gptoss-cpu-weights 1" // changes with names, shapes and the kernels' order of bytes
	configName     = "config.json"
	generationName = "generation_config.json"
	tokenizerName  = "tokenizer.json"
	vocabularyName = "vocabulary"
)

const (
	maxGenerationBytes = 1 << 20  // the published ones have 200 bytes
	maxTokenizerBytes  = 64 << 20 // twice the tokenizer.json of gpt-oss, and as much as the tokenizer reads
	maxVocabularyBytes = 64 << 20
)

// aboutModel plans the sections with format, configuration and tokenizer.
func aboutModel(c *weights.Checkpoint) ([]section, error) {
	config, err := json.MarshalIndent(newConfigFile(c.Config), "", " ")
	if err != nil {
		return nil, fmt.Errorf("cpu: %s: %w", configName, err)
	}
	all := []section{{name: formatName, data: []byte(formatText)}, {name: configName, data: config}}
	if c.Vocabulary != nil {
		return append(all, section{name: vocabularyName, data: appendVocabulary(nil, c.Vocabulary)}), nil
	}
	for _, file := range []struct {
		name string
		max  int64
	}{{generationName, maxGenerationBytes}, {tokenizerName, maxTokenizerBytes}} {
		data, err := readFile(c.Files(), file.name, file.max)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cpu: %s: %w", file.name, err)
		}
		all = append(all, section{name: file.name, data: data})
	}
	return all, nil
}

func readFile(fsys fs.FS, name string, most int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("longer than %d bytes", most)
	}
	return data, errors.Join(err, f.Close())
}

// configFile is a config.json of Hugging Face, which model.ParseConfig reads back as it was.
type configFile struct {
	ModelType        string         `json:"model_type"`
	VocabSize        int            `json:"vocab_size"`
	HiddenSize       int            `json:"hidden_size"`
	IntermediateSize int            `json:"intermediate_size"`
	Layers           int            `json:"num_hidden_layers"`
	LayerTypes       []string       `json:"layer_types,omitempty"`
	Heads            int            `json:"num_attention_heads"`
	KVHeads          int            `json:"num_key_value_heads"`
	HeadDim          int            `json:"head_dim"`
	Experts          int            `json:"num_local_experts"`
	ActiveExperts    int            `json:"num_experts_per_tok"`
	SlidingWindow    int            `json:"sliding_window"`
	MaxContext       int            `json:"max_position_embeddings"`
	RopeTheta        float64        `json:"rope_theta"`
	Rope             map[string]any `json:"rope_scaling"`
	RMSNormEps       float64        `json:"rms_norm_eps"`
	SwiGLULimit      float64        `json:"swiglu_limit"`
	EOSTokenIDs      []int32        `json:"eos_token_id,omitempty"`
}

func newConfigFile(c model.Config) configFile {
	f := configFile{
		ModelType: "gpt_oss", VocabSize: c.VocabSize, HiddenSize: c.HiddenSize, IntermediateSize: c.IntermediateSize,
		Layers: c.Layers, Heads: c.Heads, KVHeads: c.KVHeads, HeadDim: c.HeadDim,
		Experts: c.Experts, ActiveExperts: c.ActiveExperts, SlidingWindow: c.SlidingWindow, MaxContext: c.MaxContext,
		RopeTheta: c.RopeTheta, RMSNormEps: c.RMSNormEps, SwiGLULimit: c.SwiGLULimit, EOSTokenIDs: c.EOSTokenIDs,
		Rope: map[string]any{
			"rope_type": "yarn", "factor": c.YaRNFactor, "beta_fast": c.YaRNBetaFast, "beta_slow": c.YaRNBetaSlow,
			"truncate": c.YaRNTruncate, "original_max_position_embeddings": c.OriginalContext,
		},
	}
	for _, windowed := range c.WindowLayers {
		kind := "full_attention"
		if windowed {
			kind = "sliding_attention"
		}
		f.LayerTypes = append(f.LayerTypes, kind)
	}
	return f
}

// Vocabulary returns the vocabulary that a packed model took from a GGUF file, or nil. Other models may have a tokenizer.json,
// which f opens as a file of that name.
func Vocabulary(f *packed.File) (*weights.Vocabulary, error) {
	data, err := f.Checked(vocabularyName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	v, err := parseVocabulary(data)
	if err != nil {
		return nil, fmt.Errorf("cpu: section %q: %w", vocabularyName, err)
	}
	return v, nil
}

// appendVocabulary writes the three counts, BOS and EOS, then the texts, each after its length, and the types.
func appendVocabulary(b []byte, v *weights.Vocabulary) []byte {
	for _, n := range []int{len(v.Tokens), len(v.Merges), len(v.Types)} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	b = binary.AppendVarint(binary.AppendVarint(b, int64(v.BOS)), int64(v.EOS))
	for _, texts := range [][]string{{v.Pre}, v.Tokens, v.Merges} {
		for _, text := range texts {
			b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
		}
	}
	for _, kind := range v.Types {
		b = binary.AppendVarint(b, int64(kind))
	}
	return b
}

// parseVocabulary reads what appendVocabulary wrote. Every entry takes a byte at least, which bounds what is allocated.
func parseVocabulary(data []byte) (*weights.Vocabulary, error) {
	if len(data) > maxVocabularyBytes {
		return nil, fmt.Errorf("%d bytes, want at most %d", len(data), maxVocabularyBytes)
	}
	d := vocabularyDecoder{rest: data}
	tokens, merges, types := d.count(), d.count(), d.count()
	v := &weights.Vocabulary{BOS: d.int32(), EOS: d.int32(), Pre: d.text()}
	v.Tokens, v.Merges = d.texts(tokens), d.texts(merges)
	for ; types > 0 && !d.bad; types-- {
		v.Types = append(v.Types, d.int32())
	}
	if d.bad || len(d.rest) > 0 {
		return nil, errors.New("not a vocabulary as this program writes it")
	}
	return v, nil
}

// vocabularyDecoder takes numbers and texts off the front; once one is bad all are zero.
type vocabularyDecoder struct {
	rest []byte
	bad  bool
}

func (d *vocabularyDecoder) skip(n int, fits bool) {
	if n <= 0 || !fits {
		d.bad, d.rest = true, nil
		return
	}
	d.rest = d.rest[n:]
}

// count reads a number of things that take a byte each, or more.
func (d *vocabularyDecoder) count() int {
	v, n := binary.Uvarint(d.rest)
	fits := n > 0 && v <= uint64(len(d.rest)-n)
	d.skip(n, fits)
	if !fits {
		return 0
	}
	return int(v)
}

func (d *vocabularyDecoder) int32() int32 {
	v, n := binary.Varint(d.rest)
	d.skip(n, v == int64(int32(v)))
	if d.bad {
		return 0
	}
	return int32(v)
}

func (d *vocabularyDecoder) text() string {
	n := d.count()
	text := string(d.rest[:n])
	d.rest = d.rest[n:]
	return text
}

func (d *vocabularyDecoder) texts(n int) []string {
	var all []string
	for ; n > 0 && !d.bad; n-- {
		all = append(all, d.text())
	}
	return all
}
