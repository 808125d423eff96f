// Package kernel holds the numeric kernels of the CPU forward pass as functions on
// slices: products of packed weights with quantised activations, attention over a
// paged cache, and the element-wise steps between them.
//
// # Variants
//
// Each kernel exists in plain Go and, where it pays, in assembly for AVX2 and for
// AVX-512 with VNNI. [Select] picks one set at start-up; every method of [Kernel]
// then branches to it directly. All variants give the same bits: products inside a
// block of 32 columns are exact integers, and every float32 operation around them
// (multiply, then add, never fused) happens in one fixed order. For the same
// reason a row's result does not depend on the rows computed beside it.
//
// No kernel allocates, and none reads or writes outside the slices it is given.
// A slice of a wrong size is a programming error and panics.
package kernel
