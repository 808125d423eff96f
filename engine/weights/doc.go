// Package weights opens gpt-oss checkpoints of three layouts into one form: Hugging Face safetensors (in one file or in
// shards with an index), OpenAI's own "original" safetensors, and GGUF (in one file or in parts).
//
// [Open] finds out which it is and maps the files into memory, [OpenFS] reads them; both give a [Checkpoint] whose
// tensors were checked by name, type and shape. [Describe] reads the heads of the files only. Large tensors stay as
// stored and are decoded row by row ([Matrix], [MXFP4]); vectors are decoded at once.
//
// Memory: tensors stay in the mapped files, whose pages the system can drop. Vectors are copied, and of a GGUF file, which
// keeps gate and up apart, so are their biases, as float32 (18 MB for gpt-oss-20b, 106 MB for gpt-oss-120b).
//
// [Synthetic] makes a checkpoint of any shape with random weights, and [Checkpoint.WriteGGUF] writes any as a GGUF file.
//
// Files are not trusted: every size is checked against the file before anything is allocated, and an error is one
// sentence that names file, tensor and expectation.
package weights
