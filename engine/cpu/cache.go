package cpu

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"unsafe"

	"github.com/gptoss/gptoss-operator/engine/kernel"
	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/engine/weights/mapping"
)

// Kind names one of the two sets of pages that keys and values lie in.
type Kind uint8

// The two kinds of pages. A page holds its tokens for all layers of its kind.
const (
	Full   Kind = iota // layers that see everything
	Window             // layers that see a window only
	kinds
)

// String returns the name of the kind.
func (k Kind) String() string {
	if k == Full {
		return "full"
	}
	return "window"
}

// maxCacheBytes is more than any machine has, and keeps sizes within an int.
const maxCacheBytes = 1 << 44

// cache holds the keys and values of every sequence. Pages of a kind have the same number in all of its layers.
type cache struct {
	layers  []kernel.Pages // by layer of the model
	kinds   []Kind         // by layer of the model
	pages   [kinds]int     // pages of each kind
	release func()
}

// newCache makes room for the given number of pages, each of tokens tokens.
func newCache(c model.Config, tokens int, pages [kinds]int) (*cache, error) {
	k := &cache{layers: make([]kernel.Pages, c.Layers), kinds: make([]Kind, c.Layers), pages: pages}
	shape := kernel.Pages{Tokens: tokens, Heads: c.KVHeads, Dim: c.HeadDim}
	total := uint64(0)
	for l := range k.layers {
		if c.Window(l) > 0 {
			k.kinds[l] = Window
		}
		over, size := bits.Mul64(uint64(pages[k.kinds[l]]), 2*uint64(shape.PageLen()))
		total += size
		if over != 0 || size > maxCacheBytes || total > maxCacheBytes {
			return nil, fmt.Errorf("cpu: %d full and %d window pages of %d tokens are more than any machine can hold",
				pages[Full], pages[Window], tokens)
		}
	}
	memory, err := mapping.Allocate(int(total))
	if err != nil {
		return nil, fmt.Errorf("cpu: keys and values: %w", err)
	}
	data := memory.Data
	k.release = func() {
		_ = memory.Close() // fails for what was never mapped only
	}
	for l := range k.layers {
		p := shape
		if size := 2 * pages[k.kinds[l]] * shape.PageLen(); size > 0 {
			p.Data = unsafe.Slice((*uint16)(unsafe.Pointer(unsafe.SliceData(data))), size/2)
			data = data[size:]
		}
		k.layers[l] = p
	}
	return k, nil
}

// pageBytes returns the size of one page: its tokens in all layers of the kind.
func (k *cache) pageBytes(kind Kind) int {
	n := 0
	for l := range k.layers {
		if k.kinds[l] == kind {
			n += 2 * k.layers[l].PageLen()
		}
	}
	return n
}

// check says whether there is such a page and the buffer fits it.
func (k *cache) check(kind Kind, page int32, buffer []byte) error {
	switch {
	case kind >= kinds:
		return fmt.Errorf("cpu: pages of kind %d do not exist", kind)
	case page < 0 || int(page) >= k.pages[kind]:
		return fmt.Errorf("cpu: %s page %d, want 0 to %d", kind, page, k.pages[kind]-1)
	case len(buffer) != k.pageBytes(kind):
		return fmt.Errorf("cpu: %d bytes for a %s page, want %d", len(buffer), kind, k.pageBytes(kind))
	}
	return nil
}

// page returns a page's part in one layer.
func (k *cache) page(layer int, page int32) []uint16 {
	p := &k.layers[layer]
	return p.Data[int(page)*p.PageLen():][:p.PageLen()]
}

// PageBytes returns the size of a page of the kind as SavePage writes it, which is also the memory that it takes.
func (m *Model) PageBytes(kind Kind) int { return m.cache.pageBytes(kind) }

// SavePage copies a page to buffer, which has PageBytes(kind) bytes. No step may be under way.
func (m *Model) SavePage(kind Kind, page int32, buffer []byte) error {
	if err := m.usable(); err != nil {
		return err
	}
	if err := m.cache.check(kind, page, buffer); err != nil {
		return err
	}
	for l, of := range m.cache.kinds {
		if of == kind {
			for _, v := range m.cache.page(l, page) {
				binary.LittleEndian.PutUint16(buffer, v)
				buffer = buffer[2:]
			}
		}
	}
	return nil
}

// LoadPage copies what SavePage wrote into a page, of the same number or another. No step may be under way.
func (m *Model) LoadPage(kind Kind, page int32, buffer []byte) error {
	if err := m.usable(); err != nil {
		return err
	}
	if err := m.cache.check(kind, page, buffer); err != nil {
		return err
	}
	for l, of := range m.cache.kinds {
		if of == kind {
			to := m.cache.page(l, page)
			for i := range to {
				to[i] = binary.LittleEndian.Uint16(buffer[2*i:])
			}
			buffer = buffer[2*len(to):]
		}
	}
	return nil
}
