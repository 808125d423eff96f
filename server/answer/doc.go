// Package answer turns the token ids of one answer into what a client sees of it.
//
// A [Reader] is given the tokens one by one and hands out pieces: text, reasoning and tool calls, each with the tokens that
// made it where those are asked for. There is no other path, so that an answer is the same whether it is sent piece by
// piece or, by a [Collector], as a whole.
package answer
