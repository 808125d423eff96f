package gguf

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// Pair is a key with its value: uint16, uint32, uint64, int32, float32, bool, string, []string, []int32 or []bool.
type Pair struct {
	Key   string
	Value any
}

// Head returns what a file of version 3 begins with, up to the first byte of the first tensor. It sets the tensors'
// offsets, one after the other at multiples of 32 with zeros between, and the sizes of those that have none by type and
// shape. The caller writes head and tensors at their places, and zeros up to a multiple of 32 after the last.
func Head(metadata []Pair, tensors []Tensor) ([]byte, error) {
	head := binary.LittleEndian.AppendUint32(nil, magic)
	head = binary.LittleEndian.AppendUint32(head, 3)
	head = binary.LittleEndian.AppendUint64(head, uint64(len(tensors)))
	head = binary.LittleEndian.AppendUint64(head, uint64(len(metadata)))
	var err error
	for _, p := range metadata {
		if head, err = appendValue(appendText(head, p.Key), p.Value); err != nil {
			return nil, fmt.Errorf("key %.120q: %w", p.Key, err)
		}
	}
	at := int64(0)
	for i := range tensors {
		t := &tensors[i]
		if t.Size == 0 {
			if t.Size, err = sizeOf(t.Type, t.Shape); err != nil {
				return nil, fmt.Errorf("tensor %.120q: %w", t.Name, err)
			}
		}
		head = binary.LittleEndian.AppendUint32(appendText(head, t.Name), uint32(len(t.Shape)))
		for _, n := range slices.Backward(t.Shape) {
			head = binary.LittleEndian.AppendUint64(head, uint64(n))
		}
		head = binary.LittleEndian.AppendUint32(head, uint32(t.Type))
		head = binary.LittleEndian.AppendUint64(head, uint64(at))
		t.Offset = at
		at += aligned(t.Size)
	}
	head = append(head, make([]byte, aligned(int64(len(head)))-int64(len(head)))...)
	for i := range tensors {
		tensors[i].Offset += int64(len(head))
	}
	return head, nil
}

func aligned(n int64) int64 { return (n + defaultAlignment - 1) / defaultAlignment * defaultAlignment }

func appendText(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint64(b, uint64(len(s))), s...)
}

// appendValue appends the number of a value's type, then the value.
func appendValue(b []byte, v any) ([]byte, error) {
	kind := func(t valueType) []byte { return binary.LittleEndian.AppendUint32(b, uint32(t)) }
	switch v := v.(type) {
	case uint16:
		return binary.LittleEndian.AppendUint16(kind(typeUint16), v), nil
	case uint32:
		return binary.LittleEndian.AppendUint32(kind(typeUint32), v), nil
	case int32:
		return appendInt(kind(typeInt32), v), nil
	case float32:
		return binary.LittleEndian.AppendUint32(kind(typeFloat32), math.Float32bits(v)), nil
	case bool:
		return appendBool(kind(typeBool), v), nil
	case string:
		return appendText(kind(typeString), v), nil
	case uint64:
		return binary.LittleEndian.AppendUint64(kind(typeUint64), v), nil
	case []string:
		return appendArray(kind(typeArray), typeString, v, appendText), nil
	case []int32:
		return appendArray(kind(typeArray), typeInt32, v, appendInt), nil
	case []bool:
		return appendArray(kind(typeArray), typeBool, v, appendBool), nil
	}
	return nil, fmt.Errorf("a value of type %T, which is not written", v)
}

func appendInt(b []byte, v int32) []byte { return binary.LittleEndian.AppendUint32(b, uint32(v)) }

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

func appendArray[T any](b []byte, t valueType, values []T, add func([]byte, T) []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(t))
	b = binary.LittleEndian.AppendUint64(b, uint64(len(values)))
	for _, v := range values {
		b = add(b, v)
	}
	return b
}
