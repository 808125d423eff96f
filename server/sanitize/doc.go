// Package sanitize makes text of users harmless for those who show it to others: script elements are removed, HTML is
// escaped, and characters that nobody sees but the model reads are taken out.
//
// What it does not do is look for role markers such as "<|start|>system". They need no help: text of users is encoded
// without looking for special tokens, so the model never takes them for anything but text, and escaping spells "<|" as
// "&lt;|" besides. A line that begins with "system:" is left alone as well. It has no effect on the structure of a
// conversation, and transcripts and questions about prompts are full of them.
package sanitize
