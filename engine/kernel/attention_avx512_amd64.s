#include "textflag.h"

// Attention of two tokens at once with AVX-512: a register holds 8 query heads of
// one and 8 of the other, and every key and value is fetched for both. Each lane does
// what it does with AVX2, in the same order, so the results are the same.

DATA floats512<>+0(SB)/4, $0xc2aeac4f // -87.33654
DATA floats512<>+4(SB)/4, $0x42b0c0a5 // 88.37626
DATA floats512<>+8(SB)/4, $0x3fb8aa3b // log2 e
DATA floats512<>+12(SB)/4, $0x3f318000 // ln 2, upper part
DATA floats512<>+16(SB)/4, $0xb95e8083 // ln 2, the rest
DATA floats512<>+20(SB)/4, $0x39506967 // expP0
DATA floats512<>+24(SB)/4, $0x3ab743ce // expP1
DATA floats512<>+28(SB)/4, $0x3c088908 // expP2
DATA floats512<>+32(SB)/4, $0x3d2aa9c1 // expP3
DATA floats512<>+36(SB)/4, $0x3e2aaaaa // expP4
DATA floats512<>+40(SB)/4, $0x3f000000 // expP5
DATA floats512<>+44(SB)/4, $0x3f800000 // 1
DATA floats512<>+48(SB)/4, $0x0000007f // 127, an integer: the bias of exponents
GLOBL floats512<>(SB), RODATA|NOPTR, $52

#define CONSTANT(I, Z) VBROADCASTSS floats512<>+(4*I)(SB), Z

// Z16-Z28 hold the constants in the order of floats512.
#define EXP_CONSTANTS \
	CONSTANT(0, Z16) \
	CONSTANT(1, Z17) \
	CONSTANT(2, Z18) \
	CONSTANT(3, Z19) \
	CONSTANT(4, Z20) \
	CONSTANT(5, Z21) \
	CONSTANT(6, Z22) \
	CONSTANT(7, Z23) \
	CONSTANT(8, Z24) \
	CONSTANT(9, Z25) \
	CONSTANT(10, Z26) \
	CONSTANT(11, Z27) \
	CONSTANT(12, Z28)

// X becomes e^X, step by step as exp does it; N, T and P are scratch. An operand
// that may be NaN comes first in VMAXPS and VMINPS, so that it stays NaN.
#define EXP(X, N, T, P) \
	VMAXPS X, Z16, X \
	VMINPS X, Z17, X \
	VMULPS Z18, X, N \
	VRNDSCALEPS $0, N, N \
	VMULPS Z19, N, T \
	VSUBPS T, X, X \
	VMULPS Z20, N, T \
	VSUBPS T, X, X \
	VMULPS X, Z21, P \
	VADDPS Z22, P, P \
	VMULPS X, P, P \
	VADDPS Z23, P, P \
	VMULPS X, P, P \
	VADDPS Z24, P, P \
	VMULPS X, P, P \
	VADDPS Z25, P, P \
	VMULPS X, P, P \
	VADDPS Z26, P, P \
	VMULPS X, X, T \
	VMULPS T, P, P \
	VADDPS X, P, P \
	VADDPS Z27, P, P \
	VCVTPS2DQ N, N \
	VPADDD Z28, N, N \
	VPSLLD $23, N, N \
	VMULPS N, P, X

