// Command vocabulary packs o200k_base.tiktoken for package o200k.
//
//	go run ./vocabulary o200k_base.tiktoken ../../engine/tokenizer/o200k/vocabulary.gz
package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"strconv"
)

// want is the SHA-256 that tiktoken and openai-harmony pin.
const want = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: vocabulary o200k_base.tiktoken vocabulary.gz")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "vocabulary:", err)
		os.Exit(1)
	}
}

func run(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != want {
		return fmt.Errorf("%s has SHA-256 %x, want %s", from, sum, want)
	}
	packed, err := pack(data)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	return os.WriteFile(to, packed, 0o644)
}

// pack writes the lengths of all tokens, then their bytes.
func pack(data []byte) ([]byte, error) {
	var lengths, text []byte
	for line := range bytes.Lines(data) {
		code, rank, _ := bytes.Cut(bytes.TrimSpace(line), []byte(" "))
		token, err := base64.StdEncoding.AppendDecode(nil, code)
		if err != nil {
			return nil, err
		}
		if string(rank) != strconv.Itoa(len(lengths)) || len(token) > math.MaxUint8 {
			return nil, fmt.Errorf("line %d: rank %s, %d bytes", len(lengths)+1, rank, len(token))
		}
		lengths = append(lengths, byte(len(token)))
		text = append(text, token...)
	}
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(append(lengths, text...)); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
