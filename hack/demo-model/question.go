package main

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"os"

	"github.com/gptoss/gptoss-operator/engine/harmony"
)

// question is a conversation up to the model's turn, and the only answer that counts as right.
type question struct {
	Kind     string    `json:"kind"`
	Effort   string    `json:"effort"`
	Date     string    `json:"date"`
	Tools    []tool    `json:"tools"`
	Messages []message `json:"messages"`
	// Prompt is the CRC-32 of the prompt's token ids (little-endian int32) as training rendered them.
	Prompt uint32 `json:"prompt"`
	Want   want   `json:"want"`
}

type tool struct {
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Parameters  json.RawMessage `json:"parameters"`
}

type message struct {
	Role      string `json:"role"`
	Content   string `json:"content"`
	Reasoning string `json:"reasoning"`
	Tool      string `json:"tool"`
	Arguments string `json:"arguments"`
}

// want is either an answer or a call.
type want struct {
	Answer    string `json:"answer"`
	Tool      string `json:"tool"`
	Arguments string `json:"arguments"`
}

func (q *question) isCall() bool { return q.Want.Tool != "" }

func readQuestions(name string) (questions []question, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var q question
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", name, len(questions)+1, err)
		}
		questions = append(questions, q)
	}
	return questions, lines.Err()
}

// thin keeps every n-th question, so that at most limit are left, spread over all kinds.
func thin(questions []question, limit int) []question {
	if limit <= 0 || limit >= len(questions) {
		return questions
	}
	step := (len(questions) + limit - 1) / limit
	var kept []question
	for i := 0; i < len(questions); i += step {
		kept = append(kept, questions[i])
	}
	return kept
}

// conversation is what the server makes of the same request.
func (q *question) conversation() harmony.Conversation {
	system := harmony.NewSystem()
	system.CurrentDate, system.Effort = q.Date, harmony.Effort(q.Effort)
	out := []harmony.Message{{Role: harmony.RoleSystem, Content: []harmony.Content{system}}}
	front := &harmony.Developer{}
	messages := q.Messages
	if messages[0].Role == "developer" {
		front.Instructions, messages = messages[0].Content, messages[1:]
	}
	if len(q.Tools) > 0 {
		var tools []harmony.Tool
		for _, t := range q.Tools {
			tools = append(tools, harmony.Tool{Name: t.Name, Description: t.Description, Parameters: t.Parameters})
		}
		front.Tools = []harmony.Namespace{harmony.Functions(tools...)}
	}
	if front.Instructions != "" || front.Tools != nil {
		out = append(out, harmony.Message{Role: harmony.RoleDeveloper, Content: []harmony.Content{front}})
	}
	for _, m := range messages {
		out = m.appendTo(out)
	}
	return harmony.Conversation{Messages: out}
}

func (m *message) appendTo(out []harmony.Message) []harmony.Message {
	said := func(channel, text string) harmony.Message {
		s := harmony.NewMessage(harmony.RoleAssistant, text)
		s.Channel = channel
		return s
	}
	switch {
	case m.Role == "user":
		return append(out, harmony.NewMessage(harmony.RoleUser, m.Content))
	case m.Role == "tool":
		return append(out, harmony.ToolResult(m.Tool, m.Content))
	case m.Tool == "":
		return append(out, said(harmony.ChannelFinal, m.Content))
	case m.Reasoning != "":
		out = append(out, said(harmony.ChannelAnalysis, m.Reasoning))
	}
	return append(out, harmony.ToolCall(m.Tool, m.Arguments))
}

// checksum is the CRC-32 of ids as little-endian int32.
func checksum(ids []int32) uint32 {
	var b []byte
	for _, id := range ids {
		b = binary.LittleEndian.AppendUint32(b, uint32(id))
	}
	return crc32.ChecksumIEEE(b)
}
