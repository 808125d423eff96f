package cpu

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"

	"github.com/gptoss/gptoss-operator/engine/kernel"
	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/engine/weights"
	"github.com/gptoss/gptoss-operator/engine/weights/packed"
)

const (
	// chunkBytes is how much of a section one goroutine packs before it is written: enough to make the start of a
	// goroutine cheap, little enough to stay in a cache.
	chunkBytes = 256 << 10
	// maxPackers bounds the memory of packing, two chunks for each.
	maxPackers = 16
)

// section is a part of a packed model before it is written: some bytes, or units of equal size that are packed one by one.
type section struct {
	name      string
	data      []byte
	units     int
	unitBytes int
	pack      func(dst []byte, unit int, s *scratch) error // fills all of dst; runs on several goroutines
}

func (s section) length() int64 {
	return int64(len(s.data)) + int64(s.units)*int64(s.unitBytes)
}

// scratch is the memory of one goroutine that packs.
type scratch struct {
	floats         []float32
	blocks, scales []byte
}

// target takes sections: a packed file, or memory.
type target interface {
	Section(name string, length int64) error
	Write(b []byte) (int, error)
}

// Pack writes a checkpoint of any layout as a packed model, from which [Load] makes views: the configuration and the
// tokenizer, then all weights in the order in which the forward pass reads them. It works on all cores and holds a few
// megabytes beside the checkpoint. The bytes of the weights depend neither on the layout nor on the cores.
//
// progress may be nil; it hears how many bytes of how many were written. The caller commits or aborts w; aborting it
// from another goroutine ends Pack with an error.
//
// Experts must be MXFP4, or floats that MXFP4 holds exactly. All other matrices are rounded: the embedding to bfloat16,
// attention and lm_head to 8 bits with a scale for 32 of them. A weight that is not finite is an error.
func Pack(w *packed.Writer, c *weights.Checkpoint, progress func(done, total int64)) error {
	about, err := aboutModel(c)
	if err != nil {
		return err
	}
	tensors, err := tensorSections(c)
	if err != nil {
		return err
	}
	all := slices.Concat(about, tensors)
	room := int64(packed.Align) // for head and directory
	for _, s := range all {
		room += s.length() + packed.Align
	}
	if err := w.Reserve(room); err != nil {
		return err
	}
	return writeSections(w, all, packers(), progress)
}

// FromCheckpoint packs a checkpoint into memory. It is meant for small models: what [Pack] writes can be mapped and shared.
// The checkpoint is not needed afterwards.
func FromCheckpoint(c *weights.Checkpoint) (*Weights, error) {
	sections, err := tensorSections(c)
	if err != nil {
		return nil, err
	}
	m := memory{}
	if err := writeSections(&memoryWriter{to: m}, sections, packers(), nil); err != nil {
		return nil, err
	}
	return loadWeights(m, c.Config)
}

// packing is the state of writing sections one after the other.
type packing struct {
	to          target
	progress    func(done, total int64)
	done, total int64
	scratch     []scratch // one for each goroutine that packs
	buffers     [2][]byte // one is packed into while the other is written
	turn        int
	flying      chan error // result of the write under way, or nil
	flyingBytes int
}

// packers returns how many goroutines pack.
func packers() int { return min(runtime.GOMAXPROCS(0), maxPackers) }

func writeSections(to target, sections []section, packers int, progress func(done, total int64)) error {
	p := packing{to: to, progress: progress, scratch: make([]scratch, packers)}
	for _, s := range sections {
		p.total += s.length()
	}
	for _, s := range sections {
		if err := to.Section(s.name, s.length()); err != nil {
			return err
		}
		if err := p.write(s); err != nil {
			return err
		}
	}
	return nil
}

// write packs a section batch by batch; one batch is hashed and written while the next is packed.
func (p *packing) write(s section) error {
	if s.units == 0 {
		p.start(s.data)
		return p.wait()
	}
	batch := max(1, chunkBytes/s.unitBytes) * len(p.scratch)
	for first := 0; first < s.units; first += batch {
		last := min(first+batch, s.units)
		b := p.buffer((last - first) * s.unitBytes)
		err := p.fill(s, b, first, last)
		if waited := p.wait(); waited != nil {
			return waited
		}
		if err != nil {
			return fmt.Errorf("cpu: %s: %w", s.name, err)
		}
		p.start(b)
	}
	return p.wait()
}

