package kernel

import (
	"fmt"

	"golang.org/x/sys/cpu"
)

// variant orders the instruction sets, each a superset of the one before.
type variant uint8

const (
	generic variant = iota
	avx2
	avx512
)

var variantNames = [...]string{generic: "generic", avx2: "avx2", avx512: "avx512"}

// Kernel is a set of kernels for one instruction set. The zero value is plain Go.
type Kernel struct{ variant variant }

// Select returns the kernels of the given name: "generic", "avx2" or "avx512", or
// the best ones this processor has if name is empty. A name that is unknown, or
// that the processor cannot run, is an error.
func Select(name string) (Kernel, error) {
	best := detect()
	if name == "" {
		return Kernel{best}, nil
	}
	for v, n := range variantNames {
		if n != name {
			continue
		}
		if variant(v) > best {
			return Kernel{}, fmt.Errorf("kernel: this processor cannot run %q, its best is %q", name, variantNames[best])
		}
		return Kernel{variant(v)}, nil
	}
	return Kernel{}, fmt.Errorf("kernel: unknown variant %q, want generic, avx2 or avx512", name)
}

// String returns the name that [Select] knows the kernels by.
func (k Kernel) String() string { return variantNames[k.variant] }

// detect asks the processor and the operating system what they can run.
func detect() variant {
	x := &cpu.X86
	switch {
	case !haveAssembly || !x.HasAVX2:
		return generic
	case x.HasAVX512F && x.HasAVX512BW && x.HasAVX512VNNI:
		return avx512
	default:
		return avx2
	}
}
