package kernel

import (
	"fmt"
	"strings"

	"golang.org/x/sys/cpu"
)

// variant names an instruction set. Plain Go is the first, so whatever is above it is assembly.
type variant uint8

const (
	generic variant = iota
	avx2
	avx512
	neon
	dotprod
)

var variantNames = [...]string{generic: "generic", avx2: "avx2", avx512: "avx512", neon: "neon", dotprod: "dotprod"}

// Kernel is a set of kernels for one instruction set. The zero value is plain Go.
type Kernel struct{ variant variant }

// Select returns the kernels of the given name: "generic", on amd64 "avx2" or
// "avx512", on arm64 "neon" or "dotprod"; or the best ones this processor has if
// name is empty. A name that is unknown, or that the processor cannot run, is an error.
func Select(name string) (Kernel, error) {
	if name == "" {
		return Kernel{detect()}, nil
	}
	can := variants()
	var runs []string
	for _, v := range can {
		if variantNames[v] == name {
			return Kernel{v}, nil
		}
		runs = append(runs, variantNames[v])
	}
	for _, n := range variantNames {
		if n == name {
			return Kernel{}, fmt.Errorf("kernel: this processor cannot run %q, only %s", name, strings.Join(runs, ", "))
		}
	}
	return Kernel{}, fmt.Errorf("kernel: unknown variant %q, want one of %s", name, strings.Join(variantNames[:], ", "))
}

// String returns the name that [Select] knows the kernels by.
func (k Kernel) String() string { return variantNames[k.variant] }

// detect returns the best variant that can run here.
func detect() variant {
	can := variants()
	return can[len(can)-1]
}

// variants asks the processor and the operating system what they can run, and
// returns it from the slowest to the fastest.
func variants() []variant {
	can := []variant{generic}
	if !haveAssembly {
		return can
	}
	x, a := &cpu.X86, &cpu.ARM64
	if x.HasAVX2 && x.HasFMA {
		can = append(can, avx2)
		if x.HasAVX512F && x.HasAVX512BW && x.HasAVX512VNNI {
			can = append(can, avx512)
		}
	}
	if a.HasASIMD {
		can = append(can, neon)
		if a.HasASIMDDP {
			can = append(can, dotprod)
		}
	}
	return can
}
