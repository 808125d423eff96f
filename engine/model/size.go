package model

import "math"

const (
	// KVElementBytes is the size of one element of the key and value cache: bfloat16.
	KVElementBytes = 2
	// PageTokens is how many positions of a sequence share a page of that cache: few enough that a prefix found in it
	// leaves little to be computed again, enough that attention runs over long stretches of memory.
	PageTokens = 32
	// DefaultStepTokens is how many tokens one step computes at most where nothing else is said: every expert of gpt-oss-20b
	// then gets about 64 of a prompt's, with which reading its weights is no longer what takes the time.
	DefaultStepTokens = 512
)

const (
	// usualContext is how long sequences that share a cache are taken to be.
	usualContext = 8192
	// boundaryTokens: for so many positions of the cache there is room for the windows of one prefix that no running
	// sequence holds, about one for each prompt of a conversation.
	boundaryTokens = 2048
	// samplerBytes is what a sampler keeps for each token of the vocabulary: a weight, two ids, a count and a mark.
	samplerBytes = 4 + 4 + 4 + 4 + 1
	// blockBytes is the size of 32 quantised activations: a byte for each, a scale and a sum.
	blockBytes = 32 + 4 + 4
	// sliceBytes is the size of a slice's header.
	sliceBytes = 24
)

// Serving is what a model is run with, as far as memory depends on it.
type Serving struct {
	ContextLength int // tokens of one sequence at most; 0 or beyond MaxContext means MaxContext
	Sequences     int // that run at the same time; less than 0 means 0
	StepTokens    int // computed by one step at most; 0 means DefaultStepTokens
	// Shared: the cache has room for one sequence of ContextLength and for all with up to 8192 tokens, rather than for all
	// with ContextLength; who grows beyond that waits for others.
	Shared bool
}

// Memory is what serving a model takes, in bytes. It counts what grows with the model, its context and its sequences;
// the process itself (code, goroutines, requests in flight) comes on top.
type Memory struct {
	Weights int64 // packed: MXFP4 experts, 8-bit attention and lm_head, BF16 embedding
	KVCache int64 // keys and values of all sequences
	Working int64 // activations of one step, logits and samplers of every sequence
	Total   int64
}

