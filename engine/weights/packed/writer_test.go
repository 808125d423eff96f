package packed

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWriterRefuses(t *testing.T) {
	tests := map[string]struct {
		use  func(w *Writer) error
		want string
	}{
		"a bad name":          {func(w *Writer) error { return w.Section("a/b", 1) }, `section "a/b": want 1 to 120 letters`},
		"no name":             {func(w *Writer) error { return w.Section("", 1) }, `section "": want 1 to 120 letters`},
		"a hidden name":       {func(w *Writer) error { return w.Section("..", 1) }, `section "..": want 1 to 120 letters`},
		"a long name":         {func(w *Writer) error { return w.Section(strings.Repeat("x", 121), 1) }, "want 1 to 120 letters"},
		"a name twice":        {func(w *Writer) error { return errors.Join(w.Section("a", 0), w.Section("a", 0)) }, "no other section of the name"},
		"a negative length":   {func(w *Writer) error { return w.Section("a", -1) }, `section "a": length of -1 bytes`},
		"an endless length":   {func(w *Writer) error { return w.Section("a", 1<<62) }, "length of 4611686018427387904 bytes"},
		"bytes before any":    {func(w *Writer) error { _, err := w.Write([]byte("x")); return err }, "1 bytes where a section wants 0"},
		"bytes too many":      {func(w *Writer) error { return errors.Join(w.Section("a", 1), more(w, "xy")) }, "2 bytes where a section wants 1"},
		"a section not whole": {func(w *Writer) error { return errors.Join(w.Section("a", 3), more(w, "x"), w.Section("b", 1)) }, `section "a": lacks 2 of 3 bytes`},
		"a file not whole":    {func(w *Writer) error { return errors.Join(w.Section("a", 3), w.Commit()) }, `section "a": lacks 3 of 3 bytes`},
		"after an abort":      {func(w *Writer) error { return errors.Join(w.Abort(), w.Commit()) }, "committed or aborted"},
		"room for a world":    {func(w *Writer) error { return w.Reserve(1 << 60) }, "no room: needs 1152921504606846976 bytes, and"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			w, err := Create(filepath.Join(dir, "x"))
			if err != nil {
				t.Fatal(err)
			}
			if err := tc.use(w); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
			if err := errors.Join(w.Abort(), w.Abort()); err != nil {
				t.Error(err)
			}
			if got := names(t, dir); len(got) > 0 {
				t.Errorf("%v is left", got)
			}
		})
	}
}

func more(w *Writer, text string) error {
	_, err := w.Write([]byte(text))
	return err
}

func TestEndedWriter(t *testing.T) {
	w, err := Create(filepath.Join(t.TempDir(), "x"))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{"Section": w.Section("a", 0), "Write": more(w, "x"), "Commit": w.Commit(), "Reserve": w.Reserve(0)} {
		if !errors.Is(err, errEnded) {
			t.Errorf("%s: error %v, want %v", name, err, errEnded)
		}
	}
	if err := w.Abort(); err != nil {
		t.Error(err)
	}
}

