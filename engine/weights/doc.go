// Package weights opens gpt-oss checkpoints of three layouts into one form: Hugging Face safetensors (in one file or in
// shards with an index), OpenAI's own "original" safetensors, and GGUF (in one file or in parts).
//
// [Open] finds out which it is and maps the files into memory, [OpenFS] reads them; both give a [Checkpoint] whose
// tensors were checked by name, type and shape. [Describe] reads the heads of the files only. Large tensors stay as
// stored and are decoded row by row ([Matrix], [MXFP4]); vectors are decoded at once.
//
// Memory: safetensors need none beside the mapped files. GGUF keeps MXFP4 in another order and gate and up apart, so
// its experts are rewritten when it is opened, into memory of exactly the size that they have in the file (9.5 GiB for
// gpt-oss-20b, 56.7 GiB for gpt-oss-120b); the pages of the file that they came from can be dropped by the system. Its
// biases of gate and up become float32 (18 MB and 106 MB). All else, experts of other types included, stays mapped.
//
// Files are not trusted: every size is checked against the file before anything is allocated, and an error is one
// sentence that names file, tensor and expectation.
package weights
