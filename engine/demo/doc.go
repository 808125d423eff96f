// Package demo carries the demo model: a small network of exactly the gpt-oss architecture with seeded random weights,
// shaped so that it speaks a few honest sentences in valid Harmony. hack/demo-model writes its files.
package demo
