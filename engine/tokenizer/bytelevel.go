package tokenizer

import "unicode/utf8"

// The byte-level alphabet of GPT-2 writes each byte as one printable character:
// printable Latin-1 as itself, the other 68 bytes in order from U+0100 on.

func printable(b int) bool {
	return b >= '!' && b <= '~' || b >= 0xa1 && b <= 0xac || b >= 0xae && b <= 0xff
}

// byteOf maps the alphabet, which ends at U+0143, to bytes, and the rest to -1.
var byteOf = func() (table [0x144]int16) {
	for i := range table {
		table[i] = -1
	}
	next := 0x100
	for b := range 256 {
		if printable(b) {
			table[b] = int16(b)
			continue
		}
		table[next] = int16(b)
		next++
	}
	return table
}()

// fromByteLevel returns the bytes that a token of a vocabulary stands for.
func fromByteLevel(text string) ([]byte, bool) {
	out := make([]byte, 0, len(text))
	for _, r := range text {
		if r == utf8.RuneError || int(r) >= len(byteOf) || byteOf[r] < 0 {
			return nil, false
		}
		out = append(out, byte(byteOf[r]))
	}
	return out, true
}
