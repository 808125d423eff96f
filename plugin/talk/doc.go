// Package talk is a client of the OpenAI API as far as the hand tool needs one: it streams one chat completion, says what arrived
// and when, and asks whether a key is accepted. Nothing that it returns repeats a key.
package talk
