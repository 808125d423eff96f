package prompt

import (
	"regexp"
	"strings"
	"time"

	"github.com/gptoss/gptoss-operator/engine/harmony"
	"github.com/gptoss/gptoss-operator/server/openai"
)

// reasoningLine is how a system message sets the reasoning level: alone on a line.
var reasoningLine = regexp.MustCompile(`(?im)^[ \t]*reasoning:[ \t]*(low|medium|high)[ \t]*\r?$\n?`)

// Conversation lays a request out as the model knows conversations:
//
//   - A system message of our own names the date and the reasoning effort.
//   - A leading system or developer message becomes the developer message that also declares the tools; every later one
//     becomes a developer message in its place.
//   - An assistant's reasoning goes to the analysis channel, its calls to commentary, and its content to final, or to
//     commentary as a preamble where calls follow.
//   - A tool's answer bears the name of the function whose call it answers.
//
// Names of functions are passed through names, since the model sees the tools as TypeScript.
func Conversation(r *openai.ChatRequest, effort string, now time.Time, names *Names) harmony.Conversation {
	system := harmony.NewSystem()
	system.CurrentDate = now.UTC().Format(time.DateOnly)
	system.Effort = harmony.Effort(effort)
	if r.ModelIdentity != "" {
		system.ModelIdentity = r.ModelIdentity
	}
	out := []harmony.Message{{Role: harmony.RoleSystem, Content: []harmony.Content{system}}}

	messages := r.Messages
	front := &harmony.Developer{Tools: declareTools(r, names), ResponseFormats: responseFormats(r)}
	if isInstruction(messages[0]) {
		front.Instructions = withoutReasoningLine(messages[0].Content)
		messages = messages[1:]
	}
	if front.Instructions != "" || len(front.Tools)+len(front.ResponseFormats) > 0 {
		out = append(out, developer(front))
	}
	called := map[string]string{} // call id → function, as the model knows it
	for _, m := range messages {
		switch {
		case isInstruction(m):
			if text := withoutReasoningLine(m.Content); text != "" {
				out = append(out, developer(&harmony.Developer{Instructions: text}))
			}
		case m.Role == openai.RoleAssistant:
			out = appendAssistant(out, m, names, called)
		case m.Role == openai.RoleTool:
			out = append(out, harmony.ToolResult(called[m.ToolCallID], m.Content))
		default:
			user := harmony.NewMessage(harmony.RoleUser, m.Content)
			user.Name = identifier(m.Name)
			out = append(out, user)
		}
	}
	return harmony.Conversation{Messages: out}
}

func isInstruction(m openai.Message) bool {
	return m.Role == openai.RoleSystem || m.Role == openai.RoleDeveloper
}

func developer(d *harmony.Developer) harmony.Message {
	return harmony.Message{Role: harmony.RoleDeveloper, Content: []harmony.Content{d}}
}

// declareTools gives the model the request's tools; tool_choice none hides them.
func declareTools(r *openai.ChatRequest, names *Names) []harmony.Namespace {
	if len(r.Tools) == 0 || r.ToolChoice == openai.ToolChoiceNone {
		return nil
	}
	var tools []harmony.Tool
	for _, t := range r.Tools {
		tools = append(tools, harmony.Tool{Name: names.ToModel(t.Name), Description: t.Description, Parameters: t.Parameters})
	}
	return []harmony.Namespace{harmony.Functions(tools...)}
}

func appendAssistant(out []harmony.Message, m openai.Message, names *Names, called map[string]string) []harmony.Message {
	say := func(channel, text string) {
		if text != "" {
			message := harmony.NewMessage(harmony.RoleAssistant, text)
			message.Channel = channel
			out = append(out, message)
		}
	}
	say(harmony.ChannelAnalysis, m.Reasoning)
	if len(m.ToolCalls) == 0 {
		say(harmony.ChannelFinal, m.Content)
		return out
	}
	say(harmony.ChannelCommentary, m.Content)
	for _, c := range m.ToolCalls {
		name := names.ToModel(c.Function.Name)
		called[c.ID] = name
		out = append(out, harmony.ToolCall(name, c.Function.Arguments))
	}
	return out
}

// Effort picks the level: a parameter wins over the text of a system message, and the last such text over
// earlier ones.
func Effort(r *openai.ChatRequest, fallback string) string {
	for _, level := range []string{r.ReasoningLevel, r.ReasoningEffort, r.ReasoningObjectEffort, r.ReasoningTemplateEffort} {
		if level != "" {
			return level
		}
	}
	level := fallback
	for _, m := range r.Messages {
		if !isInstruction(m) {
			continue
		}
		if found := reasoningLine.FindAllStringSubmatch(m.Content, -1); found != nil {
			level = strings.ToLower(found[len(found)-1][1])
		}
	}
	return level
}

// withoutReasoningLine removes what the system message says in its own way; left in, it could contradict a parameter.
func withoutReasoningLine(text string) string {
	if !reasoningLine.MatchString(text) {
		return text
	}
	return strings.TrimSpace(reasoningLine.ReplaceAllString(text, ""))
}

// responseFormats tells the model of the schema that its answer will have, where that has a name.
func responseFormats(r *openai.ChatRequest) []harmony.ResponseFormat {
	if r.Format == nil || r.Format.Name == "" {
		return nil
	}
	return []harmony.ResponseFormat{{Name: r.Format.Name, Description: r.Format.Description, Schema: r.Format.Schema}}
}
