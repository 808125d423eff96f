// Package model says what a gpt-oss model is: its hyper-parameters, the tensors they imply, and the bytes those take.
//
// A [Config] comes from a Hugging Face config.json through [ParseConfig] or from a [Preset]. Every Config that passed
// [Config.Validate] is within bounds that keep all arithmetic of this package inside int64, so the operator and the
// engine can size memory from untrusted files. The package imports the standard library only.
package model
