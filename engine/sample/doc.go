// Package sample draws the next token from a model's logits.
//
// A [Sampler] belongs to one running request at a time: it carries the request's
// random state and the scratch memory, so that drawing a token allocates nothing.
package sample
