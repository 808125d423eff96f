// Package weightstest writes checkpoints for tests, in every layout that engine/weights opens.
//
// A checkpoint starts as tensors under their Hugging Face names, made up or taken from a file by [ReadSafetensors].
// [Safetensors], [Original] and [GGUF] write them. The rewriting to GGUF is done value by value, on purpose not in the
// way in which engine/weights undoes it. [SparseSafetensors] and [SparseGGUF] write the head only, for tests of how much
// is read. Mistakes panic: the package trusts its callers.
package weightstest
