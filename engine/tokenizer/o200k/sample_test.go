package o200k

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/gptoss/gptoss-operator/engine/tokenizer"
)

// chunk is a text of the sample and what tiktoken makes of it; see
// hack/tokenizer-check/sample.py.
type chunk struct {
	Kind, Text string
	Tokens     int
	IDs        string
}

func readSample(t testing.TB) (chunks []chunk) {
	t.Helper()
	f, err := os.Open("testdata/sample.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var c chunk
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		chunks = append(chunks, c)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return chunks
}

func digest(ids []int32) string {
	var b []byte
	for _, id := range ids {
		b = binary.LittleEndian.AppendUint32(b, uint32(id))
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])[:16]
}

func TestEncodingEqualsTiktoken(t *testing.T) {
	tok := harmony(t)
	size, failures := 0, 0
	for i, c := range readSample(t) {
		size += len(c.Text)
		ids := tok.Encode(c.Text)
		if digest(ids) == c.IDs {
			continue
		}
		t.Errorf("chunk %d, %s: %d tokens, want %d with other ids: %q", i, c.Kind, len(ids), c.Tokens, c.Text)
		if failures++; failures == 5 {
			break
		}
	}
	if !t.Failed() && size < 1_000_000 {
		t.Errorf("the sample has %d bytes, want a million", size)
	}
}

// TestDecodingGivesTheTextBack decodes token by token, as a stream would.
func TestDecodingGivesTheTextBack(t *testing.T) {
	tok := harmony(t)
	for i, c := range readSample(t) {
		var b strings.Builder
		d := tok.NewDecoder()
		for _, id := range tok.Encode(c.Text) {
			b.WriteString(d.Push(id))
		}
		b.WriteString(d.Flush())
		if b.String() != c.Text {
			t.Fatalf("chunk %d, %s, is decoded as %q, want %q", i, c.Kind, b.String(), c.Text)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	tok := harmony(b)
	texts := map[string]string{}
	for _, c := range readSample(b) {
		texts[c.Kind] += c.Text
	}
	// A megabyte of what a careless implementation needs quadratic time for.
	for name, unit := range map[string]string{"one letter": "a", "blanks": " ", "marks alone": "\u0301", "broken bytes": "\xff"} {
		texts[name] = strings.Repeat(unit, (1<<20)/len(unit))
	}
	for name, text := range texts {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			var ids []int32
			for b.Loop() {
				ids = tok.Append(ids[:0], text)
			}
		})
	}
}

func harmony(t testing.TB) *tokenizer.Tokenizer {
	t.Helper()
	tok, err := Harmony()
	if err != nil {
		t.Fatal(err)
	}
	return tok
}
