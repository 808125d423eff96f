//go:build !linux

package mapping

import "unsafe"

// Allocate returns memory, all zeros, that begins at a multiple of 64 bytes, as the kernels like it.
func Allocate(size int) (*Memory, error) {
	const line = 64
	data := make([]byte, size+line)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(data)))) & (line - 1)
	return &Memory{Data: data[skip : skip+size : skip+size]}, nil
}
