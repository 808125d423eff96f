package server

import (
	"net/http"
	"net/url"
	"time"

	"github.com/gptoss/gptoss-operator/server/answer"
	"github.com/gptoss/gptoss-operator/server/openai"
)

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

// chatEvents answers GET /v1/chat/completions?stream=true, which is all that a browser's EventSource can send.
func (s *Server) chatEvents(w http.ResponseWriter, r *http.Request) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return openai.Invalid(openai.CodeInvalidValue, "", "The query is malformed: its values must be percent-encoded.")
	}
	body, err := openai.ChatQuery(query)
	if err != nil {
		return err
	}
	kind := openaiStream
	kind.identified = true
	return s.chatBody(w, r, body, kind)
}

// forEventSource takes the place of a header with a key, which an EventSource cannot send: what a ticket stands for becomes
// that header, so that everything that holds for the key holds here too.
func (s *Server) forEventSource(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if r.Header.Get("Last-Event-ID") != "" {
			// An EventSource connects again when a stream has ended, and would have the same answer made anew and again.
			// This status is how it is told to stop.
			w.WriteHeader(http.StatusNoContent)
			return nil
		}
		if r.Method != http.MethodGet { // HEAD
			w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
			w.WriteHeader(http.StatusOK)
			return nil
		}
		query := r.URL.Query()
		ticket := query.Get("ticket")
		if ticket == "" {
			return next(w, r)
		}
		r = r.Clone(r.Context())
		query.Del("ticket")
		r.URL.RawQuery = query.Encode()
		if r.Header.Get("Authorization") != "" {
			return next(w, r)
		}
		credential, err := s.tickets.Open(ticket)
		if err != nil {
			return openai.NewError(http.StatusUnauthorized, openai.TypeAuthentication, openai.CodeInvalidTicket, "ticket",
				"The ticket is not valid: it may be used once, within a minute. Ask for another with POST /v1/stream-tickets.")
		}
		if credential != "" {
			r.Header.Set("Authorization", credential)
		}
		return next(w, r)
	}
}

// issueTicket answers POST /v1/stream-tickets.
func (s *Server) issueTicket(w http.ResponseWriter, r *http.Request) error {
	ticket, expires := s.tickets.Seal(r.Header.Get("Authorization"))
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, openai.StreamTicket{
		Object: "stream.ticket", Ticket: ticket, ExpiresAt: expires.Unix(), ExpiresIn: int(expires.Sub(s.now()) / time.Second),
	})
	return nil
}
