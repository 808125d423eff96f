package main

import (
	"strings"
	"testing"
)

func TestReadEvents(t *testing.T) {
	for name, tc := range map[string]struct{ events, wantText, wantErr string }{
		"a whole answer": {
			events:   "data: {\"choices\":[{\"delta\":{\"content\":\"Hel\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"lo\"}}]}\n\n: ping\n\ndata: [DONE]\n\n",
			wantText: "Hello\n",
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
			err := readEvents(strings.NewReader(tc.events), &out)
			if tc.wantErr == "" && (err != nil || out.String() != tc.wantText) {
				t.Errorf("got %q, %v; want %q", out.String(), err, tc.wantText)
			}
			if tc.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tc.wantErr)) {
				t.Errorf("got error %v, want one with %q", err, tc.wantErr)
			}
		})
	}
}
