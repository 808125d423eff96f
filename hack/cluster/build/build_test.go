package build

import (
	"io/fs"
	"maps"
	"testing"
	"testing/fstest"
)

func module() fstest.MapFS {
	return fstest.MapFS{
		"go.mod":           {Data: []byte("module m")},
		"go.sum":           {Data: []byte("sum")},
		"cmd/kube/main.go": {Data: []byte("package main")},
		"README.md":        {Data: []byte("words")},
	}
}

func key(t *testing.T, m fs.FS, version string, flags ...string) string {
	t.Helper()
	k, err := Key(m, version, flags)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKey(t *testing.T) {
	base := key(t, module(), "go1 linux amd64", "-a", "-b")
	changed := func(name, data string) fs.FS {
		m := maps.Clone(module())
		m[name] = &fstest.MapFile{Data: []byte(data)}
		return m
	}
	cases := map[string]struct {
		got      string
		wantSame bool
	}{
		"the same again":           {key(t, module(), "go1 linux amd64", "-a", "-b"), true},
		"a file that is not built": {key(t, changed("README.md", "other"), "go1 linux amd64", "-a", "-b"), true},
		"another go.mod":           {key(t, changed("go.mod", "module n"), "go1 linux amd64", "-a", "-b"), false},
		"another go.sum":           {key(t, changed("go.sum", ""), "go1 linux amd64", "-a", "-b"), false},
		"another source":           {key(t, changed("cmd/kube/main.go", "package main\n"), "go1 linux amd64", "-a", "-b"), false},
		"one more source":          {key(t, changed("cmd/pause/main.go", "package main"), "go1 linux amd64", "-a", "-b"), false},
		"another Go":               {key(t, module(), "go2 linux amd64", "-a", "-b"), false},
		"flags cut elsewhere":      {key(t, module(), "go1 linux amd64", "-a-b"), false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if same := tc.got == base; same != tc.wantSame {
				t.Errorf("same key = %v, want %v", same, tc.wantSame)
			}
		})
	}
	if _, err := Key(fstest.MapFS{"go.mod": {}}, "go1", nil); err == nil {
		t.Error("a module without go.sum and sources has a key")
	}
}

func TestCounter(t *testing.T) {
	cases := map[string]struct {
		prefix    string
		writes    []string
		want      int64
		wantOther int
	}{
		"packages, in pieces":        {"", []string{"k8s.io/a\nk8s.", "io/b\n"}, 2, 0},
		"errors are no packages":     {"", []string{"# k8s.io/a\nx.go:1:2: undefined: y\nk8s.io/b\n"}, 1, 2},
		"a line without end":         {"", []string{"k8s.io/a"}, 0, 0},
		"downloads among other news": {"go: downloading ", []string{"go: downloading m v1\ngo: m: gone\n"}, 1, 1},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := counter{prefix: tc.prefix}
			for _, w := range tc.writes {
				if n, err := c.Write([]byte(w)); n != len(w) || err != nil {
					t.Fatalf("Write = %d, %v", n, err)
				}
			}
			if got := c.n.Load(); got != tc.want || len(c.other) != tc.wantOther {
				t.Errorf("counted %d with %q beside, want %d with %d", got, c.other, tc.want, tc.wantOther)
			}
		})
	}
}
