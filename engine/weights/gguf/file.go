package gguf

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

const (
	magic            = 0x46554747 // "GGUF"
	defaultAlignment = 32
	alignmentKey     = "general.alignment"

	maxHeadBytes = 64 << 20 // gpt-oss has 16 MiB, nearly all of it vocabulary
	maxKeys      = 1 << 16
	maxTensors   = 1 << 16
	maxAlignment = 1 << 20
	maxName      = 1 << 10
	maxText      = 1 << 20 // a chat template has 20 KiB
	maxElements  = 1 << 21 // in all arrays that are kept; gpt-oss has a million
	maxRank      = 4

	leastKeyBytes    = 13 // an empty key, its type and one byte
	leastTensorBytes = 24 // an empty name, no dimension, type and offset
)

// File is the head of a file: all but the tensors' data.
type File struct {
	Version  uint32
	Metadata Metadata
	Tensors  []Tensor // in the order of the directory
}

// Tensor is an entry of the directory. Its data lies within the file and overlaps no other.
type Tensor struct {
	Name   string
	Type   Type
	Shape  []int64 // the slowest dimension first, unlike in the file
	Offset int64   // in bytes from the start of the file
	Size   int64   // in bytes
}

// Read reads the head of a file of the given size. Arrays of more than maxArray elements are passed over: [Skipped].
func Read(r io.Reader, size, maxArray int64) (*File, error) {
	d := &decoder{r: bufio.NewReader(r), left: min(size, maxHeadBytes), maxArray: maxArray}
	f := &File{}
	tensors, keys, err := f.readStart(d, size)
	if err != nil {
		return nil, err
	}
	if f.Metadata, err = readMetadata(d, keys); err != nil {
		return nil, err
	}
	alignment, err := f.alignment()
	if err != nil {
		return nil, err
	}
	if f.Tensors, err = readDirectory(d, tensors); err != nil {
		return nil, err
	}
	return f, f.place(d.at, alignment, size)
}

// readStart reads magic, version and the two counts.
func (f *File) readStart(d *decoder, size int64) (tensors, keys uint64, err error) {
	if size < 24 {
		return 0, 0, fmt.Errorf("%d bytes long, want a GGUF file of at least 24", size)
	}
	start, err := d.uint32()
	if err != nil {
		return 0, 0, err
	}
	if start != magic {
		return 0, 0, errors.New("does not begin with \"GGUF\": not a GGUF file")
	}
	if f.Version, err = d.uint32(); err != nil {
		return 0, 0, err
	}
	switch {
	case f.Version&0xffff == 0:
		return 0, 0, errors.New("is a big-endian GGUF file, want a little-endian one")
	case f.Version != 2 && f.Version != 3:
		return 0, 0, fmt.Errorf("is a GGUF file of version %d, want 2 or 3", f.Version)
	}
	if tensors, err = d.uint64(); err != nil {
		return 0, 0, err
	}
	if keys, err = d.uint64(); err != nil {
		return 0, 0, err
	}
	for _, c := range []struct {
		what         string
		n, max, each uint64
	}{{"tensors", tensors, maxTensors, leastTensorBytes}, {"keys", keys, maxKeys, leastKeyBytes}} {
		if limit := min(c.max, uint64(d.left)/c.each); c.n > limit {
			return 0, 0, fmt.Errorf("claims %d %s, want at most %d in a file of %d bytes", c.n, c.what, limit, size)
		}
	}
	return tensors, keys, nil
}

func readMetadata(d *decoder, keys uint64) (Metadata, error) {
	m := Metadata{}
	for range keys {
		key, err := d.text(maxName)
		if err != nil {
			return nil, fmt.Errorf("metadata: %w", err)
		}
		if _, ok := m[key]; ok {
			return nil, fmt.Errorf("key %.120q: given twice", key)
		}
		code, err := d.uint32()
		if err != nil {
			return nil, fmt.Errorf("key %.120q: %w", key, err)
		}
		if m[key], err = d.value(valueType(code)); err != nil {
			return nil, fmt.Errorf("key %.120q: %w", key, err)
		}
	}
	return m, nil
}

