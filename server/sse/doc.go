// Package sse writes server-sent events: each is flushed, a silent stream shows life, and a reader who left is noticed.
package sse
