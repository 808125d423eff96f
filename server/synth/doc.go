// Package synth is the command that makes a model of any shape with seeded random weights, so that anyone can measure
// speed and memory without the real ones. [Run] is the command, flags, progress and exit status included.
package synth
