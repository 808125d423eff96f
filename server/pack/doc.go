// Package pack is the command that rewrites a model of any layout, once, into a file that the server maps and computes with
// as it is. [Run] is the command, flags, progress and exit status included; [Write] packs for other
// commands.
package pack
