// Package inspect is the command that tells what a checkpoint is without reading its tensors: configuration, shapes,
// parameters, bytes, and the memory that serving it takes. [Run] is the command, flags and exit status included.
package inspect
