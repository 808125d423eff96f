// Package audit keeps the record of who asked for what, and of everything that touches access: one JSON object a line, to
// stdout or to a file that rotates.
//
// [Log.Record] never waits. Records are written by one goroutine behind a bounded queue; while they cannot be written, as
// on a full disk, the writer tries again every second, nothing that was queued is lost, and what no longer fits is counted,
// logged and told by [Log.Failing]. Keys never appear; prompts and answers do only where somebody asked for that.
package audit
