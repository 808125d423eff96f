package process

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// script makes a program that stands in for the server.
func script(t *testing.T, body string) string {
	t.Helper()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("the stand-in for the server is a shell script")
	}
	name := filepath.Join(t.TempDir(), "server")
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"+body), 0o700); err != nil {
		t.Fatal(err)
	}
	return name
}

const started = `
echo '{"msg":"listening","address":"127.0.0.1:4711"}'
echo 'not JSON'
echo '{"msg":"model loaded"}'
`

func TestStartAndStop(t *testing.T) {
	// The sleep must not keep the pipe open when the shell is gone.
	s, err := Start(t.Context(), script(t, "trap 'exit 0' TERM\n"+started+"sleep 60 >/dev/null 2>&1 & wait\n"), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if s.URL != "http://127.0.0.1:4711" {
		t.Errorf("the address is %s", s.URL)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

func TestServersThatFail(t *testing.T) {
	cases := map[string]struct{ body, want string }{
		"one that refuses its flags": {"echo 'gptoss-server: unknown flag' >&2\nexit 2\n", "unknown flag"},
		"one that ends at once":      {"exit 0\n", "ended while it started"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := Start(t.Context(), script(t, tc.body), time.Minute)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("the error is %v, want one with %q", err, tc.want)
			}
		})
	}
	t.Run("one that dies later", func(t *testing.T) {
		s, err := Start(t.Context(), script(t, started+"exit 3\n"), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		<-s.Ended()
		if err := s.Stop(); err == nil || !strings.Contains(err.Error(), "did not end well") {
			t.Errorf("the error is %v", err)
		}
	})
}

func TestKeysOfTheEnvironmentStayOut(t *testing.T) {
	t.Setenv("OPENAI_API_KEY", "sk-somebody-elses")
	_, err := Start(context.Background(), script(t, "env | grep OPENAI; exit 1\n"), time.Minute)
	if err == nil || strings.Contains(err.Error(), "sk-somebody-elses") {
		t.Errorf("the server saw the key: %v", err)
	}
}
