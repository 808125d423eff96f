package harmony

import "encoding/json"

// Role is who wrote a message.
type Role string

// The roles.
const (
	RoleSystem    Role = "system"
	RoleDeveloper Role = "developer"
	RoleUser      Role = "user"
	RoleAssistant Role = "assistant"
	RoleTool      Role = "tool"
)

// The channels that the model is told to use.
const (
	ChannelAnalysis   = "analysis"   // reasoning
	ChannelCommentary = "commentary" // tool calls, and preambles to them
	ChannelFinal      = "final"      // the answer
)

// Conversation is what the model is to continue.
type Conversation struct {
	Messages []Message
	// Reasoning says which earlier analysis messages are left out.
	Reasoning ReasoningPolicy
}

// ReasoningPolicy says which analysis messages of a conversation are rendered.
type ReasoningPolicy int

const (
	// DropFinished drops analysis before the last final message: reasoning of
	// finished turns goes, that of an open tool loop stays.
	DropFinished ReasoningPolicy = iota
	// DropFirst is the rule of OpenAI's library: if the last assistant message
	// is final, analysis before the first final message goes.
	DropFirst
	// KeepAll renders every message.
	KeepAll
)

// Message is one message of a conversation.
type Message struct {
	Role Role
	// Name of the author. A tool's message needs it, such as
	// "functions.get_weather"; it is optional for users and assistants.
	Name string
	// Recipient is empty for everybody, or the tool that an assistant calls, or
	// "assistant" for a tool's answer.
	Recipient string
	// Channel is empty for none.
	Channel string
	// ContentType is empty for text. The prefix "<|constrain|>" becomes the
	// control token of that name.
	ContentType string
	Content     []Content
}

// Content is a part of a message: [Text], [*System] or [*Developer].
type Content interface{ content() }

// Text is ordinary text.
type Text string

// System is the content of a system message. Empty fields are left out.
type System struct {
	ModelIdentity   string
	KnowledgeCutoff string // year and month
	CurrentDate     string // YYYY-MM-DD
	Effort          Effort
	Tools           []Namespace // built-in tools; see [Browser] and [Python]
	// Channels that the model may use; ChannelRequired asks for one on every
	// message.
	Channels        []string
	ChannelRequired bool
}

// NewSystem returns the system content that gpt-oss was trained with, at medium
// effort and without a date.
func NewSystem() *System {
	return &System{
		ModelIdentity:   "You are ChatGPT, a large language model trained by OpenAI.",
		KnowledgeCutoff: "2024-06",
		Effort:          EffortMedium,
		Channels:        []string{ChannelAnalysis, ChannelCommentary, ChannelFinal},
		ChannelRequired: true,
	}
}

// Effort is how long the model thinks before it answers.
type Effort string

// The efforts.
const (
	EffortLow    Effort = "low"
	EffortMedium Effort = "medium"
	EffortHigh   Effort = "high"
)

// Developer is the content of a developer message. Empty fields are left out.
type Developer struct {
	Instructions    string
	Tools           []Namespace // see [Functions]
	ResponseFormats []ResponseFormat
}

// Namespace is a group of tools.
type Namespace struct {
	Name        string
	Description string
	Tools       []Tool
}

// Tool is one function that the model may call.
type Tool struct {
	Name        string
	Description string
	// Parameters is a JSON schema whose keys are rendered in the order given;
	// nil or null for a function without parameters.
	Parameters json.RawMessage
}

// ResponseFormat is a named JSON schema for the answer.
type ResponseFormat struct {
	Name        string
	Description string
	Schema      json.RawMessage
}

// functionsNamespace holds the caller's own tools.
const functionsNamespace = "functions"

// Functions is the namespace of the caller's own tools.
func Functions(tools ...Tool) Namespace {
	return Namespace{Name: functionsNamespace, Tools: tools}
}

// NewMessage returns a message of plain text.
func NewMessage(role Role, text string) Message {
	return Message{Role: role, Content: []Content{Text(text)}}
}

// ToolResult returns what a function of the caller answered.
func ToolResult(name, output string) Message {
	return Message{
		Role:      RoleTool,
		Name:      functionsNamespace + "." + name,
		Recipient: string(RoleAssistant),
		Channel:   ChannelCommentary,
		Content:   []Content{Text(output)},
	}
}

// ToolCall returns an assistant's call of a function of the caller.
func ToolCall(name, arguments string) Message {
	return Message{
		Role:        RoleAssistant,
		Recipient:   functionsNamespace + "." + name,
		Channel:     ChannelCommentary,
		ContentType: "json",
		Content:     []Content{Text(arguments)},
	}
}

func (Text) content()       {}
func (*System) content()    {}
func (*Developer) content() {}
