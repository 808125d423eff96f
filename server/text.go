package server

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gptoss/gptoss-operator/engine/tokenizer"
	"github.com/gptoss/gptoss-operator/server/answer"
	"github.com/gptoss/gptoss-operator/server/openai"
	"github.com/gptoss/gptoss-operator/server/sse"
)

// text answers POST /v1/completions: prompts are continued as they are, and what comes is shown as it is.
func (s *Server) text(w http.ResponseWriter, r *http.Request) error {
	body, err := s.readBody(w, r)
	if err != nil {
		return err
	}
	request, err := openai.DecodeTextRequest(body)
	if err != nil {
		return err
	}
	noteOf(r).model = request.Model
	if err := s.CheckModel(request.Model); err != nil {
		return err
	}
	s.metrics.Ignore(request.Ignored)
	j, echoes, err := s.textJob(r.Context(), noteOf(r).tenant(), &request)
	if err != nil {
		return err
	}
	return s.work(r, j, func(ctx context.Context) error {
		if request.Stream {
			s.streamed(w, r, openaiStream, func(events *sse.Writer) error { return s.streamText(ctx, events, &request, j, echoes) })
			return nil
		}
		return s.answerText(ctx, w, &request, j, echoes)
	})
}

// textJob lays out what the engine is to do, and returns what precedes the answers to each prompt.
func (s *Server) textJob(ctx context.Context, tenant string, r *openai.TextRequest) (j *job, echoes []string, err error) {
	m := s.model.Load()
	if m.Vocabulary == nil {
		return nil, nil, openai.Invalid(openai.CodeUnsupported, "prompt", "Unsupported parameter: 'prompt' is not available with this model.")
	}
	if err := s.checkSampling(&r.Sampling, m); err != nil {
		return nil, nil, err
	}
	if err := s.checkChoices("best_of", r.BestOf); err != nil {
		return nil, nil, err
	}
	if err := s.checkChoices("prompt", r.BestOf*len(r.Prompts)); err != nil {
		return nil, nil, err
	}
	plan, err := m.Structure.Text(ctx, r.Format)
	if ctx.Err() != nil {
		return nil, nil, errClientGone
	}
	if err != nil {
		return nil, nil, err
	}
	var words answer.Vocabulary = m.Vocabulary
	if r.ShowControl {
		words = answer.Literal{Vocabulary: words}
	}
	j = s.newJob(m, "cmpl-", "prompt")
	for i, p := range r.Prompts {
		p.Text = s.clean(p.Text)
		ids, err := readPrompt(m, p, promptPath(i, len(r.Prompts)))
		if err != nil {
			return nil, nil, err
		}
		if len(ids) >= m.ContextLength {
			return nil, nil, tooLong("prompt", len(ids), m.ContextLength)
		}
		echo := ""
		if r.Echo {
			echo = textOf(words, ids)
		}
		echoes = append(echoes, echo)
		e := s.engineRequest(&r.Sampling, m, ids)
		e.Tenant, e.Salt, e.Logprobs = tenant, r.CacheSalt, r.Logprobs
		if e.Logprobs == nil && r.BestOf > max(r.N, 1) {
			e.Logprobs = new(0)
		}
		j.add(r.BestOf, e, answer.Config{Words: words, Stop: r.Stop, StopTokens: r.StopTokenIDs, Track: r.Logprobs != nil},
			func() answer.Parser { return answer.NewPlain(words, m.Encoder.StopTokens()) })
	}
	j.hold(plan)
	j.idle = *r.MaxTokens == 0
	return j, echoes, nil
}

func promptPath(i, n int) string {
	if n == 1 {
		return "prompt"
	}
	return "prompt[" + strconv.Itoa(i) + "]"
}

// readPrompt turns a prompt into token ids. The names of control tokens in a text mean those tokens, unless the request
// says otherwise: who sends a raw prompt to a model with a format of its own has laid the whole of it out, as with vLLM
// and llama.cpp, and could not say anything else than text without them.
func readPrompt(m *Model, p openai.Prompt, param string) ([]int32, error) {
	if p.IDs != nil {
		return p.IDs, checkIDs(param, p.IDs, m.Vocabulary.Size())
	}
	if p.Plain {
		return m.Vocabulary.Append(nil, p.Text), nil
	}
	return readControl(m.Vocabulary, p.Text), nil
}

