package process

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	rest := strings.Repeat(" 0", 18) + " 4711 0 0"
	cases := map[string]struct {
		line      string
		want      stat
		wantError bool
	}{
		"plain":                    {"12 (etcd) S" + rest, stat{"S", 4711}, false},
		"a name with ) and spaces": {"12 (a) R 1 (b) Z" + rest, stat{"Z", 4711}, false},
		"too short":                {"12 (etcd) S 1 2 3", stat{}, true},
		"empty":                    {"", stat{}, true},
		"a start that is no number": {
			"12 (etcd) S" + strings.Repeat(" 0", 18) + " x", stat{}, true,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := parseStat(tc.line)
			if gotError := err != nil; gotError != tc.wantError || !gotError && got != tc.want {
				t.Errorf("got %+v, %v; want %+v, error %v", got, err, tc.want, tc.wantError)
			}
		})
	}
}

func TestStartRecordStop(t *testing.T) {
	dir := t.TempDir()
	g := NewGroup(dir)
	s := Spec{Name: "sleeper", Args: []string{"/bin/sleep", "600"}, Log: filepath.Join(dir, "sleeper.log")}
	if err := g.Start(s); err != nil {
		t.Fatal(err)
	}
	records, err := Records(dir)
	if err != nil || len(records) != 1 || records[0].Name != "sleeper" {
		t.Fatalf("records = %+v, %v; want the sleeper", records, err)
	}
	if !records[0].Alive() {
		t.Fatal("the sleeper is not alive")
	}
	stranger := records[0]
	stranger.Start++
	if stranger.Alive() {
		t.Error("a process with the same number but another start is taken for the recorded one")
	}
	if err := Stop(records, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if records[0].Alive() {
		t.Error("the sleeper is alive after Stop")
	}
	if e := <-g.Exits(); e.Spec.Name != "sleeper" || e.Err == nil {
		t.Errorf("exit = %+v, want the sleeper's, by a signal", e)
	}
}

func TestExitShowsTheLogsEnd(t *testing.T) {
	dir := t.TempDir()
	g := NewGroup(dir)
	s := Spec{Name: "loser", Args: []string{"/bin/sh", "-c", "echo first; echo last; exit 3"}, Log: filepath.Join(dir, "loser.log")}
	if err := g.Start(s); err != nil {
		t.Fatal(err)
	}
	text := (<-g.Exits()).Describe().Error()
	for _, want := range []string{"loser ended", "exit status 3", "last"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q lacks %q", text, want)
		}
	}
}

func TestTail(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(file, []byte("a\nb\nc\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := Tail(file, 2); got != "b\nc" {
		t.Errorf("got %q, want the last two lines", got)
	}
	if got := Tail(file, 9); got != "a\nb\nc" {
		t.Errorf("got %q, want all lines", got)
	}
}
