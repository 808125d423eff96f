// Package kernel holds the numeric kernels of the CPU forward pass as functions on
// slices: products of packed weights with quantised activations, attention over a
// paged cache, and the element-wise steps between them.
//
// # Variants
//
// Each kernel exists in plain Go and, where it pays, in assembly for AVX2, for
// AVX-512 with VNNI, for NEON and for NEON with dot products. [Select] picks one set
// at start-up; every method of [Kernel] then branches to it directly. All variants
// give the same bits: products inside a block of 32 columns are exact integers, and
// the float32 operations around them happen in one fixed order. Where sums of
// products are fused, in the products with packed weights and in attention, they are
// fused in all variants; elsewhere a product is rounded before it is added. For the
// same reason a row's result does not depend on the rows computed beside it.
//
// No kernel allocates, and none reads or writes outside the slices it is given.
// A slice of a wrong size is a programming error and panics.
package kernel
