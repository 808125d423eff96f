// Package engine turns prompt tokens into generated tokens, for many requests at once.
//
// An [Engine] owns one model. Requests arrive through [Engine.Submit] and are run by a single goroutine, the step loop,
// which is the only one that touches the model. For each step [sched.Scheduler] decides which requests run and which pages
// of keys and values they own, [cpu.Model] computes their tokens together, and each request's own [sample.Sampler] draws
// its next token. A request gets the same tokens whatever runs beside it.
//
// Generated tokens leave through the request's [Stream], which has room for every token the request may produce, so a slow
// or vanished consumer never holds up the loop. Cancelling the context given to Submit ends the request, and frees its
// memory, within one step, wherever it is.
//
// The package knows token ids only: no text, no HTTP, no wire types.
package engine
