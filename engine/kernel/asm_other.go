//go:build !amd64

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

func quantiseAVX2(*Block, *float32, int) { panic(noAssembly) }

func sumSquaresAVX2(*[lanes]float32, *float32, int) { panic(noAssembly) }

func dotAVX2(*[dotLanes]float32, *float32, *float32, int) { panic(noAssembly) }

func scaleByAVX2(_, _, _ *float32, _ float32, _ int) { panic(noAssembly) }

func axpyAVX2(*float32, float32, *float32, int) { panic(noAssembly) }

func swigluAVX2(_, _ *float32, _ int) { panic(noAssembly) }

func ropeAVX2(_, _, _ *float32, _, _ int) { panic(noAssembly) }

func widenAVX2(*float32, *uint16, int) { panic(noAssembly) }

func scoresAVX2(_, _, _ *float32, _, _ int) { panic(noAssembly) }

func softmaxStepAVX2(*float32, int, *softmaxState) { panic(noAssembly) }

func accumulateAVX2(_, _ *float32, _ *uint16, _ *float32, _, _ int) { panic(noAssembly) }
