// Package responses serves OpenAI's Responses API on top of chat requests.
//
// It translates and remembers; it does not run models. A create request becomes a [openai.ChatRequest] by being written as
// the JSON of one and read by [openai.DecodeChatRequest] (request.go, chat.go), so that whatever chat serves or refuses is
// served or refused here, with the names of this API in the errors. What the model adds comes back as pieces, out of which
// assemble.go makes output items and events; the response that is sent as a whole, the events of a stream and the response
// that is retrieved later are made by that one path.
//
// Finished responses are kept in memory (store.go) within bounds of number, bytes and age, and nobody but the tenant who
// made one can tell that it exists. Background responses run apart from the connection that began them (job.go).
package responses
