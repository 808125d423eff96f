// Package reference is the slow, obvious forward pass of gpt-oss in float32: what every faster one is measured against.
//
// It follows OpenAI's and Hugging Face's PyTorch implementations operation by operation and is checked against numbers
// recorded from them (testdata, written by hack/golden). Read block.go from top to bottom, then model.go. Shapes are
// given in comments: T tokens of one chunk, H hidden, Q query heads, G key/value heads, D head size, E experts.
package reference
