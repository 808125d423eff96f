// Package client has OpenAI's own client for Go use the Responses API. It is apart from server/responses because the client
// is so large that fuzzing beside it would take minutes to build.
package client
