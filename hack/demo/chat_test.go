package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestReadEvents(t *testing.T) {
	for name, tc := range map[string]struct{ events, wantText, wantErr string }{
		"a whole answer": {
			events:   "data: {\"choices\":[{\"delta\":{\"content\":\"Hel\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"lo\"}}]}\n\n: ping\n\ndata: [DONE]\n\n",
			wantText: "  Hello\n",
		},
		"an error in mid-stream": {
			events:  "data: {\"choices\":[{\"delta\":{\"content\":\"Hel\"}}]}\n\ndata: {\"error\":{\"message\":\"out of memory\"}}\n\n",
			wantErr: "out of memory",
		},
		"a stream that breaks off": {
			events:  "data: {\"choices\":[{\"delta\":{\"content\":\"Hel\"}}]}\n\n",
			wantErr: "before [DONE]",
		},
		"an answer without text": {events: "data: [DONE]\n\n", wantErr: "no text"},
		"not JSON":               {events: "data: hello\n\n", wantErr: "hello"},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			_, err := readEvents(strings.NewReader(tc.events), &out)
			if tc.wantErr == "" && (err != nil || out.String() != tc.wantText) {
				t.Errorf("got %q, %v; want %q", out.String(), err, tc.wantText)
			}
			if tc.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tc.wantErr)) {
				t.Errorf("got error %v, want one with %q", err, tc.wantErr)
			}
		})
	}
}

// TestAskRunsTools plays a server that thinks, calls the weather tool and, given its result, answers.
func TestAskRunsTools(t *testing.T) {
	event := func(delta string) string { return `data: {"choices":[{"delta":` + delta + `}]}` + "\n\n" }
	var requests []request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body request
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		requests = append(requests, body)
		if len(requests) == 1 {
			_, _ = io.WriteString(w, event(`{"reasoning":"It is a "}`)+event(`{"reasoning":"call."}`)+
				event(`{"tool_calls":[{"index":0,"id":"call_1","function":{"name":"get_weather","arguments":""}}]}`)+
				event(`{"tool_calls":[{"index":0,"function":{"arguments":"{\"location\":\"Rome\"}"}}]}`)+"data: [DONE]\n\n")
			return
		}
		_, _ = io.WriteString(w, event(`{"content":"Sunny."}`)+"data: [DONE]\n\n")
	}))
	defer server.Close()
	var out strings.Builder
	if err := (chat{url: server.URL, model: "m"}).ask(t.Context(), question{prompt: "Weather?", weather: true}, &out); err != nil {
		t.Fatal(err)
	}
	want := "  thinks: It is a call.\n  call: get_weather({\"location\":\"Rome\"})\n  tool: {\"temperature\": 18, \"condition\": \"sunny\"}\n  Sunny.\n"
	if out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
	if last := requests[1].Messages; len(requests) != 2 || len(last) != 3 || last[1].ToolCalls[0].ID != "call_1" || last[2].ToolCallID != "call_1" {
		t.Errorf("the second request carries %+v, want the call and its result", last)
	}
}
