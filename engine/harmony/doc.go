// Package harmony speaks the conversation format of gpt-oss: it renders a
// [Conversation] to token ids and parses generated token ids back.
//
// Both directions work on ids, never on one string that is tokenised again: what
// a user writes cannot become a control token, and what the model generates as a
// control token cannot leak into text. Rendering equals OpenAI's openai-harmony
// library 0.0.8 token for token. Parsing agrees with it on well-formed output
// and, where the library raises an error, recovers as much as can be told apart:
// a [Parser] never fails.
package harmony
