package boot

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/gptoss/gptoss-operator/hack/cluster/process"
)

func TestHasCondition(t *testing.T) {
	cases := map[string]struct {
		body      string
		wantError string // part of it; none when empty
	}{
		"true":             {`{"status":{"conditions":[{"type":"Other","status":"False"},{"type":"Ready","status":"True"}]}}`, ""},
		"false says why":   {`{"status":{"conditions":[{"type":"Ready","status":"False","reason":"NoNetwork"}]}}`, "NoNetwork"},
		"not there":        {`{"status":{"conditions":[{"type":"Other","status":"True"}]}}`, "not known yet"},
		"no status at all": {`{}`, "not known yet"},
		"no JSON":          {`<html>`, "invalid character"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			err := hasCondition([]byte(tc.body), "Ready")
			switch {
			case tc.wantError == "" && err != nil:
				t.Errorf("error = %v, want none", err)
			case tc.wantError != "" && (err == nil || !strings.Contains(err.Error(), tc.wantError)):
				t.Errorf("error = %v, want one with %q", err, tc.wantError)
			}
		})
	}
}

func TestWait(t *testing.T) {
	never := func(context.Context) error { return errors.New("refused") }
	t.Run("readiness ends it with a line", func(t *testing.T) {
		var out bytes.Buffer
		tries := 0
		err := NewProgress(&out).wait(t.Context(), "phase", nil, func(context.Context) error {
			if tries++; tries < 2 {
				return errors.New("refused")
			}
			return nil
		})
		if err != nil || tries != 2 || !strings.HasSuffix(out.String(), "s  phase\n") {
			t.Errorf("error %v after %d tries, output %q", err, tries, out.String())
		}
	})
	t.Run("a component's death ends it with the reason", func(t *testing.T) {
		exits := make(chan process.Exit, 1)
		exits <- process.Exit{Spec: process.Spec{Name: "etcd", Log: "/no/log"}, Err: errors.New("exit status 3")}
		err := NewProgress(&bytes.Buffer{}).wait(t.Context(), "phase", exits, never)
		if err == nil || !strings.Contains(err.Error(), "etcd ended (exit status 3)") {
			t.Errorf("error = %v, want etcd's end", err)
		}
	})
	t.Run("a cancelled context ends it", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		reason := errors.New("interrupted")
		cancel(reason)
		if err := NewProgress(&bytes.Buffer{}).wait(ctx, "phase", nil, never); !errors.Is(err, reason) {
			t.Errorf("error = %v, want %v", err, reason)
		}
	})
}
