// Package pull downloads a model: from a repository of a Hugging-Face-compatible endpoint, or one file from a URL.
//
// [Fetch] lists what is on offer, at one commit, and compares it with the target folder. What is missing comes in over
// several connections, each reading a piece of a file into NAME.gptoss-part; NAME.gptoss-state beside it says which
// bytes are there, so that a download goes on after any kind of end. A file counts only when its SHA-256 (or the git
// blob SHA-1 of a small file) is the announced one. When all are there they are renamed into place together, and
// .gptoss-pull.json, the manifest, is written: a folder with a manifest is complete.
//
// [Run] is the sub-command around it: flags, environment, progress, exit status.
//
// Server and listing are not trusted: names stay inside the target, every answer is bounded, and lengths and ranges
// must be those asked for. The token goes to the origin it is meant for and to no other, and into no log.
package pull
