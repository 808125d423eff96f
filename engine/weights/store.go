package weights

import (
	"fmt"
	"strings"

	"github.com/gptoss/gptoss-operator/engine/model"
)

// stored is a tensor and the bytes of a file that it takes.
type stored struct {
	name       string // as the file has it
	dtype      model.DType
	shape      []int64
	file       string
	begin, end int64
}

// listing is what the heads of a checkpoint's files say. No tensor was read for it.
type listing struct {
	layout     Layout
	config     model.Config
	source     string // what the configuration was read from, for messages
	from       source
	files      []FileInfo
	all        []stored // in the order of the files
	vocabulary *Vocabulary
	tensors    store

	check    func(*listing) error        // compares the tensors with what the configuration implies
	assemble func(*listing, *Checkpoint) // fills the checkpoint from tensors that were checked and files that are there
}

// store holds the tensors of all files by the name that the forward pass knows them by.
type store struct {
	from    string              // the file to name when a tensor is missing
	own     func(string) string // what the file calls a tensor
	tensors map[string]stored
	data    map[string][]byte // of the files, by name
}

// verify compares the tensors with those wanted. accepts says which types serve, prefix what a layer's names begin with
// in the file.
func (l *listing) verify(wanted []model.Tensor, accepts func(got, want model.DType) bool, prefix func(layer int) string) error {
	for _, want := range wanted {
		got, ok := l.tensors.tensors[want.Name]
		if !ok {
			return l.missing(want)
		}
		if !accepts(got.dtype, want.DType) {
			return fmt.Errorf("%s: tensor %q: type %s, want %s", got.file, got.name, got.dtype, want.DType)
		}
		if !equalShape(got.shape, want.Shape) {
			return fmt.Errorf("%s: tensor %q: shape %v, want %v from %s", got.file, got.name, got.shape, want.Shape, l.source)
		}
	}
	beyond := prefix(l.config.Layers)
	for _, t := range l.tensors.tensors {
		if strings.HasPrefix(t.name, beyond) {
			return fmt.Errorf("%s: tensor %q: layer %d, want layers 0 to %d from %s", t.file, beyond+"*", l.config.Layers, l.config.Layers-1, l.source)
		}
	}
	return nil
}

func (l *listing) missing(want model.Tensor) error {
	plain := strings.TrimSuffix(want.Name, "_blocks")
	if t, ok := l.tensors.tensors[plain]; ok && plain != want.Name {
		return fmt.Errorf("%s: tensor %q: experts in %s, want MXFP4 in %q and its scales", t.file, plain, t.dtype, want.Name)
	}
	return fmt.Errorf("%s: tensor %q: missing, want %s %v from %s", l.tensors.from, l.tensors.own(want.Name), want.DType, want.Shape, l.source)
}

// floats accepts the wider floats where BF16 is usual.
func floats(got, want model.DType) bool {
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

// bytes returns a tensor's part of its file.
func (s store) bytes(t stored) []byte {
	return s.data[t.file][t.begin:t.end:t.end]
}

// matrix returns a tensor with all dimensions but the last made one.
func (s store) matrix(name string) Matrix {
	t := s.tensors[name]
	m := Matrix{Rows: 1, Cols: int(t.shape[len(t.shape)-1]), DType: t.dtype, Data: s.bytes(t)}
	for _, n := range t.shape[:len(t.shape)-1] {
		m.Rows *= int(n)
	}
	return m
}

func (s store) vector(name string) []float32 {
	t := s.tensors[name]
	v := make([]float32, t.shape[0])
	decode(t.dtype, s.bytes(t), v)
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
			Blocks: s.bytes(blocks), Scales: s.bytes(scales),
		},
		Bias: s.matrix(name + "_bias"),
	}
}
