package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gptoss/gptoss-operator/server/openai"
	"github.com/gptoss/gptoss-operator/server/responses"
)

// model says the same each time.
type model []responses.Piece

func (model) Settings(*openai.ChatRequest) responses.Settings {
	return responses.Settings{Model: "gpt-oss-demo", Effort: "medium", ContextLength: 100}
}

func (model) Count(*openai.ChatRequest) (int, error) { return 9, nil }

func (m model) Complete(_ context.Context, c responses.Call) (openai.FinishReason, openai.Usage, error) {
	c.Accepted()
	for _, p := range m {
		if err := c.Emit(p); err != nil {
			return "", openai.Usage{}, err
		}
	}
	return openai.FinishStop, openai.Usage{PromptTokens: 9, PromptTokensDetails: openai.PromptDetails{CachedTokens: 4}}, nil
}

func content(text string) responses.Piece {
	return responses.Piece{Delta: openai.Delta{Content: &text}, Message: 1}
}

func call(id, name, arguments string) responses.Piece {
	function := openai.FunctionCallDelta{Name: name, Arguments: arguments}
	return responses.Piece{Delta: openai.Delta{ToolCalls: []openai.ToolCallDelta{{ID: id, Function: function}}}}
}

// serve has the API answer over HTTP.
func serve(t *testing.T, m model) (url string, a *responses.API) {
	t.Helper()
	var ids atomic.Int64
	a = responses.New(responses.Config{
		Model: m, Bounds: responses.Bounds{Count: 9, Bytes: 1 << 20, Age: time.Hour}, Background: 1, Now: time.Now,
		NewID:    func(prefix string) string { return fmt.Sprint(prefix, ids.Add(1)) },
		Tenant:   func(*http.Request) string { return "" },
		Body:     func(_ http.ResponseWriter, r *http.Request) ([]byte, error) { return io.ReadAll(r.Body) },
		Panicked: func(_ context.Context, value any, _ []byte) { t.Error(value) },
	})
	mux := http.NewServeMux()
	for pattern, h := range map[string]func(http.ResponseWriter, *http.Request) error{
		"POST /v1/responses": a.Create, "GET /v1/responses/{id}": a.Retrieve, "DELETE /v1/responses/{id}": a.Delete,
		"POST /v1/responses/{id}/cancel": a.Cancel, "GET /v1/responses/{id}/input_items": a.InputItems,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if e, ok := errors.AsType[*openai.Error](h(w, r)); ok {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(e.Status)
				_ = json.NewEncoder(w).Encode(openai.ErrorBody{Error: e})
			}
		})
	}
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	return web.URL, a
}
