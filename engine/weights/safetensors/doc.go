// Package safetensors reads the head of Hugging Face's tensor files: which tensors lie where.
//
// [Read] never takes the tensors' data. The file is not trusted: names, types, shapes and places are checked against the
// size of the file, and an error is one sentence. The package knows nothing of gpt-oss and imports the standard library
// only. Format: https://huggingface.co/docs/safetensors.
package safetensors
