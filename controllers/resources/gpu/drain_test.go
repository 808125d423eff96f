package gpu

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestDrainVLLM runs the script for real, with a curl that tells what vLLM would.
func TestDrainVLLM(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no shell on this machine")
	}
	metrics := func(running, waiting string) string {
		return "# HELP vllm:num_requests_running Number of requests\nvllm:num_requests_running{engine=\"0\",model_name=\"m\"} " + running +
			"\nvllm:num_requests_waiting{engine=\"0\",model_name=\"m\"} " + waiting + "\nvllm:num_requests_waiting_by_reason{reason=\"x\"} 7.0\n"
	}
	for name, tc := range map[string]struct {
		answers   []string // of curl, one after the other; empty for a failure
		wantAsked int
	}{
		"nothing runs":             {[]string{metrics("0.0", "0.0")}, 1},
		"answers that finish":      {[]string{metrics("2.0", "0.0"), metrics("1.0", "0.0"), metrics("0.0", "0.0")}, 3},
		"requests that still wait": {[]string{metrics("0.0", "1.0"), metrics("0.0", "0.0")}, 2},
		"answers without end":      {[]string{metrics("1.0", "0.0"), metrics("1.0", "0.0"), metrics("1.0", "0.0"), metrics("1.0", "0.0"), metrics("1.0", "0.0")}, 4},
		"a server that is gone":    {[]string{""}, 1},
		"metrics of another kind":  {[]string{"something_else 1.0\n"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for i, answer := range tc.answers {
				if err := os.WriteFile(filepath.Join(dir, "answer-"+strings.Repeat("i", i+1)), []byte(answer), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			curl := "#!" + shell + "\nprintf i >> " + dir + "/asked\nfile=" + dir + "/answer-$(cat " + dir + "/asked)\n[ -s \"$file\" ] && cat \"$file\"\n"
			for program, script := range map[string]string{"curl": curl, "sleep": "#!" + shell + "\n"} {
				if err := os.WriteFile(filepath.Join(dir, program), []byte(script), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			s := Server{Port: 8000, Delay: 5 * time.Second, Drain: 4 * time.Second}
			cmd := exec.CommandContext(t.Context(), shell, "-c", s.drainVLLM())
			cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH")}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			asked, err := os.ReadFile(filepath.Join(dir, "asked"))
			if err != nil || len(asked) != tc.wantAsked {
				t.Errorf("asked %d times (%v), want %d", len(asked), err, tc.wantAsked)
			}
		})
	}
}
