package gguf

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// valueType is the type of a metadata value, by its number in the format.
type valueType uint32

const (
	typeUint8 valueType = iota
	typeInt8
	typeUint16
	typeInt16
	typeUint32
	typeInt32
	typeFloat32
	typeBool
	typeString
	typeArray
	typeUint64
	typeInt64
	typeFloat64
)

// valueBytes are the sizes of the scalar types; of a string it is that of its length.
var valueBytes = [...]int64{1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8}

// decoder reads the head of a file front to back.
type decoder struct {
	r        *bufio.Reader
	at, left int64 // bytes read, and those that may still be
	maxArray int64 // elements of an array that is kept
	kept     int64 // elements of all arrays so far
	buffer   [8]byte
}

// claim makes sure that n more bytes can be there.
func (d *decoder) claim(what string, n uint64) error {
	if n > uint64(d.left) {
		return fmt.Errorf("%s of %d bytes at byte %d, want at most the %d that can follow", what, n, d.at, d.left)
	}
	d.at += int64(n)
	d.left -= int64(n)
	return nil
}

func (d *decoder) read(p []byte) error {
	if err := d.claim("field", uint64(len(p))); err != nil {
		return err
	}
	_, err := io.ReadFull(d.r, p)
	return d.describe(err)
}

func (d *decoder) skip(n uint64) error {
	if err := d.claim("array", n); err != nil {
		return err
	}
	_, err := d.r.Discard(int(n)) // n is at most maxHeadBytes
	return d.describe(err)
}

func (d *decoder) describe(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("ends before byte %d: truncated", d.at)
	}
	return err
}

// scalar reads a number of n bytes, little-endian.
func (d *decoder) scalar(n int64) (uint64, error) {
	d.buffer = [8]byte{}
	err := d.read(d.buffer[:n])
	return binary.LittleEndian.Uint64(d.buffer[:]), err
}

func (d *decoder) uint32() (uint32, error) {
	v, err := d.scalar(4)
	return uint32(v), err
}

func (d *decoder) uint64() (uint64, error) { return d.scalar(8) }

// appendText reads a string and appends it to text.
func (d *decoder) appendText(text []byte, limit uint64) ([]byte, error) {
	n, err := d.uint64()
	if err != nil {
		return nil, err
	}
	if n > limit {
		return nil, fmt.Errorf("string of %d bytes at byte %d, want at most %d", n, d.at, limit)
	}
	if err := d.claim("string", n); err != nil {
		return nil, err
	}
	start := len(text)
	text = append(text, make([]byte, n)...)
	_, err = io.ReadFull(d.r, text[start:])
	return text, d.describe(err)
}

func (d *decoder) text(limit uint64) (string, error) {
	text, err := d.appendText(nil, limit)
	return string(text), err
}

// value reads a metadata value of the given type.
func (d *decoder) value(t valueType) (any, error) {
	switch {
	case t == typeString:
		return d.text(maxText)
	case t == typeArray:
		return d.array()
	case int(t) >= len(valueBytes):
		return nil, fmt.Errorf("value of type %d, want 0 to %d", t, len(valueBytes)-1)
	}
	bits, err := d.scalar(valueBytes[t])
	if err != nil {
		return nil, err
	}
	switch t {
	case typeUint8, typeUint16, typeUint32, typeUint64:
		return bits, nil
	case typeFloat32:
		return math.Float32frombits(uint32(bits)), nil
	case typeFloat64:
		return math.Float64frombits(bits), nil
	case typeBool:
		return bits != 0, nil
	}
	return signed(t, bits), nil
}

// signed widens an integer or a boolean.
func signed(t valueType, bits uint64) int64 {
	switch t {
	case typeInt8:
		return int64(int8(bits))
	case typeInt16:
		return int64(int16(bits))
	case typeInt32:
		return int64(int32(bits))
	}
	return int64(bits)
}

// array reads an array, or passes over one that is too long to keep.
func (d *decoder) array() (any, error) {
	code, err := d.uint32()
	if err != nil {
		return nil, err
	}
	n, err := d.uint64()
	if err != nil {
		return nil, err
	}
	t := valueType(code)
	switch {
	case t == typeArray:
		return nil, errors.New("array of arrays, want none")
	case int(code) >= len(valueBytes):
		return nil, fmt.Errorf("array of type %d, want 0 to %d", code, len(valueBytes)-1)
	case n > uint64(d.left/valueBytes[t]):
		return nil, fmt.Errorf("array of %d elements at byte %d, want at most the %d that can follow", n, d.at, d.left/valueBytes[t])
	}
	count := int64(n)
	if count > d.maxArray {
		return Skipped(count), d.skipArray(t, count)
	}
	if d.kept += count; d.kept > maxElements {
		return nil, fmt.Errorf("arrays of more than %d elements in all", int64(maxElements))
	}
	switch t {
	case typeString:
		return d.texts(count)
	case typeFloat32, typeFloat64:
		return d.floats(t, count)
	}
	numbers := make([]int64, count)
	for i := range numbers {
		bits, err := d.scalar(valueBytes[t])
		if err != nil {
			return nil, err
		}
		if t == typeUint64 && bits > math.MaxInt64 {
			return nil, fmt.Errorf("array holds %d, want smaller numbers", bits)
		}
		numbers[i] = signed(t, bits)
	}
	return numbers, nil
}

func (d *decoder) floats(t valueType, count int64) (any, error) {
	numbers := make([]float64, count)
	for i := range numbers {
		bits, err := d.scalar(valueBytes[t])
		if err != nil {
			return nil, err
		}
		if t == typeFloat32 {
			numbers[i] = float64(math.Float32frombits(uint32(bits)))
		} else {
			numbers[i] = math.Float64frombits(bits)
		}
	}
	return numbers, nil
}

// texts reads an array of strings into one allocation, for a vocabulary has hundreds of thousands.
func (d *decoder) texts(count int64) (any, error) {
	var all []byte
	ends := make([]uint32, count) // maxHeadBytes is below 2^32
	for i := range ends {
		var err error
		if all, err = d.appendText(all, maxText); err != nil {
			return nil, err
		}
		ends[i] = uint32(len(all))
	}
	joined, start := string(all), uint32(0)
	texts := make([]string, count)
	for i, end := range ends {
		texts[i], start = joined[start:end], end
	}
	return texts, nil
}

func (d *decoder) skipArray(t valueType, count int64) error {
	if t != typeString {
		return d.skip(uint64(count) * uint64(valueBytes[t]))
	}
	for range count {
		n, err := d.uint64()
		if err != nil {
			return err
		}
		if err := d.skip(n); err != nil {
			return err
		}
	}
	return nil
}