// buffer returns n bytes that no write under way uses.
func (p *packing) buffer(n int) []byte {
	p.turn = 1 - p.turn
	if b := &p.buffers[p.turn]; cap(*b) < n {
		*b = make([]byte, n)
	}
	return p.buffers[p.turn][:n]
}

// fill packs units first to last-1 on all goroutines. Of several errors it returns that of the first unit.
func (p *packing) fill(s section, dst []byte, first, last int) error {
	n := last - first
	workers := min(len(p.scratch), n)
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for u := n * w / workers; u < n*(w+1)/workers && errs[w] == nil; u++ {
				errs[w] = s.pack(dst[u*s.unitBytes:(u+1)*s.unitBytes], first+u, &p.scratch[w])
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// start writes b in the background.
func (p *packing) start(b []byte) {
	p.flying, p.flyingBytes = make(chan error, 1), len(b)
	go func(result chan<- error) {
		_, err := p.to.Write(b)
		result <- err
	}(p.flying)
}

// wait ends the write under way, if there is one.
func (p *packing) wait() error {
	if p.flying == nil {
		return nil
	}
	err := <-p.flying
	p.flying = nil
	p.done += int64(p.flyingBytes)
	if err == nil && p.progress != nil {
		p.progress(p.done, p.total)
	}
	return err
}

// tensorSections plans the sections with weights; [loadWeights] reads the same names and shapes.
func tensorSections(c *weights.Checkpoint) ([]section, error) {
	p := planner{sections: make([]section, 0, 3+13*len(c.Layers))}
	p.bfloat16("embedding", c.Embedding)
	for i, l := range c.Layers {
		name := layerPrefix(i)
		p.vector(name+"attention_norm", l.AttentionNorm)
		p.int8(name+"qkv", l.Query.Weight, l.Key.Weight, l.Value.Weight)
		p.vector(name+"qkv_bias", slices.Concat(l.Query.Bias, l.Key.Bias, l.Value.Bias))
		p.vector(name+"sinks", l.Sinks)
		p.int8(name+"output", l.Output.Weight)
		p.vector(name+"output_bias", l.Output.Bias)
		p.vector(name+"mlp_norm", l.MLPNorm)
		p.float32(name+"router", l.Router.Weight)
		p.vector(name+"router_bias", l.Router.Bias)
		p.mxfp4(name+"gate_up", l.GateUp)
		p.float32(name+"gate_up_bias", l.GateUp.Bias)
		p.mxfp4(name+"down", l.Down)
		p.float32(name+"down_bias", l.Down.Bias)
	}
	p.vector("final_norm", c.FinalNorm)
	p.int8("lm_head", c.LMHead)
	if p.err != nil {
		return nil, fmt.Errorf("cpu: %w", p.err)
	}
	return p.sections, nil
}

func layerPrefix(layer int) string { return fmt.Sprintf("layers.%d.", layer) }

// planner collects sections and keeps the last error.
type planner struct {
	sections []section
	err      error
}

func (p *planner) add(name string, units, unitBytes int, pack func(dst []byte, unit int, s *scratch) error) {
	p.sections = append(p.sections, section{name: name, units: units, unitBytes: unitBytes, pack: pack})
}

// bfloat16 rounds rows to bfloat16; of a checkpoint that has them in that type they stay as they are.
func (p *planner) bfloat16(name string, m weights.Matrix) {
	p.add(name, m.Rows, 2*m.Cols, func(dst []byte, row int, s *scratch) error {
		x := s.row(m.Cols)
		if err := readRow(m, row, x); err != nil {
			return err
		}
		for i, v := range x {
			bits := math.Float32bits(v)
			bits = (bits + 0x7fff + bits>>16&1) >> 16 // to nearest, ties to even
			if bits&0x7f80 == 0x7f80 {
				return fmt.Errorf("row %d, column %d: %v is too large for bfloat16", row, i, v)
			}
			binary.LittleEndian.PutUint16(dst[2*i:], uint16(bits))
		}
		return nil
	})
}

// float32 keeps a matrix in float32, row by row.
func (p *planner) float32(name string, m weights.Matrix) {
	p.add(name, m.Rows, 4*m.Cols, func(dst []byte, row int, s *scratch) error {
		x := s.row(m.Cols)
		if err := readRow(m, row, x); err != nil {
			return err
		}
		putFloats(dst, x)
		return nil
	})
}

func (p *planner) vector(name string, v []float32) {
	p.add(name, 1, 4*len(v), func(dst []byte, _ int, _ *scratch) error {
		putFloats(dst, v)
		return checkFinite(v)
	})
}

// int8 packs the rows of all matrices, one after the other, as one matrix with columns in whole blocks; a unit is a tile.
func (p *planner) int8(name string, parts ...weights.Matrix) {
	cols, rows := kernel.Blocks(parts[0].Cols)*kernel.BlockLen, 0
	for _, m := range parts {
		rows += m.Rows
	}
	tile, err := kernel.Int8Bytes(kernel.TileRows, cols)
	if err != nil {
		p.err = fmt.Errorf("%s: %w", name, err)
	}
	p.add(name, tiles(rows), tile, func(dst []byte, unit int, s *scratch) error {
		first := unit * kernel.TileRows
		n := min(kernel.TileRows, rows-first)
		x := s.row(n * cols)
		clear(x)
		for i := range n {
			row, m := first+i, 0
			for ; row >= parts[m].Rows; m++ {
				row -= parts[m].Rows
			}
			if err := readRow(parts[m], row, x[i*cols:][:parts[m].Cols]); err != nil {
				return err
			}
		}
		return kernel.PackInt8(dst, x, n, cols)
	})
}

// mxfp4 packs experts, one after the other; a unit is a tile of one expert.
func (p *planner) mxfp4(name string, e weights.Experts) {
	rows, cols := e.Rows(), e.Cols()
	tile, err := kernel.MXFP4Bytes(kernel.TileRows, cols)
	if err != nil {
		p.err = fmt.Errorf("%s: %w", name, err)
	}
	each := tiles(rows)
	p.add(name, e.Bias.Rows*each, tile, func(dst []byte, unit int, s *scratch) error {
		expert, first := unit/each, unit%each*kernel.TileRows
		n := min(kernel.TileRows, rows-first)
		blocks, scales, err := storedRows(e, expert, first, n, s)
		if err != nil {
			return err
		}
		// 255 stands for NaN: no answer of such a model would make sense.
		if at := bytes.IndexByte(scales, 255); at >= 0 {
			return fmt.Errorf("expert %d, row %d: a scale of 255, which makes its weights no numbers", expert, first+at*kernel.BlockLen/cols)
		}
		return kernel.PackMXFP4(dst, blocks, scales, n, cols)
	})
}

func tiles(rows int) int { return (rows + kernel.TileRows - 1) / kernel.TileRows }

// row returns memory for n floats.
func (s *scratch) row(n int) []float32 {
	if cap(s.floats) < n {
		s.floats = make([]float32, n)
	}
	return s.floats[:n]
}

// mxfp4 returns memory for so many blocks of MXFP4 and their scales.
func (s *scratch) mxfp4(n int) (blocks, scales []byte) {
	if cap(s.scales) < n {
		s.blocks, s.scales = make([]byte, n*blockBytes), make([]byte, n)
	}
	return s.blocks[:n*blockBytes], s.scales[:n]
}

// readRow decodes a row, all of which must be finite.
func readRow(m weights.Matrix, row int, dst []float32) error {
	m.Row(row, dst)
	if err := checkFinite(dst); err != nil {
		return fmt.Errorf("row %d, %w", row, err)
	}
	return nil
}

func checkFinite(x []float32) error {
	for i, v := range x {
		if v-v != 0 { // NaN of NaN and of infinities
			return fmt.Errorf("column %d: %v, want a finite number", i, v)
		}
	}
	return nil
}

func putFloats(dst []byte, x []float32) {
	for i, v := range x {
		binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(v))
	}
}

const blockBytes = kernel.BlockLen / 2 // of 32 values in MXFP4, without the scale

// storedRows returns n rows of an expert in the form of OpenAI's checkpoints: where they lie, or rewritten into s.
func storedRows(e weights.Experts, expert, first, n int, s *scratch) (blocks, scales []byte, err error) {
	each := e.Cols() / kernel.BlockLen
	if len(e.Other) == 0 {
		at := (expert*e.Rows() + first) * each
		return e.Weight.Blocks[at*blockBytes : (at+n*each)*blockBytes], e.Weight.Scales[at : at+n*each], nil
	}
	blocks, scales = s.mxfp4(n * each)
	turns := len(e.Other)
	for i := range n {
		m := e.Other[(first+i)%turns]
		row := expert*(e.Rows()/turns) + (first+i)/turns
		to, toScales := blocks[i*each*blockBytes:(i+1)*each*blockBytes], scales[i*each:(i+1)*each]
		if m.DType == model.MXFP4 {
			fromGGUF(to, toScales, m.Data[row*each*(1+blockBytes):])
			continue
		}
		x := s.row(m.Cols)
		m.Row(row, x)
		if err := toMXFP4(to, toScales, x); err != nil {
			return nil, nil, fmt.Errorf("experts of type %s, and %w (expert %d, row %d): want them in MXFP4", m.DType, err, expert, first+i)
		}
	}
	return blocks, scales, nil
}

// fromGGUF brings a row of GGUF's blocks, a scale before 16 bytes of which byte j has elements j and j+16, into blocks of
// which byte j has elements 2j and 2j+1.
func fromGGUF(blocks, scales, from []byte) {
	for i := range scales {
		scales[i] = from[i*(1+blockBytes)]
		src := (*[blockBytes]byte)(from[i*(1+blockBytes)+1:])
		dst := (*[blockBytes]byte)(blocks[i*blockBytes:])
		for j := range blockBytes / 2 {
			a, b := src[2*j], src[2*j+1]
			dst[j] = a&15 | b<<4
			dst[blockBytes/2+j] = a>>4 | b&0xf0
		}
	}
}

var errInexact = errors.New("MXFP4 cannot hold their values exactly")

// toMXFP4 writes floats as MXFP4 if no value changes by that.
func toMXFP4(blocks, scales []byte, x []float32) error {
	for i := range scales {
		var ok bool
		if scales[i], ok = exactBlock((*[blockBytes]byte)(blocks[i*blockBytes:]), (*[kernel.BlockLen]float32)(x[i*kernel.BlockLen:])); !ok {
			return errInexact
		}
	}
	return nil
}

// exactBlock writes 32 floats, the largest of them as ±4 or ±6 times a power of two: every block of MXFP4 can be written
// with that scale or, if it is below the least there is, with the least.
func exactBlock(dst *[blockBytes]byte, x *[kernel.BlockLen]float32) (scale byte, ok bool) {
	const bias, topExponent = 127, 3 // of E8M0; 4 and 6 are 0.5 and 0.75 times 2^3
	var top float32
	for _, v := range x {
		if v-v != 0 {
			return 0, false
		}
		top = max(top, v, -v)
	}
	if top > 0 {
		_, exponent := math.Frexp(float64(top))
		scale = byte(max(exponent-topExponent+bias, 0)) // at most 252, for exponent is at most 128
	}
	unit := math.Ldexp(1, bias-int(scale))
	*dst = [blockBytes]byte{}
	for i, v := range x {
		code := slices.Index(magnitudes[:], math.Abs(float64(v))*unit)
		if code < 0 {
			return 0, false
		}
		if math.Signbit(float64(v)) {
			code |= 8
		}
		dst[i/2] |= byte(code) << (4 * (i % 2))
	}
	return scale, true
}

// magnitudes are the values of E2M1 without their sign.
var magnitudes = [8]float64{0, 0.5, 1, 1.5, 2, 3, 4, 6}
