package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestEveryCommandHelps(t *testing.T) {
	for _, c := range commands() {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := dispatch(t.Context(), commands(), []string{c.name, "--help"}, &out); err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{c.summary, "usage: cluster " + c.name, "example:\n"} {
				if !strings.Contains(out.String(), want) {
					t.Errorf("the help lacks %q:\n%s", want, out.String())
				}
			}
		})
	}
}

func TestWrongUse(t *testing.T) {
	cases := map[string][]string{
		"no command":                    {},
		"an unknown command":            {"sideways"},
		"an unknown flag":               {"up", "--fast"},
		"an argument too many":          {"down", "now"},
		"exec without a command":        {"exec"},
		"load without a file":           {"load"},
		"an image without a name":       {"image", "--out", "x", "--binary", "y"},
		"a control plane that stays":    {"control-plane", "stay"},
		"a control plane without order": {"control-plane"},
	}
	for name, args := range cases {
		t.Run(name, func(t *testing.T) {
			t.Setenv("GPTOSS_CACHE", t.TempDir())
			err := dispatch(t.Context(), commands(), args, &bytes.Buffer{})
			var withStatus statusError
			if !errors.As(err, &withStatus) || withStatus.status != exitUsage {
				t.Errorf("error = %v, want one with status %d", err, exitUsage)
			}
		})
	}
}

func TestWithoutCluster(t *testing.T) {
	for _, args := range [][]string{{"status"}, {"logs"}, {"exec", "--", "true"}, {"load", "/dev/null"}} {
		t.Run(args[0], func(t *testing.T) {
			t.Setenv("GPTOSS_CACHE", t.TempDir())
			err := dispatch(t.Context(), commands(), args, &bytes.Buffer{})
			var withStatus statusError
			if !errors.As(err, &withStatus) || withStatus.status != exitNotStarted {
				t.Errorf("error = %v, want one with status %d", err, exitNotStarted)
			}
		})
	}
}
