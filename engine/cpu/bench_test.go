package cpu

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/gptoss/gptoss-operator/engine/kernel"
	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/engine/weights/mapping"
)

// benchWeights is gpt-oss-20b with few layers, so that it fits beside other things, and with weights that say nothing but
// let tokens go to different experts.
func benchWeights(b *testing.B, layers, vocab int) *Weights {
	b.Helper()
	c, _ := model.Preset("gpt-oss-20b")
	c.Layers, c.VocabSize, c.EOSTokenIDs = layers, vocab, nil
	d, r := dimensionsOf(c), rand.New(rand.NewPCG(1, 5))
	floats := func(n int, scale float64) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(scale * r.NormFloat64())
		}
		return x
	}
	int8s := func(rows, cols int) kernel.Int8 {
		size, err := kernel.Int8Bytes(rows, cols)
		m, err2 := kernel.NewInt8(benchMemory(b, size, 0x3a), rows, cols)
		if err != nil || err2 != nil {
			b.Fatal(err, err2)
		}
		return m
	}
	experts := func(rows, cols int) (all []kernel.MXFP4) {
		size, err := kernel.MXFP4Bytes(rows, cols)
		data := benchMemory(b, c.Experts*size, 117) // a scale of 2^-10
		for e := range c.Experts {
			m, err2 := kernel.NewMXFP4(data[e*size:(e+1)*size], rows, cols)
			if err != nil || err2 != nil {
				b.Fatal(err, err2)
			}
			all = append(all, m)
		}
		return all
	}
	w := &Weights{Config: c, Embedding: make([]uint16, vocab*d.hidden), FinalNorm: floats(d.hidden, 1), LMHead: int8s(vocab, d.hidden)}
	for i := range w.Embedding {
		w.Embedding[i] = 0x3f80 | uint16(r.Uint32()&0x807f) // ±1 to ±2
	}
	for range layers {
		w.Layers = append(w.Layers, Layer{
			AttentionNorm: floats(d.hidden, 1), QKV: int8s(d.qkv, d.hidden), QKVBias: floats(d.qkv, 0.1), Sinks: floats(c.Heads, 1),
			Output: int8s(d.hidden, d.query), OutputBias: floats(d.hidden, 0.1), MLPNorm: floats(d.hidden, 1),
			Router: floats(c.Experts*d.hidden, 0.02), RouterBias: floats(c.Experts, 0.1),
			GateUp: experts(2*d.inter, d.hidden), GateUpBias: floats(c.Experts*2*d.inter, 0.1),
			Down: experts(d.hidden, d.inter), DownBias: floats(c.Experts*d.hidden, 0.1),
		})
	}
	return w
}

func benchMemory(b *testing.B, n int, fill byte) []byte {
	b.Helper()
	memory, err := mapping.Allocate(n)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := memory.Close(); err != nil {
			b.Error(err)
		}
	})
	for i := range memory.Data {
		memory.Data[i] = fill
	}
	return memory.Data
}

// BenchmarkStep measures steps of decoding and of prompts on two layers of gpt-oss-20b. Per layer and second, so that
// figures of models with more layers follow; lm_head is left out.
func BenchmarkStep(b *testing.B) {
	const layers, vocab, pageTokens, room = 2, 1024, 32, 512
	w := benchWeights(b, layers, vocab)
	for threads := 1; threads <= runtime.NumCPU(); threads *= 2 {
		for _, tc := range []struct{ sequences, tokens, context int }{
			{1, 1, 128}, {1, 1, 4096}, {4, 1, 128}, {16, 1, 128}, {1, 64, 0}, {1, 512, 0},
		} {
			b.Run(fmt.Sprintf("threads=%d/sequences=%d/tokens=%d/context=%d", threads, tc.sequences, tc.tokens, tc.context), func(b *testing.B) {
				perSequence := (tc.context+tc.tokens)/pageTokens + 1
				pages := tc.sequences * perSequence
				m, err := New(w, Options{
					Threads: threads, PageTokens: pageTokens, FullPages: pages, WindowPages: pages, MaxTokens: room, MaxLogits: tc.sequences,
				})
				if err != nil {
					b.Fatal(err)
				}
				defer m.Close()
				table := make([]int32, pages)
				for i := range table {
					table[i] = int32(i)
				}
				sequences := make([]Sequence, tc.sequences)
				for i := range sequences {
					own := table[i*perSequence : (i+1)*perSequence]
					sequences[i] = Sequence{
						Tokens: randomTokens(uint64(i), tc.tokens, vocab), Position: tc.context,
						Full: own, Window: own, Logits: make([]float32, vocab),
					}
				}
				for b.Loop() {
					step(b, m, sequences...)
				}
				rows := float64(tc.sequences * tc.tokens * layers * b.N)
				b.ReportMetric(rows/b.Elapsed().Seconds(), "layers·tokens/s")
			})
		}
	}
}
