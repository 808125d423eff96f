package weights

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/engine/weights/gguf"
)

// GGUFTarget takes a file front to back.
type GGUFTarget interface {
	io.Writer
	// Reserve hears how long the file will be before it is written, and may refuse.
	Reserve(bytes int64) error
}

// ggufTensor is a tensor to be written and how that is done.
type ggufTensor struct {
	name  string
	kind  gguf.Type
	shape []int64
	rows  int
	row   func(dst []byte, row int) // dst has the bytes of a row
}

// WriteGGUF writes the checkpoint as one GGUF file of version 3 that this package and llama.cpp open. Tensors are copied
// row by row, so it takes no memory beside the checkpoint: matrices stay in their types, experts go into GGUF's order,
// router, biases, norms and sinks become float32. progress may be nil; it hears how many bytes of how many were written.
func (c *Checkpoint) WriteGGUF(to GGUFTarget, progress func(done, total int64)) error {
	keys, err := c.ggufMetadata()
	if err != nil {
		return err
	}
	tensors, err := c.ggufTensors()
	if err != nil {
		return err
	}
	directory := make([]gguf.Tensor, len(tensors))
	for i, t := range tensors {
		directory[i] = gguf.Tensor{Name: t.name, Type: t.kind, Shape: t.shape}
	}
	head, err := gguf.Head(keys, directory)
	if err != nil {
		return fmt.Errorf("gguf: %w", err)
	}
	last := directory[len(directory)-1]
	end := (last.Offset + last.Size + ggufAlign - 1) / ggufAlign * ggufAlign
	if err := to.Reserve(end); err != nil {
		return err
	}
	w := ggufWriter{to: to, progress: progress, total: end}
	w.add(head)
	for i, t := range tensors {
		w.pad(directory[i].Offset)
		w.tensor(t, int(directory[i].Size)/t.rows)
	}
	w.pad(end)
	w.flush()
	return w.err
}

const (
	ggufAlign       = 32
	ggufBufferBytes = 1 << 20
)

// ggufWriter gathers rows and keeps the first error.
type ggufWriter struct {
	to       io.Writer
	progress func(done, total int64)
	buffer   []byte
	done     int64 // what was written, without what is in the buffer
	total    int64
	err      error
}

// room returns n bytes at the end of the buffer.
func (w *ggufWriter) room(n int) []byte {
	if len(w.buffer)+n > cap(w.buffer) {
		w.flush()
		if n > cap(w.buffer) {
			w.buffer = make([]byte, 0, max(n, ggufBufferBytes))
		}
	}
	w.buffer = w.buffer[:len(w.buffer)+n]
	return w.buffer[len(w.buffer)-n:]
}

func (w *ggufWriter) add(b []byte) { copy(w.room(len(b)), b) }

// pad adds zeros up to a place in the file.
func (w *ggufWriter) pad(to int64) {
	if w.err != nil {
		return
	}
	clear(w.room(int(to - w.done - int64(len(w.buffer)))))
}

func (w *ggufWriter) tensor(t ggufTensor, rowBytes int) {
	for r := 0; r < t.rows && w.err == nil; r++ {
		t.row(w.room(rowBytes), r)
	}
}

func (w *ggufWriter) flush() {
	if w.err != nil || len(w.buffer) == 0 {
		w.buffer = w.buffer[:0]
		return
	}
	_, w.err = w.to.Write(w.buffer)
	w.done += int64(len(w.buffer))
	w.buffer = w.buffer[:0]
	if w.err == nil && w.progress != nil {
		w.progress(w.done, w.total)
	}
}

