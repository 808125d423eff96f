package openai

import (
	"fmt"
	"net/http"
)

// Error types of the OpenAI API that this server uses.
const (
	TypeInvalidRequest = "invalid_request_error"
	TypeAuthentication = "authentication_error"
	TypePermission     = "permission_error"
	TypeNotFound       = "not_found_error"
	TypeRateLimit      = "rate_limit_error"
	TypeServer         = "server_error"
	TypeUnavailable    = "unavailable_error"
)

// Error codes: what programs compare.
const (
	CodeMissingField          = "missing_field"
	CodeInvalidJSON           = "invalid_json"
	CodeInvalidType           = "invalid_type"
	CodeInvalidValue          = "invalid_value"
	CodeUnsupported           = "unsupported_parameter"
	CodeBodyTooLarge          = "body_too_large"
	CodeContextLengthExceeded = "context_length_exceeded"
	CodeInvalidAPIKey         = "invalid_api_key"
	CodeInvalidTicket         = "invalid_ticket"
	CodeModelNotFound         = "model_not_found"
	CodeNotFound              = "not_found"
	CodeMethodNotAllowed      = "method_not_allowed"
	CodeQueueFull             = "queue_full"
	CodeModelNotLoaded        = "model_not_loaded"
	CodeShuttingDown          = "shutting_down"
	CodeInternal              = "internal_error"
)

// Error is what a client sees when a request fails: the body's "error" object and the status it travels with.
type Error struct {
	Status  int     `json:"-"`
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"` // null where no parameter is at fault
	Code    *string `json:"code"`  // a string or null, as the SDKs' types have it; never a number
}

// ErrorBody is the body of every failed request, and of an event that ends a stream early.
type ErrorBody struct {
	Error *Error `json:"error"`
}

// Error is the message, for logs.
func (e *Error) Error() string { return e.Message }

// NewError makes an Error; an empty param is null.
func NewError(status int, kind, code, param, message string) *Error {
	e := &Error{Status: status, Message: message, Type: kind, Code: &code}
	if param != "" {
		e.Param = &param
	}
	return e
}

// Invalid makes a 400 about a parameter.
func Invalid(code, param, format string, args ...any) *Error {
	return NewError(http.StatusBadRequest, TypeInvalidRequest, code, param, fmt.Sprintf(format, args...))
}
