package metricsapi

import (
	"os"
	"strings"
	"testing"
)

func TestActive(t *testing.T) {
	for name, tc := range map[string]struct {
		text    string
		want    int64
		wantErr string
	}{
		"gptoss-server": {"# HELP gpt_oss_active_requests x\ngpt_oss_active_requests 3\nvllm:num_requests_running{model_name=\"m\"} 9\nvllm:num_requests_waiting{model_name=\"m\"} 9\n", 3, ""},
		"vLLM, whose engines add up": {
			"vllm:num_requests_running{engine=\"0\",model_name=\"a} 7\"} 2.0\nvllm:num_requests_running{engine=\"1\"} 1.0 1700000000\nvllm:num_requests_waiting{engine=\"0\"} 4\n", 7, "",
		},
		"TGI":                             {"tgi_batch_current_size 5\ntgi_queue_size 1\n", 6, ""},
		"half of a pair is not enough":    {"vllm:num_requests_running 5\n", 0, "do not tell"},
		"something else altogether":       {"go_goroutines 8\n", 0, "do not tell"},
		"nothing":                         {"", 0, "do not tell"},
		"a name that only begins like it": {"gpt_oss_active_requests_total 8\n", 0, "do not tell"},
		"no number":                       {"gpt_oss_active_requests many\n", 0, "small number"},
		"no value":                        {"gpt_oss_active_requests \n", 0, "small number"},
		"not a number":                    {"gpt_oss_active_requests NaN\n", 0, "small number"},
		"negative":                        {"gpt_oss_active_requests -1\n", 0, "small number"},
		"infinite":                        {"gpt_oss_active_requests +Inf\n", 0, "small number"},
		"a page without end":              {strings.Repeat("go_goroutines 8\n", maxText/16+1), 0, "longer than"},
		"a line without end":              {strings.Repeat("x", maxLine+1), 0, "too long"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := active(strings.NewReader(tc.text))
			if tc.wantErr == "" && (err != nil || got != tc.want) {
				t.Errorf("got %d, %v; want %d", got, err, tc.want)
			}
			if tc.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tc.wantErr)) {
				t.Errorf("error %v, want one with %q", err, tc.wantErr)
			}
		})
	}
}

func FuzzActive(f *testing.F) {
	for _, name := range []string{"testdata/server.txt", "testdata/vllm.txt"} {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add("gpt_oss_active_requests{a=\"}\"} 1e3\n")
	f.Fuzz(func(t *testing.T, text string) {
		n, err := active(strings.NewReader(text))
		if err == nil && (n < 0 || !strings.Contains(text, "active_requests") && !strings.Contains(text, "vllm:num_requests_") && !strings.Contains(text, "tgi_")) {
			t.Errorf("read %d from a text without the gauges", n)
		}
	})
}
