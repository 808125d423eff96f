package structure

import "encoding/json"

// Request is what is asked of an answer.
type Request struct {
	// Format of the final message; nil for text.
	Format *Format
	// Tools that may be called, by the names that the model knows.
	Tools  []Tool
	Choice Choice
	// Closed says that there are tools which may not be called, though the model is shown them.
	Closed bool
	// Bare says that the answer is the format's text and its end, as that to a raw prompt, without headers and reasoning.
	Bare bool
}

// Choice says what calls there must be.
type Choice int

// The choices.
const (
	ChoiceAuto     Choice = iota // the model decides
	ChoiceRequired               // a call of one of the tools
	ChoiceNone                   // no call
)

// Format is the form of a final message: one of its fields is set.
type Format struct {
	Schema  json.RawMessage
	Pattern string   // a regular expression for all of it
	Choices []string // that it may be, word for word
}

// Tool is a function that may be called.
type Tool struct {
	Name   string
	Schema json.RawMessage // of the arguments; nil for none at all
	Strict bool
}

// ToolError says that the schema of a tool's arguments is not supported.
type ToolError struct {
	Tool int
	Err  error
}

// Error is that of the schema.
func (e *ToolError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong with the schema.
func (e *ToolError) Unwrap() error { return e.Err }

// FormatError says that the format of the final message is not supported.
type FormatError struct{ Err error }

// Error is that of the format.
func (e *FormatError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong with the format.
func (e *FormatError) Unwrap() error { return e.Err }

// anyObject and noArguments are the schemas of arguments where there is none.
var (
	anyObject   = json.RawMessage(`{"type":"object"}`)
	noArguments = json.RawMessage(`{"type":"object","properties":{},"additionalProperties":false}`)
)

// constrains reports whether there is anything to hold the model to.
func (r *Request) constrains() bool {
	if r.Format != nil || r.Closed || r.Choice == ChoiceRequired || r.Choice == ChoiceNone {
		return true
	}
	for _, t := range r.Tools {
		if t.Strict {
			return true
		}
	}
	return false
}

// demanding reports whether the turn is of use only with what follows the reasoning.
func (r *Request) demanding() bool { return !r.Bare && (r.Format != nil || r.Choice == ChoiceRequired) }
