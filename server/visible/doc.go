// Package visible decides what of an answer's text is shown, and which tokens made it.
//
// A [Stop] ends the text at a stop sequence, an [Aligner] finds the tokens of what came out of it.
package visible
