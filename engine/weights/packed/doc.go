// Package packed reads and writes our own model file: a container of named sections that begin at multiples of 64 KiB,
// so that a mapping of the file can be computed with in place. It knows nothing of what the sections hold.
//
//	byte 0      head: magic, version, where the directory lies, length of the file, two SHA-256; zeros up to 64 KiB
//	64 KiB      sections, one after the other, each followed by zeros up to the next multiple of 64 KiB
//	            directory: name, offset, length and SHA-256 of every section
//	            tail: magic, SHA-256 of the head
//
// All numbers are little-endian. The head's digest covers the directory's, and that covers every section: it is the
// digest of the whole file, and depends on nothing but the sections.
//
// Nobody sees a half-written file: [Create] writes to NAME.gptoss-part beside it, and [Writer.Commit] gives that the
// final name when everything, the head last, is on the disk. [Open] finds out about files that were cut short later, by
// a copy that was interrupted, from length, head and tail. Files are not trusted: every place and length is checked
// before it is used, and an error is one sentence.
package packed