// Cache is how many pages of keys and values there are. A page holds PageTokens positions, in all layers of its kind.
type Cache struct {
	FullPages   int64 // for the layers that see everything
	WindowPages int64 // for the layers that see a window
	Bytes       int64
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

// Memory returns the bytes that serving takes. Results that would overflow are the largest int64.
func (c Config) Memory(s Serving) Memory {
	m := Memory{Weights: c.packedBytes(), KVCache: c.Cache(s).Bytes, Working: c.workingBytes(s)}
	m.Total = saturatingAdd(m.Weights, saturatingAdd(m.KVCache, m.Working))
	return m
}

// Cache returns the pages that serving takes.
func (c Config) Cache(s Serving) Cache {
	context, n := c.contextLength(s), int64(max(s.Sequences, 0))
	full := saturatingMul(n, pagesOf(context))
	if s.Shared && n > 0 {
		full = max(pagesOf(context), saturatingMul(n, pagesOf(min(context, usualContext))))
	}
	return c.cache(full, c.windowFloor(s))
}

// CacheWithin returns the most pages that so many bytes have room for; none if that is too little for any.
func (c Config) CacheWithin(s Serving, bytes int64) Cache {
	fullBytes, windowBytes := c.PageBytes()
	floor := c.windowFloor(s)
	bytes -= saturatingMul(floor, windowBytes)
	// What a full page takes together with its share of the windows of idle prefixes.
	each := fullBytes + (c.windowReserve()*windowBytes*PageTokens+boundaryTokens-1)/boundaryTokens
	full := bytes / each
	if full <= 0 {
		return Cache{}
	}
	return c.cache(full, floor)
}

// cache adds to so many full pages the window pages: those that running sequences need, and those of idle prefixes. One
// without the full page of the same positions would be of no use.
func (c Config) cache(full, floor int64) Cache {
	fullBytes, windowBytes := c.PageBytes()
	k := Cache{FullPages: full}
	if windowBytes > 0 {
		idle := full / (boundaryTokens / PageTokens)
		k.WindowPages = min(full, saturatingAdd(floor, saturatingMul(idle, c.windowReserve())))
	}
	k.Bytes = saturatingAdd(saturatingMul(k.FullPages, fullBytes), saturatingMul(k.WindowPages, windowBytes))
	return k
}

// PageBytes returns the sizes of the two kinds of pages: 0 if no layer is of the kind.
func (c Config) PageBytes() (full, window int64) {
	layer := 2 * int64(c.KVHeads) * int64(c.HeadDim) * PageTokens * KVElementBytes
	for l := range c.Layers {
		if c.Window(l) > 0 {
			window += layer
		} else {
			full += layer
		}
	}
	return full, window
}

// windowFloor returns the window pages that sequences need to run: each its window, and what one step adds.
func (c Config) windowFloor(s Serving) int64 {
	reserve := min(c.windowReserve(), pagesOf(c.contextLength(s)))
	return saturatingAdd(saturatingMul(int64(max(s.Sequences, 0)), reserve), pagesOf(s.stepTokens())+1)
}

// windowReserve returns the pages of one window, wherever in a page it begins.
func (c Config) windowReserve() int64 { return pagesOf(int64(c.SlidingWindow)-1) + 1 }

func (c Config) contextLength(s Serving) int64 {
	if s.ContextLength <= 0 || s.ContextLength > c.MaxContext {
		return int64(c.MaxContext)
	}
	return int64(s.ContextLength)
}

func (s Serving) stepTokens() int64 {
	if s.StepTokens <= 0 {
		return DefaultStepTokens
	}
	return int64(s.StepTokens)
}

// pagesOf returns how many pages so many positions take.
func pagesOf(positions int64) int64 { return (positions + PageTokens - 1) / PageTokens }

// CheckpointBytes returns the size of the published checkpoint, before anything is packed: MXFP4 experts, BF16 rest.
func (c Config) CheckpointBytes() int64 {
	dense, packed := c.parameters(c.Experts)
	return 2*dense + packed/mxfp4Block*(mxfp4Block/2+1) // 16 bytes and a scale for 32 values
}

// packedBytes returns the size of the weights as engine/cpu has them, in a packed file or in memory.
func (c Config) packedBytes() int64 {
	vocab, hidden, inter := int64(c.VocabSize), int64(c.HiddenSize), int64(c.IntermediateSize)
	q, kv, e := int64(c.Heads)*int64(c.HeadDim), int64(c.KVHeads)*int64(c.HeadDim), int64(c.Experts)
	floats := 2*hidden + (q + 2*kv) + int64(c.Heads) + hidden + // norms, biases and sinks of attention
		e*(hidden+1) + e*(2*inter+hidden) // router and biases of the experts
	layer := 4*floats + int8Bytes(q+2*kv, hidden) + int8Bytes(hidden, q) +
		e*(tiledBytes(2*inter, hidden, 1, mxfp4Block/2)+tiledBytes(hidden, inter, 1, mxfp4Block/2))
	return 2*vocab*hidden + 4*hidden + int8Bytes(vocab, hidden) + int64(c.Layers)*layer
}

// int8Bytes returns the size of a matrix of 8-bit weights with a bfloat16 scale for each block.
func int8Bytes(rows, cols int64) int64 { return tiledBytes(rows, cols, 2, mxfp4Block) }

// tiledBytes returns the size of a packed matrix: tiles of 16 rows, each its scales, filled up to 64 bytes, then its weights.
func tiledBytes(rows, cols, scale, block int64) int64 {
	const tileRows, line = 16, 64
	tiles, blocks := (rows+tileRows-1)/tileRows, (cols+mxfp4Block-1)/mxfp4Block
	scales := (blocks*tileRows*scale + line - 1) / line * line
	return tiles * (scales + blocks*tileRows*block)
}

// workingBytes returns the memory of a step of engine/cpu, and of what every sequence has for its next token.
func (c Config) workingBytes(s Serving) int64 {
	hidden, q, kv := int64(c.HiddenSize), int64(c.Heads)*int64(c.HeadDim), int64(c.KVHeads)*int64(c.HeadDim)
	active := int64(c.ActiveExperts)
	blocks := func(n int64) int64 { return (n + mxfp4Block - 1) / mxfp4Block * blockBytes }
	token := 4*(3*hidden+int64(c.HeadDim)+q+2*kv+int64(c.Experts)) + // two residuals, projection, rotation, qkv, router
		blocks(hidden) + blocks(q) +
		active*(blocks(int64(c.IntermediateSize))+4*hidden+4*3) + // what experts make of it, and where that lies
		(10+3*active)*sliceBytes
	sequence := (4 + samplerBytes) * int64(c.VocabSize)
	return saturatingAdd(saturatingMul(s.stepTokens(), token), saturatingMul(int64(max(s.Sequences, 0)), sequence))
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
