// Package tokenizer turns text into token ids and back: byte-level byte-pair
// encoding, read from a Hugging Face tokenizer.json, the metadata of a GGUF file or
// a tiktoken file. Package o200k holds the vocabulary of gpt-oss.
//
// Encoding treats all text as ordinary: a special token written in it is encoded
// letter by letter, and no input can produce a special token's id. Bytes that are
// no valid UTF-8 are encoded as they are, each counting as a symbol for the
// splitter, so that the tokens of any string decode to that very string. Time is
// O(n log n) in the length of the text, whatever it holds.
package tokenizer
