package check_test

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	other "github.com/tiktoken-go/tokenizer"

	"github.com/gptoss/gptoss-operator/engine/tokenizer/o200k"
)

// sample returns the sample's texts, those of a kind joined.
func sample(b *testing.B) map[string]string {
	b.Helper()
	f, err := os.Open("../../engine/tokenizer/o200k/testdata/sample.jsonl.gz")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		b.Fatal(err)
	}
	texts := map[string]*strings.Builder{}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var chunk struct{ Kind, Text string }
		if err := json.Unmarshal(lines.Bytes(), &chunk); err != nil {
			b.Fatal(err)
		}
		if texts[chunk.Kind] == nil {
			texts[chunk.Kind] = &strings.Builder{}
		}
		texts[chunk.Kind].WriteString(chunk.Text)
	}
	if err := lines.Err(); err != nil {
		b.Fatal(err)
	}
	out := map[string]string{}
	for kind, text := range texts {
		out[kind] = text.String()
	}
	return out
}

// BenchmarkEncode sets engine/tokenizer beside github.com/tiktoken-go/tokenizer.
func BenchmarkEncode(b *testing.B) {
	ours, err := o200k.Harmony()
	if err != nil {
		b.Fatal(err)
	}
	theirs, err := other.Get(other.O200kBase)
	if err != nil {
		b.Fatal(err)
	}
	texts := sample(b)
	for _, kind := range []string{"prose", "code", "scripts", "emoji"} {
		text := texts[kind]
		if text == "" {
			b.Fatalf("the sample holds no %s", kind)
		}
		b.Run(kind+"/engine", func(b *testing.B) {
			measure(b, len(text), func() error {
				ours.Encode(text)
				return nil
			})
		})
		b.Run(kind+"/tiktoken-go", func(b *testing.B) {
			measure(b, len(text), func() error {
				_, _, err := theirs.Encode(text)
				return err
			})
		})
	}
}

// measure reports MB by second of processor time as well: on a busy machine the
// time on the clock says little.
func measure(b *testing.B, size int, encode func() error) {
	b.Helper()
	b.SetBytes(int64(size))
	begin := processor(b)
	for b.Loop() {
		if err := encode(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(size)*float64(b.N)/1e6/(processor(b)-begin).Seconds(), "MB/cpu-s")
}

func processor(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
