package synth

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/gptoss/gptoss-operator/server/terminal"
)

// destVariable makes the test program what TestKill kills: it holds the path to write to.
const destVariable = "SYNTH_TEST_DEST"

// lockstep shows its work, one byte for each piece, and goes on when it is given one back.
type lockstep struct{}

func (lockstep) Write(b []byte) (int, error) {
	if _, err := os.Stdout.Write([]byte{'.'}); err != nil {
		return 0, err
	}
	_, err := os.Stdin.Read(make([]byte, 1))
	return len(b), err
}

// TestChild makes a model in lockstep with its parent.
func TestChild(t *testing.T) {
	dest := os.Getenv(destVariable)
	if dest == "" {
		t.Skip("only as a child of TestKill")
	}
	c, err := parse([]string{"--model=gpt-oss-demo", "--seed=2", "--force", dest})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(0, 0)
	clock := func() time.Time { // a second passes on every look, so that every piece is shown
		now = now.Add(time.Second)
		return now
	}
	if _, err := c.run(t.Context(), &terminal.Meter{Out: lockstep{}, Now: clock, Live: true}); err != nil {
		t.Fatal(err)
	}
}

// TestKill ends a process, as kill -9 does, at moments of the whole way: what was at the destination before is still there,
// and the next run takes over.
func TestKill(t *testing.T) {
	for _, name := range []string{"x.gptoss", "x.gguf"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			dest, whole := filepath.Join(dir, name), filepath.Join(dir, "whole-"+name)
			pieces := killedAt(t, whole, 1<<20)
			if pieces < 5 {
				t.Fatalf("a child showed %d pieces, want some", pieces)
			}
			var old []byte
			step := max(1, pieces/8)
			for at := 1; at <= pieces; at += step {
				killedAt(t, dest, at)
				data, err := os.ReadFile(dest)
				if old == nil && !errors.Is(err, fs.ErrNotExist) || !bytes.Equal(data, old) {
					t.Fatalf("killed at piece %d of %d there are %d bytes at the destination, want the %d from before; %v", at, pieces, len(data), len(old), err)
				}
				if at > pieces/2 && old == nil { // from here on there is an old file
					if status, _, errs := run(t.Context(), "--model=gpt-oss-demo", "--layers=1", dest); status != 0 {
						t.Fatal(errs)
					}
					if old, err = os.ReadFile(dest); err != nil {
						t.Fatal(err)
					}
				}
			}
			killedAt(t, dest, 1<<20)
			got, err := os.ReadFile(dest)
			want, wantErr := os.ReadFile(whole)
			if err := errors.Join(err, wantErr); err != nil || !bytes.Equal(got, want) {
				t.Errorf("the last run makes %d bytes, want the same %d as if nothing had been: %v", len(got), len(want), err)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
				t.Errorf("in the folder are %v, want the two files, %v", left, err)
			}
		})
	}
}

// killedAt lets a child show so many pieces, kills it while it waits after the last, and returns how many it showed. One
// that comes to its end before must end well.
func killedAt(t *testing.T, dest string, pieces int) (shown int) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$")
	child.Env = append(os.Environ(), destVariable+"="+dest)
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
	out := bufio.NewReader(pipe)
	for {
		if c, err := out.ReadByte(); err != nil || c != '.' {
			break // the end, or what the test program says about it
		}
		if shown++; shown == pieces {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := child.Wait(); err == nil {
				t.Fatal("the child ended by itself")
			}
			return shown
		}
		if _, err := in.Write([]byte{'.'}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.Copy(io.Discard, out); err != nil {
		t.Error(err)
	}
	if err := child.Wait(); err != nil {
		t.Fatal(err)
	}
	return shown
}
