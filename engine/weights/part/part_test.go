package part

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// folder returns the files of a folder with their content.
func folder(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(data)
	}
	return all
}

func create(t *testing.T, path, text string) *File {
	t.Helper()
	f, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestFile shows what others see: the old file, then all of the new one.
func TestFile(t *testing.T) {
	tests := map[string]struct {
		before map[string]string
		end    func(*File) error
		want   map[string]string
	}{
		"commit":                    {nil, (*File).Commit, map[string]string{"x": "new"}},
		"commit over a file":        {map[string]string{"x": "older"}, (*File).Commit, map[string]string{"x": "new"}},
		"commit over a part":        {map[string]string{"x.gptoss-part": "half of another"}, (*File).Commit, map[string]string{"x": "new"}},
		"abort":                     {map[string]string{"x": "old"}, (*File).Abort, map[string]string{"x": "old"}},
		"abort after a commit":      {nil, func(f *File) error { return errors.Join(f.Commit(), f.Abort()) }, map[string]string{"x": "new"}},
		"abort twice":               {nil, func(f *File) error { return errors.Join(f.Abort(), f.Abort()) }, map[string]string{}},
		"abort of a part that went": {nil, func(f *File) error { return errors.Join(os.Remove(f.Name()), f.Abort()) }, map[string]string{}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "x")
			for file, text := range tc.before {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			f := create(t, path, "new")
			during := folder(t, dir)
			if during["x"] != tc.before["x"] || during["x.gptoss-part"] != "new" {
				t.Errorf("while it is written there are %v", during)
			}
			if _, err := Create(path); err == nil || !strings.HasSuffix(err.Error(), "x.gptoss-part: another process is writing to it") {
				t.Errorf("a second writer: %v", err)
			}
			if err := tc.end(f); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(tc.want, folder(t, dir)); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCommitFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x")
	f := create(t, path, "new")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(); err == nil {
		t.Error("a file replaced a folder")
	}
	if err := f.Abort(); err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 1 {
		t.Errorf("%v is left, want the folder alone; %v", left, err)
	}
}

func TestReserve(t *testing.T) {
	f := create(t, filepath.Join(t.TempDir(), "x"), "")
	if err := f.Reserve(1); err != nil {
		t.Error(err)
	}
	if err := f.Reserve(1 << 60); err == nil || !strings.Contains(err.Error(), ": no room: needs 1152921504606846976 bytes, and ") {
		t.Errorf("error %v, want one about room", err)
	}
	if err := f.Abort(); err != nil {
		t.Error(err)
	}
}
