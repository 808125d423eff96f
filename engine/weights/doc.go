// Package weights opens gpt-oss checkpoints: Hugging Face safetensors, in one file or in shards with an index.
//
// [OpenDir] maps the files into memory, [OpenFS] reads them; both give a [Checkpoint] whose tensors were checked
// against config.json by name, type and shape. Large tensors stay as stored and are decoded row by row ([Matrix],
// [MXFP4]); vectors are decoded at once. Files are not trusted: every size is checked against the file before anything
// is allocated, and an error is one sentence that names file, tensor and expectation.
package weights
