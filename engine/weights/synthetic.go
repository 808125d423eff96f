package weights

import (
	"embed"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/gptoss/gptoss-operator/engine/model"
)

// MadeUp is the layout of a checkpoint that [Synthetic] made, which lies in no file.
const MadeUp Layout = "synthetic"

const (
	// windows is how many places a tensor may begin at in its pool: more than a model of 1024 layers has tensors.
	windows = 1 << 14
	// windowStep is odd, so that the first 16384 tensors all begin at different places, and neighbours far apart.
	windowStep = 10337
	// maxPoolBytes bounds the memory of a synthetic model. That of gpt-oss-120b takes 1.8 GB.
	maxPoolBytes = 16 << 30
)

// Synthetic returns a checkpoint of any valid configuration with seeded random weights, to measure with and to test. It
// takes little memory, gpt-oss-20b 0.9 GB rather than 12: every tensor is a window of its own of a pool of random bytes
// that all tensors of its type share. The same configuration and seed give the same values on every machine.
//
// The types are those of the published GGUF file: experts in MXFP4, embedding, attention and lm_head in Q8_0 (float32
// where rows are no whole blocks), the rest in float32. Norms are 1. All else is scaled by the width of the model so
// that logits have a standard deviation of about 1 and tokens go to all experts alike.
func Synthetic(c model.Config, seed uint64) (*Checkpoint, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	p, err := newPools(c, seed)
	if err != nil {
		return nil, err
	}
	q, kv := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	ones := make([]float32, c.HiddenSize)
	for i := range ones {
		ones[i] = 1
	}
	s := &Checkpoint{
		Config: c, Layout: MadeUp, fsys: embed.FS{}, // which has no files
		Embedding: p.matrix(c.VocabSize, c.HiddenSize),
		FinalNorm: ones,
		LMHead:    p.matrix(c.VocabSize, c.HiddenSize),
	}
	for range c.Layers {
		s.Layers = append(s.Layers, Layer{
			AttentionNorm: ones,
			Query:         Linear{p.matrix(q, c.HiddenSize), p.vector(q)},
			Key:           Linear{p.matrix(kv, c.HiddenSize), p.vector(kv)},
			Value:         Linear{p.matrix(kv, c.HiddenSize), p.vector(kv)},
			Sinks:         p.vector(c.Heads),
			Output:        Linear{p.matrix(c.HiddenSize, q), p.vector(c.HiddenSize)},
			MLPNorm:       ones,
			Router:        Linear{p.floatMatrix(c.Experts, c.HiddenSize), p.vector(c.Experts)},
			GateUp:        p.experts(c.Experts, 2*c.IntermediateSize, c.HiddenSize),
			Down:          p.experts(c.Experts, c.HiddenSize, c.IntermediateSize),
		})
	}
	return s, nil
}

// pools are the random bytes of a model, by type, each as long as the largest tensor and the places before it.
type pools struct {
	blocks pool // of MXFP4 without their scales, 16 bytes
	scales pool // of MXFP4, a byte
	bytes  pool // Q8_0 blocks
	floats pool // float32
}

// pool hands out windows that begin at whole units.
type pool struct {
	data  []byte
	unit  int
	taken int
}

func (p *pool) take(n int) []byte {
	at := p.taken * windowStep % windows * p.unit
	p.taken++
	return p.data[at : at+n : at+n]
}

func newPools(c model.Config, seed uint64) (*pools, error) {
	hidden, inter, experts := int64(c.HiddenSize), int64(c.IntermediateSize), int64(c.Experts)
	q, kv := int64(c.Heads)*int64(c.HeadDim), int64(c.KVHeads)*int64(c.HeadDim)
	expertBlocks := experts * 2 * inter * hidden / blockValues // of gate and up, twice those of down
	denseBlocks := max(int64(c.VocabSize), q, kv) * hidden / blockValues
	floats := max(experts*max(hidden, 2*inter), q, kv)
	if q%blockValues != 0 {
		floats = max(floats, q*hidden)
	}
	p := &pools{}
	total := int64(0)
	for _, s := range []struct {
		pool  *pool
		units int64
		unit  int
	}{{&p.blocks, expertBlocks, blockBytes}, {&p.scales, expertBlocks, 1}, {&p.bytes, denseBlocks, q8Bytes}, {&p.floats, floats, 4}} {
		n := (s.units + windows) * int64(s.unit)
		if total += n; total > min(maxPoolBytes, math.MaxInt) {
			return nil, fmt.Errorf("a synthetic model of this configuration takes more than %d bytes of memory", min(maxPoolBytes, math.MaxInt))
		}
		s.pool.unit, s.pool.data = s.unit, make([]byte, n)
	}
	p.fill(c.HiddenSize, seed)
	return p, nil
}

// fill makes the bytes. It computes with integers, and with float64 operations that IEEE 754 rounds the same everywhere.
func (p *pools) fill(hidden int, seed uint64) {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	random := rand.NewChaCha8(key) // whose Read never fails
	_, _ = random.Read(p.blocks.data)

	// Three scales in turn at random, for the published width 2^-8 to 2^-6, give its weights a deviation of 0.03.
	exponent := byte(119)
	for n := hidden; n <= 1440; n *= 4 {
		exponent++
	}
	for n := hidden; n > 5760; n /= 4 {
		exponent--
	}
	_, _ = random.Read(p.scales.data)
	for i, v := range p.scales.data {
		p.scales.data[i] = exponent + v%3
	}

	// Uniform bytes have a deviation of 73.9.
	scale := halfOf(1 / (73.9 * math.Sqrt(float64(hidden))))
	_, _ = random.Read(p.bytes.data)
	for b := p.bytes.data; len(b) > 0; b = b[q8Bytes:] {
		binary.LittleEndian.PutUint16(b, scale)
	}

	// The sum of four uniform numbers of 16 bits is close to normal, with a deviation of 2^16 × sqrt(4/12).
	unit := float32(1 / (37837.2 * math.Sqrt(float64(hidden))))
	for b := p.floats.data; len(b) > 0; b = b[4:] {
		v := random.Uint64()
		sum := int32(v&0xffff) + int32(v>>16&0xffff) + int32(v>>32&0xffff) + int32(v>>48) - 2*0xffff
		binary.LittleEndian.PutUint32(b, math.Float32bits(float32(sum)*unit))
	}
}

// halfOf rounds a number between 2^-14 and 1 towards zero to binary16; smaller ones become 2^-14.
func halfOf(v float64) uint16 {
	return uint16(math.Float32bits(float32(max(v, 0x1p-14)))>>13 - (127-15)<<10)
}

func (p *pools) matrix(rows, cols int) Matrix {
	if cols%blockValues != 0 {
		return p.floatMatrix(rows, cols)
	}
	return Matrix{rows, cols, model.Q8_0, p.bytes.take(rows * rowBytes(model.Q8_0, cols))}
}

func (p *pools) floatMatrix(rows, cols int) Matrix {
	return Matrix{rows, cols, model.F32, p.floats.take(4 * rows * cols)}
}

func (p *pools) vector(n int) []float32 {
	v := make([]float32, n)
	decode(model.F32, p.floats.take(4*n), v)
	return v
}

func (p *pools) experts(experts, rows, cols int) Experts {
	n := experts * rows * cols / blockValues
	return Experts{
		Weight: MXFP4{experts, rows, cols, p.blocks.take(n * blockBytes), p.scales.take(n)},
		Bias:   p.floatMatrix(experts, rows),
	}
}
