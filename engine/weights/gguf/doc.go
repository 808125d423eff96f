// Package gguf reads the container of ggml's model files, versions 2 and 3, and writes version 3: metadata and the
// directory of tensors.
//
// [Read] takes the head of a file only and never the tensors' data. The file is not trusted: counts, lengths, types,
// shapes and places are checked against the size of the file before anything is allocated for them, so a hostile file
// costs no more memory than the head that it really has, and an error is one sentence. [Head] makes such a head. The package knows nothing of
// gpt-oss and imports the standard library only. Format: docs/gguf.md of ggml-org/ggml, types: ggml.h.
package gguf
