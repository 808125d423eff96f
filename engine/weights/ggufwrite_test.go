package weights

import (
	"bytes"
	"errors"
	"io/fs"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/engine/weights/weightstest"
)

// ggufBuffer is a file in memory, on a disk with room for so many bytes.
type ggufBuffer struct {
	bytes.Buffer
	room, reserved int64
}

var errNoRoom = errors.New("no room")

func (b *ggufBuffer) Reserve(bytes int64) error {
	b.reserved = bytes
	if bytes > b.room {
		return errNoRoom
	}
	return nil
}

// writtenGGUF writes a checkpoint and checks what is said about the progress.
func writtenGGUF(t *testing.T, c *Checkpoint) []byte {
	t.Helper()
	to := ggufBuffer{room: 1 << 30}
	var done, total int64
	if err := c.WriteGGUF(&to, func(d, all int64) { done, total = d, all }); err != nil {
		t.Fatal(err)
	}
	if n := int64(to.Len()); done != n || total != n || to.reserved != n || n%ggufAlign != 0 {
		t.Errorf("%d bytes, of which %d of %d were announced and %d reserved", n, done, total, to.reserved)
	}
	return to.Bytes()
}

// TestWriteGGUF writes checkpoints of every layout and reads them back: configuration, words and all values are the same,
// and what is written from what was read is the same file.
func TestWriteGGUF(t *testing.T) {
	withWords := synthetic(t, tiny(), 1)
	withWords.Vocabulary = &Vocabulary{
		Tokens: []string{"a", "<|call|>", "b", "<|return|>"}, Merges: []string{"a b"}, Types: []int32{1, 3, 1, 3}, Pre: "gpt-4o", BOS: 0, EOS: 3,
	}
	withWords.Config.EOSTokenIDs = []int32{3, 1}
	withEnds := synthetic(t, tiny(), 1)
	withEnds.Config.EOSTokenIDs = []int32{4, 2}
	windows := synthetic(t, uneven(), 1)
	windows.Config.WindowLayers = []bool{true, true, false}
	wide := weightstest.GGUFTensors(tiny(), tinyTensors())
	for i, x := range wide {
		if x.Name == "blk.0.ffn_up_exps.weight" {
			wide[i].DType, wide[i].Data = model.F16, make([]byte, 2*2*32*64)
		}
	}
	tests := map[string]*Checkpoint{
		"safetensors":                    openFS(t, single(tinyTensors()).fs()),
		"GGUF":                           openFS(t, folder{"x.gguf": weightstest.GGUF(tiny(), tinyTensors())}.fs()),
		"GGUF with experts in two types": openFS(t, folder{"x.gguf": weightstest.WriteGGUF(weightstest.Metadata(tiny()), wide)}.fs()),
		"synthetic":                      synthetic(t, tiny(), 1),
		"synthetic, of uneven shapes":    synthetic(t, uneven(), 1),
		"synthetic, with windows":        windows,
		"synthetic, with words":          withWords,
		"synthetic, with end tokens":     withEnds,
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			file := writtenGGUF(t, want)
			got := openFS(t, folder{"x.gguf": file}.fs())
			if diff := cmp.Diff(want.Config, got.Config); diff != "" {
				t.Errorf("configuration (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(want.Vocabulary, got.Vocabulary); diff != "" {
				t.Errorf("vocabulary (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(bits(want), bits(got)); diff != "" {
				t.Errorf("tensors (-want +got):\n%s", diff)
			}
			if again := writtenGGUF(t, got); !bytes.Equal(file, again) {
				t.Errorf("written again it has %d bytes and not the same, at first %d", len(again), len(file))
			}
		})
	}
}

// TestWriteGGUFOfUsualWindows leaves out a pattern that is every reader's own.
func TestWriteGGUFOfUsualWindows(t *testing.T) {
	c := synthetic(t, uneven(), 1)
	usual := writtenGGUF(t, c)
	c.Config.WindowLayers = []bool{true, false, true}
	if !bytes.Equal(usual, writtenGGUF(t, c)) {
		t.Error("the pattern is written although it is the usual one")
	}
}

func openFS(t *testing.T, fsys fs.FS) *Checkpoint {
	t.Helper()
	c, err := OpenFS(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// brokenFile takes some bytes and then none.
type brokenFile struct{ left int }

var errBroken = errors.New("broken")

func (*brokenFile) Reserve(int64) error { return nil }

func (b *brokenFile) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errBroken
	}
	return len(p), nil
}

func TestWriteGGUFFails(t *testing.T) {
	limit, truncate, odd := synthetic(t, tiny(), 1), synthetic(t, tiny(), 1), synthetic(t, tiny(), 1)
	limit.Config.SwiGLULimit = 8
	truncate.Config.YaRNTruncate = true
	odd.Layers[0].GateUp = Experts{Bias: odd.Layers[0].GateUp.Bias, Other: []Matrix{odd.LMHead}}
	tests := map[string]struct {
		c    *Checkpoint
		to   GGUFTarget
		want error
		text string
	}{
		"no room":             {synthetic(t, tiny(), 1), &ggufBuffer{room: 100}, errNoRoom, ""},
		"a disk that fails":   {synthetic(t, tiny(), 1), &brokenFile{0}, errBroken, ""},
		"another limit":       {limit, &ggufBuffer{}, nil, "no place for another swiglu_limit than 7"},
		"a ramp cut to whole": {truncate, &ggufBuffer{}, nil, "nor for truncate"},
		"gate and up in one":  {odd, &ggufBuffer{}, nil, `tensor "blk.0.ffn_gate_exps.weight": experts in 1 tensors, want 2`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			err := tc.c.WriteGGUF(tc.to, nil)
			if tc.want != nil && !errors.Is(err, tc.want) {
				t.Errorf("error %v, want %v", err, tc.want)
			}
			if tc.want == nil {
				wantSentence(t, err, tc.text)
			}
		})
	}
	// A file of many buffers breaks off in the middle.
	big := tiny()
	big.VocabSize = 1 << 17
	if err := synthetic(t, big, 1).WriteGGUF(&brokenFile{5 << 20}, nil); !errors.Is(err, errBroken) {
		t.Errorf("error %v, want %v", err, errBroken)
	}
}

// TestHalves goes through every nibble of a block.
func TestHalves(t *testing.T) {
	for at := range 32 {
		var from, to [blockBytes]byte
		from[at/2] = 0xf << (4 * (at % 2))
		halves(&to, &from)
		var want [blockBytes]byte
		want[at%16] = 0xf << (4 * (at / 16))
		if diff := cmp.Diff(want, to); diff != "" {
			t.Errorf("element %d (-want +got):\n%s", at, diff)
		}
	}
}
