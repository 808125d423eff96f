package weights

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/gptoss/gptoss-operator/engine/model"
)

const (
	lengthBytes    = 8        // little-endian length of the JSON header
	maxHeaderBytes = 16 << 20 // gpt-oss-120b needs under 100 KiB a shard
	maxTensors     = 1 << 16
	maxRank        = 8
)

// entry describes one tensor of a safetensors file.
type entry struct {
	name       string
	dtype      model.DType
	shape      []int64
	begin, end int64 // within the data that follows the header
}

// header is a checked safetensors header: the entries cover the data without gap or overlap, in order of begin.
type header struct {
	entries []entry
	start   int64 // of the data within the file
}

// bytes returns an entry's part of the file.
func (h header) bytes(file []byte, e entry) []byte {
	return file[h.start+e.begin : h.start+e.end : h.start+e.end]
}

// parseHeader reads the header of a whole safetensors file: 8 bytes of length, that much JSON, then the data.
func parseHeader(file []byte) (header, error) {
	if len(file) < lengthBytes {
		return header{}, fmt.Errorf("%d bytes long, want a safetensors file of more than %d", len(file), lengthBytes)
	}
	length := binary.LittleEndian.Uint64(file)
	switch rest := uint64(len(file) - lengthBytes); {
	case length > maxHeaderBytes:
		return header{}, fmt.Errorf("header length %d, want at most %d: not a safetensors file", length, maxHeaderBytes)
	case length > rest:
		return header{}, fmt.Errorf("header length %d, want at most the %d bytes that follow: truncated, or not a safetensors file", length, rest)
	}
	start := lengthBytes + int64(length)
	entries, err := parseEntries(file[lengthBytes:start])
	if err != nil {
		return header{}, err
	}
	return header{entries, start}, checkLayout(entries, int64(len(file))-start)
}

// parseEntries walks the header token by token, for encoding/json would silently keep the last of two equal names.
func parseEntries(text []byte) ([]entry, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, errors.New("header is not a JSON object: not a safetensors file")
	}
	var entries []entry
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
		entries = append(entries, e)
	}
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("header is not JSON: %w", err)
	}
	if trailing := bytes.Trim(text[d.InputOffset():], " "); len(trailing) > 0 {
		return nil, fmt.Errorf("%d bytes follow the header's JSON object, want spaces only", len(trailing))
	}
	return entries, nil
}

func parseEntry(d *json.Decoder, name string) (entry, error) {
	var raw struct {
		DType   model.DType `json:"dtype"`
		Shape   []int64     `json:"shape"`
		Offsets []int64     `json:"data_offsets"`
	}
	if err := d.Decode(&raw); err != nil {
		return entry{}, fmt.Errorf("header entry: %w", err)
	}
	size := elementSize(raw.DType)
	switch {
	case size == 0:
		return entry{}, fmt.Errorf("type %.20q is not one of safetensors", raw.DType)
	case raw.Shape == nil || len(raw.Shape) > maxRank:
		return entry{}, fmt.Errorf("shape has %d dimensions, want a list of at most %d", len(raw.Shape), maxRank)
	case len(raw.Offsets) != 2 || raw.Offsets[0] < 0 || raw.Offsets[1] < raw.Offsets[0]:
		return entry{}, fmt.Errorf("data_offsets %.5v, want begin and end", raw.Offsets)
	}
	want := int64(size)
	for _, n := range raw.Shape {
		if n < 0 || n > 0 && want > math.MaxInt64/n {
			return entry{}, fmt.Errorf("shape %v has no size in bytes", raw.Shape)
		}
		want *= n
	}
	if got := raw.Offsets[1] - raw.Offsets[0]; got != want {
		return entry{}, fmt.Errorf("data_offsets span %d bytes, want %d for %s %v", got, want, raw.DType, raw.Shape)
	}
	return entry{name, raw.DType, raw.Shape, raw.Offsets[0], raw.Offsets[1]}, nil
}

// checkLayout makes sure that the tensors tile the data exactly, and leaves the entries sorted.
func checkLayout(entries []entry, size int64) error {
	slices.SortStableFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end))
	})
	var at int64
	for _, e := range entries {
		switch {
		case e.end > size:
			return fmt.Errorf("tensor %.120q: ends at byte %d of the data, want at most %d: truncated", e.name, e.end, size)
		case e.begin < at:
			return fmt.Errorf("tensor %.120q: begins at byte %d of the data, want %d: overlaps its neighbour", e.name, e.begin, at)
		case e.begin > at:
			return fmt.Errorf("tensor %.120q: begins at byte %d of the data, want %d: leaves a gap", e.name, e.begin, at)
		}
		at = e.end
	}
	if at != size {
		return fmt.Errorf("%d bytes follow the last tensor, want none", size-at)
	}
	return nil
}
