package audit

import (
	"strings"
	"time"
)

// Kind is what a record is about.
type Kind string

// The kinds of records.
const (
	KindRequest              Kind = "request"
	KindAuthenticationFailed Kind = "authentication_failed" // 401
	KindPermissionDenied     Kind = "permission_denied"     // 403
	KindKeysReloaded         Kind = "keys_reloaded"
	KindKeysUnreadable       Kind = "keys_unreadable"
	KindCertificateReloaded  Kind = "certificate_reloaded"
	KindStarted              Kind = "started"
	KindStopped              Kind = "stopped"
)

// Record is one line. Empty fields are left out.
type Record struct {
	Time             time.Time `json:"time"`
	Kind             Kind      `json:"kind"`
	RequestID        string    `json:"request_id,omitempty"`
	CompletionID     string    `json:"completion_id,omitempty"`
	TraceID          string    `json:"trace_id,omitempty"`
	Identity         string    `json:"identity,omitempty"` // whose key or token it was; never the key
	Auth             string    `json:"auth,omitempty"`     // how that was proved: key or jwt
	From             string    `json:"from,omitempty"`     // address
	Method           string    `json:"method,omitempty"`
	Path             string    `json:"path,omitempty"` // without the query: some clients put keys there
	Model            string    `json:"model,omitempty"`
	PromptTokens     int       `json:"prompt_tokens,omitempty"`
	CompletionTokens int       `json:"completion_tokens,omitempty"`
	CachedTokens     int       `json:"cached_tokens,omitempty"`
	Outcome          string    `json:"outcome,omitempty"`
	Status           int       `json:"status,omitempty"`
	FinishReason     string    `json:"finish_reason,omitempty"`
	DurationMS       float64   `json:"duration_ms,omitempty"`
	Detail           string    `json:"detail,omitempty"` // of what is not a request
	// Request and Response are bodies, where content is asked for; Clipped says that they were longer.
	Request  string `json:"request,omitempty"`
	Response string `json:"response,omitempty"`
	Clipped  bool   `json:"clipped,omitempty"`
}

// MaxContent is the most bytes of a body that a record holds.
const MaxContent = 64 << 10

// Body collects what passes of a body, up to MaxContent bytes. Its zero value is ready for use.
type Body struct {
	text    strings.Builder
	Clipped bool
}

// Write takes all of p and keeps what still fits.
func (b *Body) Write(p []byte) (int, error) {
	fits := min(MaxContent-b.text.Len(), len(p))
	b.text.Write(p[:fits])
	b.Clipped = b.Clipped || fits < len(p)
	return len(p), nil
}

// String is valid UTF-8.
func (b *Body) String() string { return strings.ToValidUTF8(b.text.String(), "\uFFFD") }
