package openai

import (
	"encoding/json"
)

const (
	// defaultTextTokens is OpenAI's default of max_tokens for raw completions.
	defaultTextTokens = 16
	maxPromptIDs      = 1 << 20 // beyond any context
)

// TextRequest is a checked POST /v1/completions: a prompt that is continued as it is.
type TextRequest struct {
	Model   string
	Prompts []Prompt // at least one
	Sampling
	Streaming
	// BestOf is how many answers are made for each prompt, of which the N likeliest are given; at least N.
	BestOf int
	// Echo puts the prompt before the answer. Without a token to generate, it is the answer.
	Echo bool
	// Logprobs asks for the log probabilities of the tokens and of so many alternatives; nil for none.
	Logprobs *int
	// ShowControl has control tokens appear in the answer by their names.
	ShowControl bool
	// Format is what each answer must look like; nil for whatever comes.
	Format *Format
	// CacheSalt is that of a ChatRequest.
	CacheSalt string
	// Ignored names the parameters that were given and have no effect.
	Ignored []string
}

// Prompt is a text or a list of token ids.
type Prompt struct {
	Text string
	// Plain says that names of control tokens in Text are ordinary text.
	Plain bool
	IDs   []int32 // where they are given in place of Text
}

var unsupportedTextParameters = []unsupported{
	{"suffix", among(`""`), "the model does not fill in the middle"},
	{"prompt_logprobs", never, "log probabilities of the prompt are not measured"},
	{"prompt_embeds", never, "use prompt"},
	{"use_beam_search", among("false"), "use n"},
	{"length_penalty", among("1", "1.0"), "there is no beam search"},
	{"bad_words", among("[]"), "use logit_bias"},
	{"allowed_token_ids", never, "use logit_bias"},
	{"logits_processors", among("[]"), "use logit_bias"},
	{"truncate_prompt_tokens", never, "shorten the prompt"},
	{"include_stop_str_in_output", among("false"), "a stop sequence is never part of the answer"},
	{"guided_grammar", never, "use response_format or guided_regex"},
	{"grammar", never, "use response_format or guided_regex"},
	{"json_schema", never, "use response_format"},
}

var ignoredTextParameters = []accepted{
	{"user", isString},
	{"priority", isInteger},
	{"request_id", isString},
	{"session_id", isString},
	{"add_special_tokens", isBool},
	{"spaces_between_special_tokens", isBool},
}

// DecodeTextRequest reads and checks a request body. The error is an *Error with status 400.
func DecodeTextRequest(body []byte) (TextRequest, error) {
	d := &decoder{}
	o := d.document(body)
	r := TextRequest{Model: o.requireString("model")}
	r.Prompts = decodePrompts(o)
	r.Echo = o.bool("echo", false)
	if raw, ok := o.get("max_tokens"); ok && r.Echo && string(raw) == "0" {
		delete(o.fields, "max_tokens") // the only place where none are wanted
		r.MaxTokens = new(0)
	}
	none := r.MaxTokens
	r.Sampling = decodeSampling(o)
	switch {
	case none != nil:
		r.MaxTokens = none
	case r.MaxTokens == nil:
		r.MaxTokens = new(max(defaultTextTokens, r.MinTokens))
	}
	r.Streaming = decodeStreaming(o)
	decodeTextLogprobs(o, &r)
	decodeBestOf(o, &r)
	r.ShowControl = !o.bool("skip_special_tokens", true)
	r.Format = decodeFormat(o)
	r.CacheSalt = decodeSalt(o)
	r.Ignored = ignored(o, ignoredTextParameters)
	refuseUnsupported(o, unsupportedTextParameters)
	if d.err != nil {
		return TextRequest{}, d.err
	}
	return r, nil
}

func decodeTextLogprobs(o object, r *TextRequest) {
	if n := o.integer("logprobs", 0, maxTopLogprobs); n != nil {
		r.Logprobs = new(int(*n))
	}
	if r.Echo && r.Logprobs != nil {
		refuse(o, "logprobs", "with echo, those of the prompt would be among them, which are not measured")
	}
}

func decodeBestOf(o object, r *TextRequest) {
	r.BestOf = max(r.N, 1)
	n := o.integer("best_of", 1, maxChoices)
	if n == nil {
		return
	}
	if int(*n) < r.BestOf {
		o.d.fail(CodeInvalidValue, "best_of", "Invalid value for 'best_of': must not be less than n, %d.", r.BestOf)
	}
	if r.Stream && int(*n) > r.BestOf {
		o.d.fail(CodeInvalidValue, "best_of", "Invalid value for 'best_of': the best answers are only known at the end, so they cannot be streamed.")
	}
	r.BestOf = int(*n)
}

// decodePrompts reads a text, a list of texts, a list of token ids or a list of such lists.
func decodePrompts(o object) []Prompt {
	raw, ok := o.require("prompt")
	if !ok {
		return nil
	}
	plain := !o.bool("parse_special", true)
	const want = "a string, an array of strings, an array of token ids or an array of such arrays"
	if raw[0] == '"' {
		return []Prompt{o.d.textPrompt(raw, "prompt", plain)}
	}
	list := o.d.asList(raw, "prompt", want)
	if o.d.err == nil && len(list) == 0 {
		o.d.fail(CodeInvalidValue, "prompt", "Invalid value for 'prompt': must not be empty.")
	}
	if o.d.err != nil {
		return nil
	}
	if isNumber(list[0]) {
		return []Prompt{o.d.idPrompt(list, "prompt")}
	}
	if len(list) > maxChoices {
		o.d.fail(CodeInvalidValue, "prompt", "Invalid value for 'prompt': at most %d prompts are allowed, not %d.", maxChoices, len(list))
		return nil
	}
	prompts := make([]Prompt, 0, len(list))
	for i, item := range list {
		at := index("prompt", i)
		if item[0] == '[' {
			prompts = append(prompts, o.d.idPrompt(o.d.asList(item, at, want), at))
		} else {
			prompts = append(prompts, o.d.textPrompt(item, at, plain))
		}
	}
	return prompts
}