// TestCreate is about what lies in the folder before and after.
func TestCreate(t *testing.T) {
	tests := map[string]struct {
		prepare func(path string) error
		want    string // of the error; empty if the file can be made
		left    []string
	}{
		"nothing there": {func(string) error { return nil }, "", []string{"x"}},
		"a file there":  {func(path string) error { return os.WriteFile(path, []byte("old"), 0o600) }, "", []string{"x"}},
		"a part there": {func(path string) error {
			return os.WriteFile(path+".gptoss-part", []byte(magic+strings.Repeat("y", 9*Align)), 0o600)
		}, "", []string{"x"}},
		"a folder there": {func(path string) error { return os.Mkdir(path, 0o700) }, "x: is there already and is not a regular file", []string{"x"}},
		"a link there":   {func(path string) error { return os.Symlink("/dev/null", path) }, "x: is there already and is not a regular file", []string{"x"}},
		"a linked part":  {func(path string) error { return os.Symlink("elsewhere", path+".gptoss-part") }, "x.gptoss-part: is there already and is not a regular file", []string{"x.gptoss-part"}},
		"a folder gone":  {func(path string) error { return os.Remove(filepath.Dir(path)) }, "x.gptoss-part: no such file or directory", nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "folder")
			path := filepath.Join(dir, "x")
			if err := errors.Join(os.Mkdir(dir, 0o700), tc.prepare(path)); err != nil {
				t.Fatal(err)
			}
			w, err := Create(path)
			if tc.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				write(t, w, parts())
				if err := w.Commit(); err != nil {
					t.Fatal(err)
				}
				if err := openFile(t, path).Verify(); err != nil {
					t.Error(err)
				}
			} else if err == nil || !strings.HasSuffix(err.Error(), tc.want) {
				t.Errorf("error %v, want one that ends in %q", err, tc.want)
			}
			if tc.left == nil {
				return
			}
			if diff := cmp.Diff(tc.left, names(t, dir)); diff != "" {
				t.Errorf("in the folder (-want +got):\n%s", diff)
			}
		})
	}
}

// TestOneWriter lets nobody else in until the file is committed or aborted, and leaves the old file until then.
func TestOneWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	create(t, path, parts()[:1])
	w, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Create(path); err == nil || !strings.Contains(err.Error(), "another process is writing to it") {
		t.Errorf("a second writer: %v", err)
	}
	write(t, w, parts())
	if f := openFile(t, path); len(f.Sections()) != 1 {
		t.Errorf("%d sections before Commit, want the 1 of the old file", len(f.Sections()))
	}
	if err := w.Abort(); err != nil {
		t.Error(err)
	}
	create(t, path, parts())
	if f := openFile(t, path); len(f.Sections()) != len(parts()) {
		t.Errorf("%d sections after Commit, want %d", len(f.Sections()), len(parts()))
	}
}

// childVariable makes the test program what TestKill kills: it holds the path to write to.
const childVariable = "PACKED_TEST_CHILD"

// TestChild writes one file after the other to the same path, and a number after each.
func TestChild(t *testing.T) {
	path := os.Getenv(childVariable)
	if path == "" {
		t.Skip("only as a child of TestKill")
	}
	for i := range 10_000 {
		create(t, path, append(parts(), piece{"number", strconv.Itoa(i)}))
		fmt.Printf("written %d\n", i)
	}
}

// TestKill ends a process, as kill -9 does, at 24 moments while it replaces a file again and again: what lies at the path
// is always whole, and as new as was said, and the next process takes over.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	random := rand.New(rand.NewPCG(1, 2))
	for range 24 {
		said := killed(t, path, 1+random.IntN(5))
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		number, ok := f.Section("number")
		got, err := strconv.Atoi(string(number))
		if err := errors.Join(err, f.Verify(), f.Close()); err != nil || !ok || got < said {
			t.Fatalf("the file is number %d (%v), want %d or a later one; %v", got, ok, said, err)
		}
	}
	create(t, path, nil)
	if _, err := os.Stat(path + ".gptoss-part"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the part is still there: %v", err)
	}
}

// killed runs a child until it has said so many numbers, kills it and returns the last.
func killed(t *testing.T, path string, lines int) int {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$")
	child.Env = append(os.Environ(), childVariable+"="+path)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	said := -1
	for scanner := bufio.NewScanner(out); lines > 0 && scanner.Scan(); lines-- {
		if said, err = strconv.Atoi(strings.TrimPrefix(scanner.Text(), "written ")); err != nil {
			t.Errorf("the child says %q", scanner.Text())
		}
	}
	if err := child.Process.Kill(); err != nil {
		t.Error(err)
	}
	if err := child.Wait(); err == nil || lines > 0 {
		t.Fatalf("the child ended by itself, %d lines early: %v", lines, err)
	}
	return said
}
