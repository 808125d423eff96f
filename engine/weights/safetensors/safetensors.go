package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

const (
	lengthBytes    = 8        // little-endian length of the JSON header
	maxHeaderBytes = 16 << 20 // gpt-oss-120b needs under 100 KiB a shard
	maxTensors     = 1 << 16
	maxRank        = 8
)

// Tensor describes one tensor of a file.
type Tensor struct {
	Name       string
	Type       string // as the format calls it: "BF16", "U8", …
	Shape      []int64
	Begin, End int64 // in bytes from the start of the file
}

// Read reads the head of a file of the given size: 8 bytes of length, that much JSON, then the data. The tensors cover
// the data without gap or overlap and come in order.
func Read(r io.Reader, size int64) ([]Tensor, error) {
	if size < lengthBytes {
		return nil, fmt.Errorf("%d bytes long, want a safetensors file of more than %d", size, lengthBytes)
	}
	var prefix [lengthBytes]byte
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return nil, err
	}
	length := binary.LittleEndian.Uint64(prefix[:])
	switch rest := uint64(size - lengthBytes); {
	case length > maxHeaderBytes:
		return nil, fmt.Errorf("header length %d, want at most %d: not a safetensors file", length, maxHeaderBytes)
	case length > rest:
		return nil, fmt.Errorf("header length %d, want at most the %d bytes that follow: truncated, or not a safetensors file", length, rest)
	}
	tensors, err := parseEntries(io.LimitReader(r, int64(length)))
	if err != nil {
		return nil, err
	}
	start := lengthBytes + int64(length)
	if err := checkLayout(tensors, size-start); err != nil {
		return nil, err
	}
	for i := range tensors {
		tensors[i].Begin += start
		tensors[i].End += start
	}
	return tensors, nil
}

// parseEntries walks the header token by token, for encoding/json would silently keep the last of two equal names.
func parseEntries(r io.Reader) ([]Tensor, error) {
	d := json.NewDecoder(r)
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, errors.New("header is not a JSON object: not a safetensors file")
	}
	var tensors []Tensor
	seen := map[string]bool{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("header is not JSON: %w", err)
		}
		name, _ := key.(string) // the decoder lets only strings be keys
		if seen[name] {
			return nil, fmt.Errorf("tensor %.120q: named twice in the header", name)
		}
		seen[name] = true
		if len(seen) > maxTensors {
			return nil, fmt.Errorf("header names more than %d tensors", maxTensors)
		}
		if name == "__metadata__" {
			var ignored map[string]string
			if err := d.Decode(&ignored); err != nil {
				return nil, errors.New("header: __metadata__ is not an object of strings")
			}
			continue
		}
		e, err := parseEntry(d, name)
		if err != nil {
			return nil, fmt.Errorf("tensor %.120q: %w", name, err)
		}
		tensors = append(tensors, e)
	}
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("header is not JSON: %w", err)
	}
	return tensors, onlySpaces(io.MultiReader(d.Buffered(), r))
}

// onlySpaces reads to the end of the header, which may be padded.
func onlySpaces(r io.Reader) error {
	buffer := make([]byte, 4096)
	for {
		n, err := r.Read(buffer)
		if trailing := bytes.Trim(buffer[:n], " "); len(trailing) > 0 {
			return fmt.Errorf("%.20q follows the header's JSON object, want spaces only", trailing)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func parseEntry(d *json.Decoder, name string) (Tensor, error) {
	var raw struct {
		DType   string  `json:"dtype"`
		Shape   []int64 `json:"shape"`
		Offsets []int64 `json:"data_offsets"`
	}
	if err := d.Decode(&raw); err != nil {
		return Tensor{}, fmt.Errorf("header entry: %w", err)
	}
	size := elementSize(raw.DType)
	switch {
	case size == 0:
		return Tensor{}, fmt.Errorf("type %.20q is not one of safetensors", raw.DType)
	case raw.Shape == nil || len(raw.Shape) > maxRank:
		return Tensor{}, fmt.Errorf("shape has %d dimensions, want a list of at most %d", len(raw.Shape), maxRank)
	case len(raw.Offsets) != 2 || raw.Offsets[0] < 0 || raw.Offsets[1] < raw.Offsets[0]:
		return Tensor{}, fmt.Errorf("data_offsets %.5v, want begin and end", raw.Offsets)
	}
	want := int64(size)
	for _, n := range raw.Shape {
		if n < 0 || n > 0 && want > math.MaxInt64/n {
			return Tensor{}, fmt.Errorf("shape %v has no size in bytes", raw.Shape)
		}
		want *= n
	}
	if got := raw.Offsets[1] - raw.Offsets[0]; got != want {
		return Tensor{}, fmt.Errorf("data_offsets span %d bytes, want %d for %s %v", got, want, raw.DType, raw.Shape)
	}
	return Tensor{name, raw.DType, raw.Shape, raw.Offsets[0], raw.Offsets[1]}, nil
}

// checkLayout makes sure that the tensors tile the data exactly, and leaves the entries sorted.
func checkLayout(tensors []Tensor, size int64) error {
	slices.SortStableFunc(tensors, func(a, b Tensor) int {
		return cmp.Or(cmp.Compare(a.Begin, b.Begin), cmp.Compare(a.End, b.End))
	})
	var at int64
	for _, e := range tensors {
		switch {
		case e.End > size:
			return fmt.Errorf("tensor %.120q: ends at byte %d of the data, want at most %d: truncated", e.Name, e.End, size)
		case e.Begin < at:
			return fmt.Errorf("tensor %.120q: begins at byte %d of the data, want %d: overlaps its neighbour", e.Name, e.Begin, at)
		case e.Begin > at:
			return fmt.Errorf("tensor %.120q: begins at byte %d of the data, want %d: leaves a gap", e.Name, e.Begin, at)
		}
		at = e.End
	}
	if at != size {
		return fmt.Errorf("%d bytes follow the last tensor, want none", size-at)
	}
	return nil
}

// elementSize returns the bytes of one element, or 0 for a type that safetensors does not have.
func elementSize(t string) int {
	switch t {
	case "BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0":
		return 1
	case "U16", "I16", "F16", "BF16":
		return 2
	case "U32", "I32", "F32":
		return 4
	case "U64", "I64", "F64":
		return 8
	}
	return 0
}
