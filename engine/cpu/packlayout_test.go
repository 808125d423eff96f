package cpu

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/engine/kernel"
	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/engine/weights"
	"github.com/gptoss/gptoss-operator/engine/weights/weightstest"
)

// TestPackTakesEveryLayout gives the same weights whatever they come from, however many goroutines pack.
func TestPackTakesEveryLayout(t *testing.T) {
	config := oddConfig()
	config.WindowLayers = []bool{true, false, true} // as the original layout has them
	tensors := randomTensors(config)
	original := fstest.MapFS{}
	for name, data := range weightstest.Original(config, tensors) {
		original[name] = &fstest.MapFile{Data: data}
	}
	want := inMemory(t, openFS(t, folderOf(t, config, tensors)))
	gguf := openFS(t, fstest.MapFS{"x.gguf": &fstest.MapFile{Data: weightstest.GGUF(config, tensors)}})
	for name, c := range map[string]*weights.Checkpoint{"original": openFS(t, original), "GGUF": gguf} {
		t.Run(name, func(t *testing.T) { sameSections(t, want, inMemory(t, c)) })
	}
}

// TestPackRequantises packs experts in floats that MXFP4 holds, here next to others that are MXFP4 already, and finds the
// same products as with those that were MXFP4 from the start.
func TestPackRequantises(t *testing.T) {
	config := oddConfig()
	tensors := randomTensors(config)
	for i := range tensors {
		for j := range tensors[i].Data {
			if strings.HasSuffix(tensors[i].Name, "_scales") { // values that float16 holds
				tensors[i].Data[j] = 115 + tensors[i].Data[j]%20
			}
		}
	}
	want, err := FromCheckpoint(openFS(t, folderOf(t, config, tensors)))
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []model.DType{model.F32, model.F16, model.BF16} {
		t.Run(string(kind), func(t *testing.T) {
			c := openFS(t, fstest.MapFS{"x.gguf": &fstest.MapFile{Data: widenedGGUF(config, tensors, kind)}})
			got, err := FromCheckpoint(c)
			if err != nil {
				t.Fatal(err)
			}
			for i := range want.Layers {
				a, b := &want.Layers[i], &got.Layers[i]
				for e := range a.GateUp {
					sameProducts(t, "gate and up", &a.GateUp[e], &b.GateUp[e])
					sameProducts(t, "down", &a.Down[e], &b.Down[e])
				}
			}
		})
	}
}

// widenedGGUF writes a model whose experts are floats, but for the gates of the second layer.
func widenedGGUF(c model.Config, tensors []weightstest.Tensor, kind model.DType) []byte {
	all := weightstest.GGUFTensors(c, tensors)
	for i, t := range all {
		if t.DType != model.MXFP4 || t.Name == "blk.1.ffn_gate_exps.weight" {
			continue
		}
		m := weights.Matrix{Rows: 1, Cols: len(t.Data) / 17 * 32, DType: model.MXFP4, Data: t.Data}
		x := make([]float32, m.Cols)
		m.Row(0, x)
		all[i].DType, all[i].Data = kind, nil
		for _, v := range x {
			bits := math.Float32bits(v)
			switch kind {
			case model.F32:
				all[i].Data = append(all[i].Data, byte(bits), byte(bits>>8), byte(bits>>16), byte(bits>>24))
			case model.BF16:
				all[i].Data = append(all[i].Data, byte(bits>>16), byte(bits>>24))
			case model.F16:
				half := halfBits(v)
				all[i].Data = append(all[i].Data, byte(half), byte(half>>8))
			}
		}
	}
	return weightstest.WriteGGUF(weightstest.Metadata(c), all)
}

// halfBits returns the binary16 of a normal number, or of zero.
func halfBits(v float32) uint16 {
	bits := math.Float32bits(v)
	if v == 0 {
		return uint16(bits >> 16)
	}
	return uint16(bits>>16&0x8000) | uint16((bits>>23&0xff-112)<<10) | uint16(bits>>13&0x3ff)
}

// sameProducts multiplies both matrices with a few rows: different scales may stand for the same values.
func sameProducts(t *testing.T, name string, want, got *kernel.MXFP4) {
	t.Helper()
	var k kernel.Kernel
	r := rand.New(rand.NewPCG(1, 1))
	x := make([]float32, want.Cols())
	for range 3 {
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		blocks := make([]kernel.Block, kernel.Blocks(len(x)))
		k.Quantise(blocks, x)
		a, b := make([]float32, want.Rows()), make([]float32, got.Rows())
		k.MulMXFP4([][]float32{a}, want, [][]kernel.Block{blocks}, 0, want.Tiles())
		k.MulMXFP4([][]float32{b}, got, [][]kernel.Block{blocks}, 0, got.Tiles())
		if diff := cmp.Diff(a, b); diff != "" {
			t.Fatalf("%s: products (-want +got):\n%s", name, diff)
		}
	}
}