// func scoresPairAVX512(dst, q, keys *float32, dim, groups int)
//
// 8 tokens at a time in Z0-Z7, whose keys begin at R8 + 0, 1, 2, 4·DX,
// R9 + 0, 2, 4·DX (3, 5, 7) and R10 (6), where DX is the size of a row.
TEXT ·scoresPairAVX512(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ keys+16(FP), R11
	MOVQ dim+24(FP), DX
	MOVQ groups+32(FP), BX
	SHLQ $2, DX
group:
	MOVQ q+8(FP), SI
	MOVQ dim+24(FP), CX
	MOVQ R11, R8
	LEAQ (R8)(DX*2), R9
	ADDQ DX, R9
	LEAQ (R9)(DX*2), R10
	ADDQ DX, R10
	VPXORD Z0, Z0, Z0
	VPXORD Z1, Z1, Z1
	VPXORD Z2, Z2, Z2
	VPXORD Z3, Z3, Z3
	VPXORD Z4, Z4, Z4
	VPXORD Z5, Z5, Z5
	VPXORD Z6, Z6, Z6
	VPXORD Z7, Z7, Z7
loop:
	VMOVUPS (SI), Z8
	VFMADD231PS.BCST (R8), Z8, Z0
	VFMADD231PS.BCST (R8)(DX*1), Z8, Z1
	VFMADD231PS.BCST (R8)(DX*2), Z8, Z2
	VFMADD231PS.BCST (R9), Z8, Z3
	VFMADD231PS.BCST (R8)(DX*4), Z8, Z4
	VFMADD231PS.BCST (R9)(DX*2), Z8, Z5
	VFMADD231PS.BCST (R10), Z8, Z6
	VFMADD231PS.BCST (R9)(DX*4), Z8, Z7
	ADDQ $64, SI
	ADDQ $4, R8
	ADDQ $4, R9
	ADDQ $4, R10
	DECQ CX
	JNZ loop
	VMOVUPS Z0, 0(DI)
	VMOVUPS Z1, 64(DI)
	VMOVUPS Z2, 128(DI)
	VMOVUPS Z3, 192(DI)
	VMOVUPS Z4, 256(DI)
	VMOVUPS Z5, 320(DI)
	VMOVUPS Z6, 384(DI)
	VMOVUPS Z7, 448(DI)
	ADDQ $512, DI
	LEAQ (R11)(DX*8), R11
	DECQ BX
	JNZ group
	VZEROUPPER
	RET

// func softmaxPairAVX512(scores *float32, tokens int, state *pairState)
//
// Z4 is the top before, Z5 after; Z6 the sum.
TEXT ·softmaxPairAVX512(SB), NOSPLIT, $0-24
	MOVQ scores+0(FP), SI
	MOVQ tokens+8(FP), CX
	MOVQ state+16(FP), DX
	EXP_CONSTANTS
	VMOVUPS 0(DX), Z4
	VMOVAPS Z4, Z5
	MOVQ SI, R8
	MOVQ CX, R9
top:
	VMOVUPS (R8), Z0
	VMAXPS Z0, Z5, Z5
	ADDQ $64, R8
	DECQ R9
	JNZ top
	VMOVUPS Z5, 0(DX)
	VSUBPS Z5, Z4, Z0
	EXP(Z0, Z1, Z2, Z3)
	VMOVUPS Z0, 128(DX)
	VMULPS 64(DX), Z0, Z6
weights:
	VMOVUPS (SI), Z0
	VSUBPS Z5, Z0, Z0
	EXP(Z0, Z1, Z2, Z3)
	VMOVUPS Z0, (SI)
	VADDPS Z0, Z6, Z6
	ADDQ $64, SI
	DECQ CX
	JNZ weights
	VMOVUPS Z6, 64(DX)
	VZEROUPPER
	RET

// A head's weight of a token times 32 dimensions of its value.
#define WEIGH(HEAD, A, B) \
	VBROADCASTSS (4*HEAD)(SI), Z18 \
	VFMADD231PS Z16, Z18, A \
	VFMADD231PS Z17, Z18, B
#define START(HEAD, FROM, AND, A, B) \
	VBROADCASTSS (4*HEAD)(AX), Z18 \
	VMULPS FROM, Z18, A \
	VMULPS AND, Z18, B
#define STORE(TO, AND, A, B) \
	VMOVUPS A, TO \
	VMOVUPS B, AND

// func accumulatePairAVX512(acc, weights *float32, values *uint16, factor *float32, dim, tokens int)
//
// 32 dimensions of 8 heads at a time in Z0-Z15, those of one token first. Their sums
// begin at R8, R9 and R10 as keys do above, where DX is the size of a row; R12 is the
// value of a token, R13 that of the first, R15 the size of one.
TEXT ·accumulatePairAVX512(SB), NOSPLIT, $0-48
	MOVQ acc+0(FP), R8
	MOVQ weights+8(FP), DI
	MOVQ factor+24(FP), AX
	MOVQ dim+32(FP), DX
	LEAQ (DX)(DX*1), R15
	SHLQ $2, DX
	MOVQ $2, R14
heads:
	LEAQ (R8)(DX*2), R9
	ADDQ DX, R9
	LEAQ (R9)(DX*2), R10
	ADDQ DX, R10
	MOVQ values+16(FP), R13
	MOVQ dim+32(FP), BX
dims:
	START(0, 0(R8), 64(R8), Z0, Z1)
	START(1, 0(R8)(DX*1), 64(R8)(DX*1), Z2, Z3)
	START(2, 0(R8)(DX*2), 64(R8)(DX*2), Z4, Z5)
	START(3, 0(R9), 64(R9), Z6, Z7)
	START(4, 0(R8)(DX*4), 64(R8)(DX*4), Z8, Z9)
	START(5, 0(R9)(DX*2), 64(R9)(DX*2), Z10, Z11)
	START(6, 0(R10), 64(R10), Z12, Z13)
	START(7, 0(R9)(DX*4), 64(R9)(DX*4), Z14, Z15)
	MOVQ DI, SI
	MOVQ R13, R12
	MOVQ tokens+40(FP), CX
loop:
	VPMOVZXWD 0(R12), Z16
	VPMOVZXWD 32(R12), Z17
	VPSLLD $16, Z16, Z16
	VPSLLD $16, Z17, Z17
	WEIGH(0, Z0, Z1)
	WEIGH(1, Z2, Z3)
	WEIGH(2, Z4, Z5)
	WEIGH(3, Z6, Z7)
	WEIGH(4, Z8, Z9)
	WEIGH(5, Z10, Z11)
	WEIGH(6, Z12, Z13)
	WEIGH(7, Z14, Z15)
	ADDQ $64, SI
	ADDQ R15, R12
	DECQ CX
	JNZ loop
	STORE(0(R8), 64(R8), Z0, Z1)
	STORE(0(R8)(DX*1), 64(R8)(DX*1), Z2, Z3)
	STORE(0(R8)(DX*2), 64(R8)(DX*2), Z4, Z5)
	STORE(0(R9), 64(R9), Z6, Z7)
	STORE(0(R8)(DX*4), 64(R8)(DX*4), Z8, Z9)
	STORE(0(R9)(DX*2), 64(R9)(DX*2), Z10, Z11)
	STORE(0(R10), 64(R10), Z12, Z13)
	STORE(0(R9)(DX*4), 64(R9)(DX*4), Z14, Z15)
	ADDQ $128, R8
	ADDQ $128, R9
	ADDQ $128, R10
	ADDQ $64, R13
	SUBQ $32, BX
	JNZ dims
	LEAQ (R9)(DX*4), R8 // R8 has gone one row on, R9 is three after it: the eighth after the first
	ADDQ $32, DI
	ADDQ $32, AX
	DECQ R14
	JNZ heads
	VZEROUPPER
	RET
