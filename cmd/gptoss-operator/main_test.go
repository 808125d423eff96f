package main

import (
	"errors"
	"flag"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	defaults, err := parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	if !defaults.elect || defaults.serverImage != "gptoss.dev/gptoss-server:dev" || defaults.namespaces != nil {
		t.Errorf("defaults: %+v", defaults)
	}
	got, err := parse([]string{"--watch-namespaces=a, b,", "--log-level=debug", "--max-concurrent-reconciles=9"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "b"}, got.namespaces); diff != "" || got.concurrency != 9 || got.logLevel.String() != "DEBUG" {
		t.Errorf("got %+v", got)
	}
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"no worker":         {[]string{"--max-concurrent-reconciles=0"}, "at least 1"},
		"no image":          {[]string{"--server-image="}, "--server-image"},
		"a loose argument":  {[]string{"run"}, `unexpected argument "run"`},
		"an unknown level":  {[]string{"--log-level=loud"}, "log-level"},
		"an unknown flag":   {[]string{"--nonsense"}, "nonsense"},
		"an unknown mode":   {[]string{"--metrics-api=always"}, "must be auto or off"},
		"a Service in two":  {[]string{"--metrics-api-service=a/b/c"}, "NAMESPACE/NAME"},
		"the version asked": {[]string{"--version"}, errVersion.Error()},
		"help asked":        {[]string{"--help"}, flag.ErrHelp.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parse(tc.args); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
	if _, err := parse([]string{"--version"}); !errors.Is(err, errVersion) {
		t.Errorf("--version: %v", err)
	}
}