// ggufMetadata returns the keys that readMetadata reads, and those that llama.cpp asks for.
func (c *Checkpoint) ggufMetadata() ([]gguf.Pair, error) {
	m := c.Config
	if m.SwiGLULimit != 7 || m.YaRNTruncate {
		return nil, errors.New("a GGUF file has no place for another swiglu_limit than 7, nor for truncate")
	}
	pairs := []gguf.Pair{
		{Key: "general.architecture", Value: "gpt-oss"},
		{Key: "general.type", Value: "model"},
		{Key: "general.file_type", Value: uint32(38)}, // mostly MXFP4
		{Key: "general.quantization_version", Value: uint32(2)},
	}
	for _, n := range []struct {
		key   string
		value int
	}{
		{"block_count", m.Layers},
		{"context_length", m.MaxContext},
		{"embedding_length", m.HiddenSize},
		{"feed_forward_length", m.IntermediateSize},
		{"expert_feed_forward_length", m.IntermediateSize},
		{"expert_count", m.Experts},
		{"expert_used_count", m.ActiveExperts},
		{"vocab_size", m.VocabSize},
		{"attention.head_count", m.Heads},
		{"attention.head_count_kv", m.KVHeads},
		{"attention.key_length", m.HeadDim},
		{"attention.value_length", m.HeadDim},
		{"attention.sliding_window", m.SlidingWindow},
		{"rope.dimension_count", m.HeadDim},
		{"rope.scaling.original_context_length", m.OriginalContext},
	} {
		pairs = append(pairs, gguf.Pair{Key: "gpt-oss." + n.key, Value: uint32(n.value)})
	}
	for _, n := range []struct {
		key   string
		value float64
	}{
		{"attention.layer_norm_rms_epsilon", m.RMSNormEps},
		{"rope.freq_base", m.RopeTheta},
		{"rope.scaling.factor", m.YaRNFactor},
		{"rope.scaling.yarn_beta_fast", m.YaRNBetaFast},
		{"rope.scaling.yarn_beta_slow", m.YaRNBetaSlow},
	} {
		pairs = append(pairs, gguf.Pair{Key: "gpt-oss." + n.key, Value: float32(n.value)})
	}
	pairs = append(pairs, gguf.Pair{Key: "gpt-oss.rope.scaling.type", Value: "yarn"})
	if !alternating(m.WindowLayers) {
		pairs = append(pairs, gguf.Pair{Key: "gpt-oss.attention.sliding_window_pattern", Value: m.WindowLayers})
	}
	return append(pairs, c.ggufTokenizer()...), nil
}

// alternating reports whether every even layer has a window, which is what a file without a pattern means.
func alternating(windowed []bool) bool {
	for i, w := range windowed {
		if w != (i%2 == 0) {
			return false
		}
	}
	return true
}

// ggufTokenizer returns the keys of the tokenizer; without a vocabulary they say that there is none.
func (c *Checkpoint) ggufTokenizer() []gguf.Pair {
	var pairs []gguf.Pair
	if len(c.Config.EOSTokenIDs) > 0 {
		pairs = append(pairs, gguf.Pair{Key: endTokensKey, Value: c.Config.EOSTokenIDs})
	}
	v := c.Vocabulary
	if v == nil {
		return append(pairs, gguf.Pair{Key: "tokenizer.ggml.model", Value: "none"})
	}
	pairs = append(pairs,
		gguf.Pair{Key: "tokenizer.ggml.model", Value: "gpt2"}, gguf.Pair{Key: "tokenizer.ggml.pre", Value: v.Pre},
		gguf.Pair{Key: tokensKey, Value: v.Tokens}, gguf.Pair{Key: mergesKey, Value: v.Merges})
	if len(v.Types) > 0 {
		pairs = append(pairs, gguf.Pair{Key: "tokenizer.ggml.token_type", Value: v.Types})
	}
	if v.BOS >= 0 {
		pairs = append(pairs, gguf.Pair{Key: "tokenizer.ggml.bos_token_id", Value: uint32(v.BOS)})
	}
	if v.EOS >= 0 {
		pairs = append(pairs, gguf.Pair{Key: "tokenizer.ggml.eos_token_id", Value: uint32(v.EOS)})
	}
	return pairs
}

