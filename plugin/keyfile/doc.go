// Package keyfile changes the file of API keys that a Secret holds: a key a line, or a JSON object whose "keys" are records, as
// docs/access.md describes. It adds a new key beside an old one and later removes the old one, and can tell from a mark
// that holds no secret how far a rotation has come. No error repeats a key.
package keyfile