// maxControlName is more than the longest name of a control token has.
const maxControlName = 64

// readControl reads text in which control tokens are spelled by their names.
func readControl(words Vocabulary, text string) (ids []int32) {
	for at := 0; ; {
		begin := strings.Index(text[at:], "<|")
		if begin < 0 {
			return words.Append(ids, text)
		}
		begin += at
		name, _, found := strings.Cut(text[begin:min(begin+maxControlName, len(text))], "|>")
		name += "|>"
		id, known := words.Special(name)
		if !found || !known {
			at = begin + len("<|")
			continue
		}
		ids = append(words.Append(ids, text[:begin]), id)
		text, at = text[begin+len(name):], 0
	}
}

// textOf turns ids into text, without what is special in words.
func textOf(words answer.Vocabulary, ids []int32) string {
	var out strings.Builder
	var d tokenizer.Decoder
	for _, id := range ids {
		if !words.IsSpecial(id) {
			out.WriteString(d.Write(words.TokenBytes(id)))
		}
	}
	return out.String() + d.Flush()
}

// answerText collects the answers and gives the best of those to each prompt.
func (s *Server) answerText(ctx context.Context, w http.ResponseWriter, r *openai.TextRequest, j *job, echoes []string) error {
	all := make([]answer.Collector, len(j.choices))
	err := j.run(ctx, sink{
		piece:    func(i int, p answer.Piece) error { all[i].Add(p); return nil },
		finished: func(*choice) error { return nil },
	})
	if err != nil {
		return err
	}
	usage := j.usage()
	out := s.textCompletion(j)
	out.Usage = &openai.ChunkUsage{Usage: &usage}
	for prompt, echo := range echoes {
		made := slices.Clone(j.choices[prompt*r.BestOf : (prompt+1)*r.BestOf])
		if r.BestOf > max(r.N, 1) {
			slices.SortStableFunc(made, func(a, b *choice) int { return cmp.Compare(b.likelihood(), a.likelihood()) })
		}
		for _, c := range made[:max(r.N, 1)] {
			finish := c.reader.Finish()
			choice := openai.TextChoice{Index: len(out.Choices), Text: echo + all[c.index].Content(), FinishReason: &finish}
			if r.Logprobs != nil {
				choice.Logprobs = answer.NewTextLogprobs(j.model.Vocabulary, utf8.RuneCountInString(echo)).Take(all[c.index].Tokens())
			}
			out.Choices = append(out.Choices, choice)
		}
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// likelihood is the mean logarithm of the probability of a choice's tokens.
func (c *choice) likelihood() float64 { return c.logprob / float64(max(c.reader.Tokens(), 1)) }

func (s *Server) textCompletion(j *job) openai.TextCompletion {
	return openai.TextCompletion{
		ID: j.id, Object: "text_completion", Created: j.created, Model: s.options.ModelName(), Choices: []openai.TextChoice{}, Origin: j.origin,
	}
}

// streamText sends answers as they are made, for each its text and then the reason of its end.
func (s *Server) streamText(ctx context.Context, events *sse.Writer, r *openai.TextRequest, j *job, echoes []string) error {
	send := func(choice openai.TextChoice) error {
		event := s.textCompletion(j)
		event.Choices = append(event.Choices, choice)
		event.Usage = chunkUsage(&r.Streaming, j)
		return events.Send(event)
	}
	logprobs := make([]*answer.TextLogprobs, len(j.choices))
	for i := range j.choices {
		echo := echoes[i/r.BestOf]
		logprobs[i] = answer.NewTextLogprobs(j.model.Vocabulary, utf8.RuneCountInString(echo))
		if echo == "" {
			continue
		}
		if err := send(openai.TextChoice{Index: i, Text: echo}); err != nil {
			return err
		}
	}
	err := j.run(ctx, sink{
		piece: func(i int, p answer.Piece) error {
			choice := openai.TextChoice{Index: i, Text: *p.Content}
			if r.Logprobs != nil {
				choice.Logprobs = logprobs[i].Take(p.Tokens)
			}
			return send(choice)
		},
		finished: func(c *choice) error {
			finish := c.reader.Finish()
			return send(openai.TextChoice{Index: c.index, FinishReason: &finish})
		},
		quiet: events.Quiet(), alive: events.Comment,
	})
	if err != nil {
		return err
	}
	if r.IncludeUsage {
		usage, last := j.usage(), s.textCompletion(j)
		last.Usage = &openai.ChunkUsage{Usage: &usage}
		if err := events.Send(last); err != nil {
			return err
		}
	}
	return events.Done()
}

// tokenize answers POST /tokenize: the ids that a raw prompt, or a conversation, becomes.
func (s *Server) tokenize(w http.ResponseWriter, r *http.Request) error {
	body, err := s.readBody(w, r)
	if err != nil {
		return err
	}
	request, err := openai.DecodeTokenizeRequest(body)
	if err != nil {
		return err
	}
	m, err := s.spelling(request.Model)
	if err != nil {
		return err
	}
	var ids []int32
	if request.Chat != nil {
		ids, _, err = s.render(m, request.Chat)
	} else {
		ids, err = readPrompt(m, request.Prompt, "prompt")
	}
	if err != nil {
		return err
	}
	out := openai.Tokenized{Count: len(ids), MaxModelLen: m.ContextLength, Tokens: append([]int32{}, ids...)}
	if request.Spell {
		out.TokenStrs = make([]string, len(ids))
		for i, id := range ids {
			out.TokenStrs[i] = string(m.Vocabulary.TokenBytes(id)) // what is no character becomes U+FFFD on the wire
		}
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// detokenize answers POST /detokenize: the text of ids, control tokens by their names.
func (s *Server) detokenize(w http.ResponseWriter, r *http.Request) error {
	body, err := s.readBody(w, r)
	if err != nil {
		return err
	}
	request, err := openai.DecodeDetokenizeRequest(body)
	if err != nil {
		return err
	}
	m, err := s.spelling(request.Model)
	if err != nil {
		return err
	}
	if err := checkIDs("tokens", request.Tokens, m.Vocabulary.Size()); err != nil {
		return err
	}
	text := textOf(answer.Literal{Vocabulary: m.Vocabulary}, request.Tokens)
	writeJSON(w, http.StatusOK, openai.Detokenized{Prompt: text, Content: text})
	return nil
}

// spelling returns the model if it is the one that is named, or none is, and has words.
func (s *Server) spelling(model string) (*Model, error) {
	if model != "" {
		if err := s.CheckModel(model); err != nil {
			return nil, err
		}
	}
	m := s.model.Load()
	if m.Vocabulary == nil {
		return nil, openai.Invalid(openai.CodeUnsupported, "", "This model's vocabulary is not available.")
	}
	return m, nil
}

// renderChat answers POST /v1/chat/completions/render: the prompt that a chat request would become, without an answer.
func (s *Server) renderChat(w http.ResponseWriter, r *http.Request) error {
	body, err := s.readBody(w, r)
	if err != nil {
		return err
	}
	request, err := openai.DecodeChatRequest(body)
	if err != nil {
		return err
	}
	m, err := s.spelling(request.Model)
	if err != nil {
		return err
	}
	ids, _, err := s.render(m, &request)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, openai.Rendered{
		Object: "chat.completion.render", Model: s.options.ModelName(), Prompt: textOf(answer.Literal{Vocabulary: m.Vocabulary}, ids),
		TokenIDs: ids, Count: len(ids), MaxModelLen: m.ContextLength,
	})
	return nil
}

// oneModel answers GET /v1/models/{id}.
func (s *Server) oneModel(w http.ResponseWriter, r *http.Request) error {
	if err := s.CheckModel(r.PathValue("id")); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, s.describe())
	return nil
}