func (d *decoder) textPrompt(raw json.RawMessage, path string, plain bool) Prompt {
	text := d.asString(raw, path)
	if text == "" {
		d.fail(CodeInvalidValue, path, "Invalid value for '%s': must not be empty.", path)
	}
	return Prompt{Text: text, Plain: plain}
}

func (d *decoder) idPrompt(list []json.RawMessage, path string) Prompt {
	if d.err == nil && (len(list) == 0 || len(list) > maxPromptIDs) {
		d.fail(CodeInvalidValue, path, "Invalid value for '%s': must have 1 to %d token ids.", path, maxPromptIDs)
	}
	return Prompt{IDs: d.asIDs(list, path)}
}

// TextCompletion is the answer of POST /v1/completions, and each of its events.
type TextCompletion struct {
	ID      string       `json:"id"`
	Object  string       `json:"object"` // "text_completion"
	Created int64        `json:"created"`
	Model   string       `json:"model"`
	Choices []TextChoice `json:"choices"`
	Usage   *ChunkUsage  `json:"usage,omitempty"`
	Origin
}

// TextChoice is one answer, or what an event adds to it.
type TextChoice struct {
	Index        int           `json:"index"`
	Text         string        `json:"text"`
	Logprobs     *TextLogprobs `json:"logprobs"` // null unless asked for
	FinishReason *FinishReason `json:"finish_reason"`
}

// TextLogprobs are the tokens of a text, in lists of equal length.
type TextLogprobs struct {
	Tokens        []string             `json:"tokens"` // "bytes:\xe2\x82" for one that is no whole characters
	TokenLogprobs []*float64           `json:"token_logprobs"`
	TopLogprobs   []map[string]float64 `json:"top_logprobs"`
	TextOffset    []int                `json:"text_offset"` // in characters
}

// TokenizeRequest is a checked POST /tokenize: a text, or a conversation as it is rendered for the model.
type TokenizeRequest struct {
	Model  string // may be empty
	Prompt Prompt
	Chat   *ChatRequest // where messages are given
	// Spell asks for the tokens' texts beside their ids.
	Spell bool
}

// DecodeTokenizeRequest reads vLLM's shape, and llama.cpp's, in which the text is the content.
func DecodeTokenizeRequest(body []byte) (TokenizeRequest, error) {
	d := &decoder{}
	o := d.document(body)
	r := TokenizeRequest{Model: o.string("model"), Spell: o.bool("return_token_strs", false) || o.bool("with_pieces", false)}
	_ = o.bool("add_special_tokens", true) // there are none to add to a raw text
	if _, ok := o.get("messages"); ok {
		if r.Model == "" { // which only here may be left out
			o.fields["model"] = json.RawMessage(`"-"`)
		}
		chat := o.chat()
		chat.Model, r.Chat = r.Model, &chat
	} else {
		name := "prompt"
		if _, ok := o.get("content"); ok {
			name = "content"
		}
		if raw, ok := o.require(name); ok {
			r.Prompt = Prompt{Text: d.asString(raw, name), Plain: !o.bool("parse_special", true)}
		}
	}
	if d.err != nil {
		return TokenizeRequest{}, d.err
	}
	return r, nil
}

// Tokenized is the answer of POST /tokenize.
type Tokenized struct {
	Count       int      `json:"count"`
	MaxModelLen int      `json:"max_model_len"`
	Tokens      []int32  `json:"tokens"`
	TokenStrs   []string `json:"token_strs"` // null unless asked for
}

// DetokenizeRequest is a checked POST /detokenize.
type DetokenizeRequest struct {
	Model  string // may be empty
	Tokens []int32
}

// DecodeDetokenizeRequest reads the shape that vLLM and llama.cpp share.
func DecodeDetokenizeRequest(body []byte) (DetokenizeRequest, error) {
	d := &decoder{}
	o := d.document(body)
	r := DetokenizeRequest{Model: o.string("model")}
	if _, ok := o.require("tokens"); ok {
		r.Tokens = decodeIDs(o, "tokens", maxPromptIDs)
	}
	if d.err != nil {
		return DetokenizeRequest{}, d.err
	}
	return r, nil
}

// Detokenized is the answer of POST /detokenize, under the names that vLLM and llama.cpp give to the text.
type Detokenized struct {
	Prompt  string `json:"prompt"`
	Content string `json:"content"`
}

// Rendered is the prompt that a chat request would have become.
type Rendered struct {
	Object      string  `json:"object"` // "chat.completion.render"
	Model       string  `json:"model"`
	Prompt      string  `json:"prompt"` // with control tokens by their names
	TokenIDs    []int32 `json:"token_ids"`
	Count       int     `json:"count"`
	MaxModelLen int     `json:"max_model_len"`
}
