package model

import "math"

// KVElementBytes is the size of one element of the key and value cache: the engine keeps float32.
const KVElementBytes = 4

// ChunkTokens is how many tokens of a prompt go through the layers together; it bounds the working buffers.
const ChunkTokens = 64

// Memory is what serving a model takes, in bytes. It counts what grows with the model, its context and its sequences;
// the process itself (code, goroutines, requests in flight) comes on top.
type Memory struct {
	Weights int64 // the checkpoint: MXFP4 experts, BF16 rest
	KVCache int64 // keys and values of all sequences
	Working int64 // activations of one step and the logits of every sequence
	Total   int64
}

// TotalParameters returns the number of trained values, each MXFP4 element counted as one.
func (c Config) TotalParameters() int64 {
	dense, experts := c.parameters(c.Experts)
	return dense + experts
}

// ActiveParameters returns how many of them take part in one token; the input embedding, a look-up, does not count.
func (c Config) ActiveParameters() int64 {
	dense, experts := c.parameters(c.ActiveExperts)
	return dense + experts - int64(c.VocabSize)*int64(c.HiddenSize)
}

// parameters returns the parameters kept in BF16 and those in MXFP4 when each layer has the given number of experts.
func (c Config) parameters(experts int) (dense, packed int64) {
	vocab, hidden, inter := int64(c.VocabSize), int64(c.HiddenSize), int64(c.IntermediateSize)
	q, kv := int64(c.Heads)*int64(c.HeadDim), int64(c.KVHeads)*int64(c.HeadDim)
	e := int64(experts)

	attention := hidden + // norm
		(q+2*kv)*(hidden+1) + // q, k, v and biases
		int64(c.Heads) + // sinks
		hidden*(q+1) // o and bias
	mlp := hidden + // norm
		int64(c.Experts)*(hidden+1) + // router and bias
		e*(2*inter+hidden) // expert biases
	dense = 2*vocab*hidden + hidden + int64(c.Layers)*(attention+mlp)
	packed = int64(c.Layers) * e * 3 * inter * hidden // gate, up, down
	return dense, packed
}

// Memory returns the bytes needed for the given number of sequences of contextLength tokens each. A contextLength of
// 0 or beyond MaxContext means MaxContext. Results that would overflow are the largest int64.
func (c Config) Memory(contextLength, sequences int) Memory {
	if contextLength <= 0 || contextLength > c.MaxContext {
		contextLength = c.MaxContext
	}
	n := int64(max(sequences, 0))
	dense, packed := c.parameters(c.Experts)
	m := Memory{
		Weights: 2*dense + packed/mxfp4Block*(mxfp4Block/2+1), // 16 bytes and a scale for 32 values
		KVCache: saturatingMul(n, c.sequenceKV(contextLength)),
		Working: saturatingAdd(c.stepBytes(contextLength), saturatingMul(n, 4*int64(c.VocabSize))),
	}
	return m.WithWeights(m.Weights)
}

// WithWeights returns the same plan for a checkpoint that keeps its weights in so many bytes, in other types than usual.
func (m Memory) WithWeights(bytes int64) Memory {
	m.Weights = bytes
	m.Total = saturatingAdd(m.Weights, saturatingAdd(m.KVCache, m.Working))
	return m
}

// sequenceKV returns the cache of one sequence: a window layer keeps its window and the chunk in work, others all.
func (c Config) sequenceKV(contextLength int) int64 {
	var positions int64
	for layer := range c.Layers {
		kept := contextLength
		if w := c.Window(layer); w > 0 {
			kept = min(contextLength, w+ChunkTokens)
		}
		positions += int64(kept)
	}
	return positions * 2 * int64(c.KVHeads) * int64(c.HeadDim) * KVElementBytes
}

// stepBytes returns the float32 activations of one chunk and the scores of one query row.
func (c Config) stepBytes(contextLength int) int64 {
	q, kv := int64(c.Heads)*int64(c.HeadDim), int64(c.KVHeads)*int64(c.HeadDim)
	perToken := 4*int64(c.HiddenSize) + 2*q + 2*kv + int64(c.Experts) + 3*int64(c.IntermediateSize)
	return 4 * (ChunkTokens*perToken + int64(contextLength))
}

func saturatingMul(a, b int64) int64 {
	if a != 0 && b > math.MaxInt64/a {
		return math.MaxInt64
	}
	return a * b
}

func saturatingAdd(a, b int64) int64 {
	if b > math.MaxInt64-a {
		return math.MaxInt64
	}
	return a + b
}
