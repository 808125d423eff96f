// Package engine turns prompt tokens into generated tokens.
//
// An [Engine] owns one model. Requests arrive through [Engine.Submit], wait in a
// bounded first-in-first-out queue and are run by a single goroutine, the step
// loop, which is the only one that touches the model. Generated tokens leave
// through the request's [Stream], which has room for every token the request may
// produce, so a slow or vanished consumer never holds up the loop. Cancelling the
// context given to Submit ends the request within one step, wherever it is.
//
// The package knows token ids only: no text, no HTTP, no wire types.
package engine
