package node

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gptoss/gptoss-operator/hack/cluster/state"
)

func TestEnvironment(t *testing.T) {
	env := []string{"HOME=/home/a", "PATH=/usr/bin", "KUBECONFIG=/home/a/.kube/config", "NO_PROXY=corp", "PATH=/bin"}
	got := Environment(env, "/kube/bin", "/s/kubeconfig")
	cases := map[string]struct{ variable, want string }{
		"other variables stay":                     {"HOME", "/home/a"},
		"the tools come first":                     {"PATH", "/kube/bin:/bin:/usr/sbin:/sbin"},
		"the cluster's credentials":                {"KUBECONFIG", "/s/kubeconfig"},
		"kubectl's memory goes with the cluster":   {"KUBECACHEDIR", "/s/kubectl"},
		"no proxy between a client and the server": {"NO_PROXY", "corp,localhost,127.0.0.1,198.18.0.0/15,.svc,.cluster.local"},
		"programs can tell where they are":         {Inside, "1"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if v, _ := value(got, tc.variable); v != tc.want {
				t.Errorf("%s = %q, want %q", tc.variable, v, tc.want)
			}
		})
	}
	seen := map[string]bool{}
	for _, kv := range got {
		name, _, _ := strings.Cut(kv, "=")
		if seen[name] {
			t.Errorf("%s is set twice", name)
		}
		seen[name] = true
	}
}

func TestRunStatus(t *testing.T) {
	cases := map[string]struct {
		script string
		want   int
	}{
		"success":         {"exit 0", 0},
		"its own status":  {"exit 7", 7},
		"a signal's":      {"kill -TERM $$", 143},
		"where it starts": {`test "$PWD" = /`, 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			e := Exec{Args: []string{"sh", "-c", tc.script}, Env: []string{"PATH=" + os.Getenv("PATH")}, Dir: "/no/such/folder"}
			got, err := e.Run()
			if err != nil || got != tc.want {
				t.Errorf("status = %d, %v; want %d", got, err, tc.want)
			}
		})
	}
}

func TestIsInit(t *testing.T) {
	folder := t.TempDir()
	dir := state.Dir(filepath.Join(folder, "cluster"))
	// A script of the command's name has the command line of an init.
	if err := os.WriteFile(filepath.Join(folder, InitCommand), []byte("echo; read line"), 0o600); err != nil {
		t.Fatal(err)
	}
	start := func(args ...string) int {
		cmd := exec.Command("sh", args...)
		cmd.Dir = folder
		stdin, errIn := cmd.StdinPipe()
		stdout, errOut := cmd.StdoutPipe()
		if err := errors.Join(errIn, errOut, cmd.Start()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = stdin.Close()
			_ = cmd.Wait()
		})
		// Its word means that its command line is its own, no more this program's.
		if _, err := stdout.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		return cmd.Process.Pid
	}
	cases := map[string]struct {
		pid  int
		want bool
	}{
		"an init":                   {start(InitCommand, stateFlag+string(dir)), true},
		"another folder's init":     {start(InitCommand, stateFlag+string(dir)+"2"), false},
		"one with further argument": {start(InitCommand, stateFlag+string(dir), "x"), false},
		"this process":              {os.Getpid(), false},
		"nobody":                    {1 << 30, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := isInit(tc.pid, dir); got != tc.want {
				t.Errorf("isInit(%d) = %v, want %v", tc.pid, got, tc.want)
			}
		})
	}
}
