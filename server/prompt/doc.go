// Package prompt lays a chat request out as a conversation in the model's own format.
package prompt
