package pack

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/gptoss/gptoss-operator/engine/weights"
	"github.com/gptoss/gptoss-operator/engine/weights/packed"
	"github.com/gptoss/gptoss-operator/server/terminal"
)

// The variables that make the test program what TestKill kills.
const (
	sourceVariable = "PACK_TEST_SOURCE"
	destVariable   = "PACK_TEST_DEST"
)

// lockstep shows its work, one byte for each piece, and goes on when it is given one back.
type lockstep struct{}

func (lockstep) Write(b []byte) (int, error) {
	if _, err := os.Stdout.Write([]byte{'.'}); err != nil {
		return 0, err
	}
	_, err := os.Stdin.Read(make([]byte, 1))
	return len(b), err
}

// TestChild packs in lockstep with its parent.
func TestChild(t *testing.T) {
	if os.Getenv(sourceVariable) == "" {
		t.Skip("only as a child of TestKill")
	}
	c, err := weights.Open(os.Getenv(sourceVariable))
	if err != nil {
		t.Fatal(err)
	}
	m := &terminal.Meter{Out: lockstep{}, Now: everLater(), Live: true}
	if err := write(t.Context(), c, "", os.Getenv(destVariable), m); err != nil {
		t.Fatal(err)
	}
}

// TestKill ends a process, as kill -9 does, at moments of the whole way: what was at the destination before is still there,
// what is half-written is not taken for good, and the next run takes over.
func TestKill(t *testing.T) {
	source := folder(t, original(2))
	dir := t.TempDir()
	dest := filepath.Join(dir, "x")
	pieces := piecesOf(t, source, filepath.Join(dir, "all"))
	random := rand.New(rand.NewPCG(3, 4))
	before := ""
	for i := range 16 {
		kill(t, source, dest, 1+random.IntN(pieces))
		if f, err := packed.Open(dest + ".gptoss-part"); !errors.Is(err, packed.ErrForeign) {
			t.Fatalf("what is half-written opens: %v, %v", f, err)
		}
		if before == "" {
			if _, err := os.Lstat(dest); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("there is a file at the destination: %v", err)
			}
		} else if got := digest(t, dest); got != before {
			t.Fatalf("the old file is %s, want %s", got, before)
		}
		if i == 7 { // from here on there is an old file
			if status, _, errs := run(t.Context(), "demo", dest); status != 0 {
				t.Fatal(errs)
			}
			before = digest(t, dest)
		}
	}
	if status, _, errs := run(t.Context(), "--force", source, dest); status != 0 || digest(t, dest) != digest(t, filepath.Join(dir, "all")) {
		t.Errorf("the last run: status %d, %s", status, errs)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 2 {
		t.Errorf("in the folder are %v, want the two files, %v", left, err)
	}
}

// piecesOf counts the moments at which a child shows something, when it may go on to its end.
func piecesOf(t *testing.T, source, dest string) int {
	t.Helper()
	child, in, out := begin(t, source, dest)
	n := 0
	for ; ; n++ {
		if c, err := out.ReadByte(); err != nil || c != '.' {
			break // the end of packing, or what the test program says about it
		}
		if _, err := in.Write([]byte{'.'}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.Copy(io.Discard, out); err != nil {
		t.Error(err)
	}
	if err := child.Wait(); err != nil || n < 40 {
		t.Fatalf("a child showed %d pieces: %v", n, err)
	}
	return n
}

// kill lets a child show so many pieces, and kills it while it waits after the last.
func kill(t *testing.T, source, dest string, pieces int) {
	t.Helper()
	child, in, out := begin(t, source, dest)
	for i := range pieces {
		if c, err := out.ReadByte(); err != nil || c != '.' {
			t.Fatalf("piece %d is %q, %v", i, c, err)
		}
		if i+1 < pieces {
			if _, err := in.Write([]byte{'.'}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err == nil {
		t.Fatal("the child ended by itself")
	}
}

func begin(t *testing.T, source, dest string) (child *exec.Cmd, in io.Writer, out *bufio.Reader) {
	t.Helper()
	child = exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$")
	child.Env = append(os.Environ(), sourceVariable+"="+source, destVariable+"="+dest)
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	pipe, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	return child, in, bufio.NewReader(pipe)
}
