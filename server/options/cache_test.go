package options

import (
	"errors"
	"flag"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const folder = "model-0123456789"

func TestCacheArgumentsAreReadBack(t *testing.T) {
	for name, want := range map[string]Cache{
		"a repository": {
			Source: "openai/gpt-oss-20b", Revision: "main", Endpoint: "https://hub.example.com", Root: "/models", Folder: folder,
			File: "gpt-oss-20b.gptoss", Keep: []string{"model-aaaaaaaaaa", "model-bbbbbbbbbb"}, ProgressAddress: ":8080", TerminationLog: "/dev/termination-log",
		},
		"a file":     {Source: "https://files.example.com/a.gguf", SHA256: strings.Repeat("0", 64), Root: "/models", Folder: folder},
		"no source ": {Root: "/models", Keep: []string{folder}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseCache(want.Args())
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestCacheRefusesWrongFlags(t *testing.T) {
	for name, tc := range map[string]struct{ args, want string }{
		"no root":                {"--source=a/b --folder=" + folder, "--root must be a folder"},
		"nothing to do":          {"--root=/m", "--source must be given"},
		"a folder for no source": {"--root=/m --keep=" + folder + " --folder=" + folder, "--source must be given"},
		"a folder that climbs":   {"--root=/m --source=a/b --folder=../x", "--folder"},
		"a folder of others":     {"--root=/m --source=a/b --folder=lost+found", "--folder"},
		"a file that climbs":     {"--root=/m --source=a/b --file=../x --folder=" + folder, "--file"},
		"keeping a path":         {"--root=/m --keep=/", "--keep"},
		"an unknown flag":        {"--root=/m --speed=9", "--help lists the flags"},
		"an argument":            {"a/b", "every setting is a flag"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ParseCache(strings.Fields(tc.args)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
	if _, err := ParseCache([]string{"--help"}); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("--help: %v", err)
	}
}