// ggufTensors lists the tensors in the order in which the forward pass reads them.
func (c *Checkpoint) ggufTensors() ([]ggufTensor, error) {
	all := []ggufTensor{ggufMatrix("token_embd.weight", c.Embedding)}
	for i, l := range c.Layers {
		p := blkPrefix(i)
		all = append(all, ggufVector(p+"attn_norm.weight", l.AttentionNorm))
		for _, x := range []struct {
			name string
			from Linear
		}{{"attn_q", l.Query}, {"attn_k", l.Key}, {"attn_v", l.Value}, {"attn_output", l.Output}} {
			all = append(all, ggufMatrix(p+x.name+".weight", x.from.Weight), ggufVector(p+x.name+".bias", x.from.Bias))
		}
		all = append(all,
			ggufVector(p+"attn_sinks.weight", l.Sinks), ggufVector(p+"post_attention_norm.weight", l.MLPNorm),
			ggufFloats(p+"ffn_gate_inp.weight", l.Router.Weight, 0, 1), ggufVector(p+"ffn_gate_inp.bias", l.Router.Bias))
		for _, x := range []struct {
			name        string
			from        Experts
			first, step int // the rows that belong to it
		}{{"ffn_gate_exps", l.GateUp, 0, 2}, {"ffn_up_exps", l.GateUp, 1, 2}, {"ffn_down_exps", l.Down, 0, 1}} {
			weight, err := ggufExpertRows(p+x.name+".weight", x.from, x.first, x.step)
			if err != nil {
				return nil, err
			}
			all = append(all, weight, ggufFloats(p+x.name+".bias", x.from.Bias, x.first, x.step))
		}
	}
	return append(all, ggufVector("output_norm.weight", c.FinalNorm), ggufMatrix("output.weight", c.LMHead)), nil
}

// ggufMatrix keeps a matrix in its type.
func ggufMatrix(name string, m Matrix) ggufTensor {
	stride := rowBytes(m.DType, m.Cols)
	return ggufTensor{name, ggufTypes[m.DType], []int64{int64(m.Rows), int64(m.Cols)}, m.Rows, func(dst []byte, row int) {
		copy(dst, m.Data[row*stride:(row+1)*stride])
	}}
}

var ggufTypes = map[model.DType]gguf.Type{
	model.F32: gguf.F32, model.F16: gguf.F16, model.BF16: gguf.BF16, model.Q8_0: gguf.Q8_0, model.MXFP4: gguf.MXFP4,
}

// ggufFloats widens every step-th column, from the first on.
func ggufFloats(name string, m Matrix, first, step int) ggufTensor {
	x, n := make([]float32, m.Cols), m.Cols/step
	return ggufTensor{name, gguf.F32, []int64{int64(m.Rows), int64(n)}, m.Rows, func(dst []byte, row int) {
		m.Row(row, x)
		for i := range n {
			binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(x[i*step+first]))
		}
	}}
}

func ggufVector(name string, v []float32) ggufTensor {
	return ggufTensor{name, gguf.F32, []int64{int64(len(v))}, 1, func(dst []byte, _ int) {
		for i, x := range v {
			binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(x))
		}
	}}
}

// ggufExpertRows takes every step-th row of each expert, from the first on.
func ggufExpertRows(name string, e Experts, first, step int) (ggufTensor, error) {
	rows := e.Rows() / step
	shape := []int64{int64(e.Bias.Rows), int64(rows), int64(e.Cols())}
	if n := len(e.Other); n > 0 {
		if n != step {
			return ggufTensor{}, fmt.Errorf("tensor %q: experts in %d tensors, want %d", name, n, step)
		}
		t := ggufMatrix(name, e.Other[first])
		t.shape = shape
		return t, nil
	}
	return ggufTensor{name, gguf.MXFP4, shape, e.Bias.Rows * rows, func(dst []byte, row int) {
		blocks, scales := e.Weight.RowBytes(row/rows, row%rows*step+first)
		for i, scale := range scales {
			to := (*[1 + blockBytes]byte)(dst[i*(1+blockBytes):])
			to[0] = scale
			halves((*[blockBytes]byte)(to[1:]), (*[blockBytes]byte)(blocks[i*blockBytes:]))
		}
	}}, nil
}

// halves turns a block, byte j of which has elements 2j and 2j+1, into one of GGUF, where it has j and j+16.
func halves(to, from *[blockBytes]byte) {
	a, b := binary.LittleEndian.Uint64(from[:8]), binary.LittleEndian.Uint64(from[8:])
	binary.LittleEndian.PutUint64(to[:8], nibbles(uint32(a))|nibbles(uint32(b))<<4)
	binary.LittleEndian.PutUint64(to[8:], nibbles(uint32(a>>32))|nibbles(uint32(b>>32))<<4)
}

// nibbles spreads eight nibbles to the low halves of eight bytes.
func nibbles(packed uint32) uint64 {
	v := uint64(packed)
	v = (v | v<<16) & 0x0000ffff0000ffff
	v = (v | v<<8) & 0x00ff00ff00ff00ff
	return (v | v<<4) & 0x0f0f0f0f0f0f0f0f
}
