package gguf

import (
	"errors"
	"fmt"
	"math"
	"strconv"
)

// ErrMissing says that there is no such key.
var ErrMissing = errors.New("missing")

// Metadata holds the values of a file by key.
type Metadata map[string]any

// Skipped stands for an array that is longer than the reader was to keep; it is the array's length.
type Skipped int64

// String returns a text.
func (m Metadata) String(key string) (string, error) {
	return lookup[string](m, key, "a string")
}

// Strings returns an array of texts.
func (m Metadata) Strings(key string) ([]string, error) {
	return lookup[[]string](m, key, "an array of strings")
}

// Ints returns an array of integers or booleans, the latter as 0 and 1.
func (m Metadata) Ints(key string) ([]int64, error) {
	return lookup[[]int64](m, key, "an array of integers")
}

// Int returns an integer of any width.
func (m Metadata) Int(key string) (int64, error) {
	if v, ok := m[key].(uint64); ok {
		if v > math.MaxInt64 {
			return 0, fmt.Errorf("key %q is %d, want a smaller number", key, v)
		}
		return int64(v), nil
	}
	return lookup[int64](m, key, "an integer")
}

// Float returns a float of either width or an integer. A float32 gives the shortest decimal number that stands for it,
// so 1e-5 is the same as in a JSON file.
func (m Metadata) Float(key string) (float64, error) {
	switch v := m[key].(type) {
	case float32:
		return strconv.ParseFloat(strconv.FormatFloat(float64(v), 'g', -1, 32), 64)
	case uint64:
		return float64(v), nil
	case int64:
		return float64(v), nil
	}
	return lookup[float64](m, key, "a number")
}

func lookup[T any](m Metadata, key, want string) (T, error) {
	var none T
	v, ok := m[key]
	if !ok {
		return none, fmt.Errorf("key %q: %w, want %s", key, ErrMissing, want)
	}
	typed, ok := v.(T)
	if !ok {
		return none, fmt.Errorf("key %q is %s, want %s", key, kind(v), want)
	}
	return typed, nil
}

func kind(v any) string {
	switch v := v.(type) {
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case []string:
		return "an array of strings"
	case []int64:
		return "an array of integers"
	case []float64:
		return "an array of floats"
	case Skipped:
		return fmt.Sprintf("an array of %d elements", int64(v))
	case float32, float64:
		return "a float"
	}
	return "an integer"
}
