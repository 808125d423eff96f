// Package o200k holds OpenAI's o200k vocabulary and makes of it the tokenizer of
// gpt-oss.
//
// vocabulary.gz is o200k_base.tiktoken, which OpenAI publishes with tiktoken under
// the MIT licence in LICENSE.tiktoken, in another form: the lengths of all tokens in
// the order of their ranks, a byte each, then their bytes. hack/tokenizer-check
// makes it.
package o200k
