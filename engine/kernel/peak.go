package kernel

import "encoding/binary"

const (
	// peakBlock is how many rounds of [Kernel.Peak] run without a look at anything else.
	peakBlock = 1 << 12
	// readBlock is how many bytes the assembly of [Kernel.Read] takes at once.
	readBlock = 512
)

// Peak multiplies bytes and adds them up, all in registers, with the instructions that products of packed weights spend
// their time in: what a processor can do at best. It runs for at least so many rounds, which take nanoseconds each, and
// returns how many operations it did, multiplications and additions counted separately.
func (k Kernel) Peak(rounds int) (operations int64) {
	for done := 0; done < rounds; done += peakBlock {
		operations += peakBlock * k.peak(peakBlock)
	}
	return operations
}

// Read reads b once, front to back, as the kernels read packed weights, and does next to nothing with it: what memory can
// deliver at best. It returns the exclusive or of its little-endian 64-bit words, the last one filled up with zeros.
func (k Kernel) Read(b []byte) uint64 {
	var x uint64
	if k.assemblyPeak() && len(b) >= readBlock {
		whole := len(b) / readBlock
		x = readAssembly(&b[0], whole)
		b = b[whole*readBlock:]
	}
	for ; len(b) >= 64; b = b[64:] {
		w := (*[64]byte)(b)
		x ^= binary.LittleEndian.Uint64(w[0:]) ^ binary.LittleEndian.Uint64(w[8:]) ^
			binary.LittleEndian.Uint64(w[16:]) ^ binary.LittleEndian.Uint64(w[24:]) ^
			binary.LittleEndian.Uint64(w[32:]) ^ binary.LittleEndian.Uint64(w[40:]) ^
			binary.LittleEndian.Uint64(w[48:]) ^ binary.LittleEndian.Uint64(w[56:])
	}
	var last [64]byte
	copy(last[:], b)
	for i := 0; i < len(b); i += 8 {
		x ^= binary.LittleEndian.Uint64(last[i:])
	}
	return x
}

// peakGeneric does 32 multiplications and 32 additions a round, as the products in plain Go do them.
func peakGeneric(rounds int) (operations int64) {
	var w, x [BlockLen]int8
	for i := range w {
		w[i], x[i] = int8(i), int8(rounds-i)
	}
	var sum int32
	for range rounds {
		for c, v := range &x {
			sum += int32(w[c]) * int32(v)
		}
		w[sum&(BlockLen-1)]++ // so that no round is like the one before
	}
	peakSink(sum)
	return 2 * BlockLen
}

// peakSink makes the compiler believe that somebody wants the sum.
//
//go:noinline
func peakSink(int32) {}
