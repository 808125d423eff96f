// Package demo carries the demo model: a small network of exactly the gpt-oss architecture, trained by this project on
// texts that it generated. It talks about a small world, thinks aloud and calls tools; docs/demo-model.md is its card.
// hack/demo-model trains and measures it.
package demo