func (f *File) alignment() (int64, error) {
	n, err := f.Metadata.Int(alignmentKey)
	switch {
	case errors.Is(err, ErrMissing):
		return defaultAlignment, nil
	case err != nil:
		return 0, err
	case n < 1 || n > maxAlignment || n&(n-1) != 0:
		return 0, fmt.Errorf("key %q is %d, want a power of two up to %d", alignmentKey, n, int64(maxAlignment))
	}
	return n, nil
}

func readDirectory(d *decoder, count uint64) ([]Tensor, error) {
	tensors := make([]Tensor, 0, count)
	seen := make(map[string]bool, count)
	for range count {
		name, err := d.text(maxName)
		if err != nil {
			return nil, fmt.Errorf("directory: %w", err)
		}
		if seen[name] {
			return nil, fmt.Errorf("tensor %.120q: named twice", name)
		}
		seen[name] = true
		t, err := readTensor(d)
		if err != nil {
			return nil, fmt.Errorf("tensor %.120q: %w", name, err)
		}
		t.Name = name
		tensors = append(tensors, t)
	}
	return tensors, nil
}

// readTensor reads what follows a tensor's name; the offset is still relative to the data.
func readTensor(d *decoder) (Tensor, error) {
	rank, err := d.uint32()
	if err != nil {
		return Tensor{}, err
	}
	if rank > maxRank {
		return Tensor{}, fmt.Errorf("has %d dimensions, want at most %d", rank, maxRank)
	}
	t := Tensor{Shape: make([]int64, rank)}
	for i := range t.Shape {
		n, err := d.uint64()
		if err != nil {
			return Tensor{}, err
		}
		if n < 1 || n > math.MaxInt64 {
			return Tensor{}, fmt.Errorf("a dimension of %d, want at least 1 and below 2^63", n)
		}
		t.Shape[len(t.Shape)-1-i] = int64(n)
	}
	code, err := d.uint32()
	if err != nil {
		return Tensor{}, err
	}
	offset, err := d.uint64()
	if err != nil {
		return Tensor{}, err
	}
	if offset > math.MaxInt64 {
		return Tensor{}, fmt.Errorf("begins at byte %d of the data, want a smaller number", offset)
	}
	t.Type, t.Offset = Type(code), int64(offset)
	t.Size, err = sizeOf(t.Type, t.Shape)
	return t, err
}

// sizeOf returns the bytes of a tensor; a row is whole blocks.
func sizeOf(t Type, shape []int64) (int64, error) {
	l, ok := layouts[t]
	if !ok {
		return 0, fmt.Errorf("%s is not known", t)
	}
	row := int64(1)
	if len(shape) > 0 {
		row = shape[len(shape)-1]
	}
	if row%l.values != 0 {
		return 0, fmt.Errorf("rows of %d elements, want a multiple of %d for %s", row, l.values, t)
	}
	size := l.bytes
	for i, n := range shape {
		if i == len(shape)-1 {
			n /= l.values
		}
		if size > math.MaxInt64/n {
			return 0, fmt.Errorf("shape %v has no size in bytes", shape)
		}
		size *= n
	}
	return size, nil
}

// place makes the offsets absolute and makes sure that every tensor has bytes of its own in the file.
func (f *File) place(head, alignment, size int64) error {
	start := (head + alignment - 1) / alignment * alignment
	order := make([]*Tensor, len(f.Tensors))
	for i := range f.Tensors {
		t := &f.Tensors[i]
		order[i] = t
		switch {
		case t.Offset%alignment != 0:
			return fmt.Errorf("tensor %.120q: begins at byte %d of the data, want a multiple of %d", t.Name, t.Offset, alignment)
		case start > size || t.Offset > size-start || t.Size > size-start-t.Offset:
			return fmt.Errorf("tensor %.120q: %d bytes at byte %d of the data, which has %d: truncated", t.Name, t.Size, t.Offset, max(size-start, 0))
		}
		t.Offset += start
	}
	slices.SortFunc(order, func(a, b *Tensor) int { return cmp.Compare(a.Offset, b.Offset) })
	for i := 1; i < len(order); i++ {
		if before, t := order[i-1], order[i]; before.Offset+before.Size > t.Offset {
			return fmt.Errorf("tensor %.120q: begins at byte %d of the file, want %d or more: overlaps its neighbour", t.Name, t.Offset, before.Offset+before.Size)
		}
	}
	return nil
}
