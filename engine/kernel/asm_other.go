//go:build !amd64 && !arm64

package kernel

// haveAssembly is false where only plain Go serves: Select then returns no variant
// that would call one of the functions below.
const haveAssembly = false

type kind uint8

const (
	kindMXFP4 kind = iota
	kindInt8
)

const noAssembly = "kernel: no assembly for this architecture"

func mulTileAssembly(variant, kind, *tileSums, []byte, []byte, [][]Block) int { panic(noAssembly) }

func quantiseAssembly(*Block, *float32, int) { panic(noAssembly) }

func sumSquaresAssembly(*[lanes]float32, *float32, int) { panic(noAssembly) }

func dotAssembly(*[dotLanes]float32, *float32, *float32, int) { panic(noAssembly) }

func scaleByAssembly(_, _, _ *float32, _ float32, _ int) { panic(noAssembly) }

func axpyAssembly(*float32, float32, *float32, int) { panic(noAssembly) }

func swigluAssembly(_, _ *float32, _ int) { panic(noAssembly) }

func ropeAssembly(_, _, _ *float32, _, _ int) { panic(noAssembly) }

func widenAssembly(*float32, *uint16, int) { panic(noAssembly) }

func scoresAssembly(_, _, _ *float32, _, _ int) { panic(noAssembly) }

func softmaxStepAssembly(*float32, int, *softmaxState) { panic(noAssembly) }

func accumulateAssembly(_, _ *float32, _ *uint16, _ *float32, _, _ int) { panic(noAssembly) }

func (Kernel) assemblyPeak() bool { return false }

func (Kernel) peak(rounds int) (operations int64) { return peakGeneric(rounds) }

func readAssembly(*byte, int) uint64 { panic(noAssembly) }
