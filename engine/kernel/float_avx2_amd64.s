#include "textflag.h"

// Element-wise kernels with AVX2: 8 float32 at a time, multiplied and added
// separately, as in plain Go.

DATA floats<>+0(SB)/4, $0xc2aeac4f // -87.33654
DATA floats<>+4(SB)/4, $0x42b0c0a5 // 88.37626
DATA floats<>+8(SB)/4, $0x3fb8aa3b // log2 e
DATA floats<>+12(SB)/4, $0x3f318000 // ln 2, upper part
DATA floats<>+16(SB)/4, $0xb95e8083 // ln 2, the rest
DATA floats<>+20(SB)/4, $0x39506967 // expP0
DATA floats<>+24(SB)/4, $0x3ab743ce // expP1
DATA floats<>+28(SB)/4, $0x3c088908 // expP2
DATA floats<>+32(SB)/4, $0x3d2aa9c1 // expP3
DATA floats<>+36(SB)/4, $0x3e2aaaaa // expP4
DATA floats<>+40(SB)/4, $0x3f000000 // expP5
DATA floats<>+44(SB)/4, $0x3f800000 // 1
DATA floats<>+48(SB)/4, $0x40e00000 // swigluLimit
DATA floats<>+52(SB)/4, $0xc0e00000 // -swigluLimit
DATA floats<>+56(SB)/4, $0xbfd9db23 // -swigluAlpha
DATA floats<>+60(SB)/4, $0x0000007f // 127, an integer: the bias of exponents
GLOBL floats<>(SB), RODATA|NOPTR, $64

#define C_LOW floats<>+0(SB)
#define C_HIGH floats<>+4(SB)
#define C_LOG2E floats<>+8(SB)
#define C_LN2_UPPER floats<>+12(SB)
#define C_LN2_LOWER floats<>+16(SB)
#define C_P0 floats<>+20(SB)
#define C_P1 floats<>+24(SB)
#define C_P2 floats<>+28(SB)
#define C_P3 floats<>+32(SB)
#define C_P4 floats<>+36(SB)
#define C_P5 floats<>+40(SB)
#define C_ONE floats<>+44(SB)
#define C_LIMIT floats<>+48(SB)
#define C_MINUS_LIMIT floats<>+52(SB)
#define C_MINUS_ALPHA floats<>+56(SB)
#define C_BIAS floats<>+60(SB)

// X becomes e^X, step by step as exp does it; N, T and P are scratch. An operand
// that may be NaN comes first in VMAXPS and VMINPS, so that it stays NaN.
#define EXP(X, N, T, P) \
	VBROADCASTSS C_LOW, T \
	VMAXPS X, T, X \
	VBROADCASTSS C_HIGH, T \
	VMINPS X, T, X \
	VBROADCASTSS C_LOG2E, T \
	VMULPS T, X, N \
	VROUNDPS $0, N, N \
	VBROADCASTSS C_LN2_UPPER, T \
	VMULPS T, N, T \
	VSUBPS T, X, X \
	VBROADCASTSS C_LN2_LOWER, T \
	VMULPS T, N, T \
	VSUBPS T, X, X \
	VBROADCASTSS C_P0, P \
	VMULPS X, P, P \
	VBROADCASTSS C_P1, T \
	VADDPS T, P, P \
	VMULPS X, P, P \
	VBROADCASTSS C_P2, T \
	VADDPS T, P, P \
	VMULPS X, P, P \
	VBROADCASTSS C_P3, T \
	VADDPS T, P, P \
	VMULPS X, P, P \
	VBROADCASTSS C_P4, T \
	VADDPS T, P, P \
	VMULPS X, P, P \
	VBROADCASTSS C_P5, T \
	VADDPS T, P, P \
	VMULPS X, X, T \
	VMULPS T, P, P \
	VADDPS X, P, P \
	VBROADCASTSS C_ONE, T \
	VADDPS T, P, P \
	VCVTPS2DQ N, N \
	VBROADCASTSS C_BIAS, T \
	VPADDD T, N, N \
	VPSLLD $23, N, N \
	VMULPS N, P, X

// func sumSquaresAssembly(sums *[8]float32, x *float32, n int)
TEXT ·sumSquaresAssembly(SB), NOSPLIT, $0-24
	MOVQ sums+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ n+16(FP), CX
	VMOVUPS (DI), Y0
loop:
	VMOVUPS (SI), Y1
	VMULPS Y1, Y1, Y1
	VADDPS Y1, Y0, Y0
	ADDQ $32, SI
	SUBQ $8, CX
	JNZ loop
	VMOVUPS Y0, (DI)
	VZEROUPPER
	RET

// func dotAssembly(sums *[32]float32, a, b *float32, n int)
//
// n is a multiple of 32; Y0-Y3 hold 32 interleaved sums.
TEXT ·dotAssembly(SB), NOSPLIT, $0-32
	MOVQ sums+0(FP), DI
	MOVQ a+8(FP), SI
	MOVQ b+16(FP), DX
	MOVQ n+24(FP), CX
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3
loop:
	VMOVUPS 0(SI), Y4
	VMOVUPS 32(SI), Y5
	VMOVUPS 64(SI), Y6
	VMOVUPS 96(SI), Y7
	VMULPS 0(DX), Y4, Y4
	VMULPS 32(DX), Y5, Y5
	VMULPS 64(DX), Y6, Y6
	VMULPS 96(DX), Y7, Y7
	VADDPS Y4, Y0, Y0
	VADDPS Y5, Y1, Y1
	VADDPS Y6, Y2, Y2
	VADDPS Y7, Y3, Y3
	ADDQ $128, SI
	ADDQ $128, DX
	SUBQ $32, CX
	JNZ loop
	VMOVUPS Y0, 0(DI)
	VMOVUPS Y1, 32(DI)
	VMOVUPS Y2, 64(DI)
	VMOVUPS Y3, 96(DI)
	VZEROUPPER
	RET

// func scaleByAssembly(dst, x, weight *float32, factor float32, n int)
TEXT ·scaleByAssembly(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ weight+16(FP), DX
	VBROADCASTSS factor+24(FP), Y0
	MOVQ n+32(FP), CX
loop:
	VMULPS (SI), Y0, Y1
	VMULPS (DX), Y1, Y1
	VMOVUPS Y1, (DI)
	ADDQ $32, SI
	ADDQ $32, DX
	ADDQ $32, DI
	SUBQ $8, CX
	JNZ loop
	VZEROUPPER
	RET

// func axpyAssembly(dst *float32, a float32, x *float32, n int)
TEXT ·axpyAssembly(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	VBROADCASTSS a+8(FP), Y0
	MOVQ x+16(FP), SI
	MOVQ n+24(FP), CX
loop:
	VMULPS (SI), Y0, Y1
	VADDPS (DI), Y1, Y1
	VMOVUPS Y1, (DI)
	ADDQ $32, SI
	ADDQ $32, DI
	SUBQ $8, CX
	JNZ loop
	VZEROUPPER
	RET

// func swigluAssembly(dst, gateUp *float32, n int)
TEXT ·swigluAssembly(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ gateUp+8(FP), SI
	MOVQ n+16(FP), CX
	VBROADCASTSS C_LIMIT, Y8
	VBROADCASTSS C_MINUS_LIMIT, Y9
	VBROADCASTSS C_MINUS_ALPHA, Y10
	VBROADCASTSS C_ONE, Y11
loop:
	// Of 8 pairs, Y2 takes gates and Y3 ups in the order 0 1 4 5 2 3 6 7.
	VMOVUPS 0(SI), Y0
	VMOVUPS 32(SI), Y1
	VSHUFPS $0x88, Y1, Y0, Y2
	VSHUFPS $0xdd, Y1, Y0, Y3
	VMINPS Y2, Y8, Y2
	VMINPS Y3, Y8, Y3
	VMAXPS Y3, Y9, Y3
	VMULPS Y10, Y2, Y4
	EXP(Y4, Y5, Y6, Y7)
	VADDPS Y11, Y4, Y4
	VDIVPS Y4, Y11, Y4
	VMULPS Y4, Y2, Y2
	VADDPS Y11, Y3, Y3
	VMULPS Y3, Y2, Y2
	VPERMPD $0xd8, Y2, Y2
	VMOVUPS Y2, (DI)
	ADDQ $64, SI
	ADDQ $32, DI
	SUBQ $8, CX
	JNZ loop
	VZEROUPPER
	RET

// func ropeAssembly(x, cos, sin *float32, half, heads int)
//
// Element i of a head pairs with element i+half; half is a multiple of 8.
TEXT ·ropeAssembly(SB), NOSPLIT, $0-40
	MOVQ x+0(FP), DI
	MOVQ half+24(FP), DX
	MOVQ heads+32(FP), CX
	LEAQ (DI)(DX*4), R8
head:
	MOVQ cos+8(FP), SI
	MOVQ sin+16(FP), R9
	MOVQ DX, BX
pairs:
	VMOVUPS (DI), Y0
	VMOVUPS (R8), Y1
	VMOVUPS (SI), Y2
	VMOVUPS (R9), Y3
	VMULPS Y2, Y0, Y4
	VMULPS Y3, Y1, Y5
	VSUBPS Y5, Y4, Y4
	VMULPS Y2, Y1, Y6
	VMULPS Y3, Y0, Y7
	VADDPS Y7, Y6, Y6
	VMOVUPS Y4, (DI)
	VMOVUPS Y6, (R8)
	ADDQ $32, DI
	ADDQ $32, R8
	ADDQ $32, SI
	ADDQ $32, R9
	SUBQ $8, BX
	JNZ pairs
	LEAQ (DI)(DX*4), DI
	LEAQ (R8)(DX*4), R8
	DECQ CX
	JNZ head
	VZEROUPPER
	RET

// func softmaxStepAssembly(scores *float32, tokens int, state *softmaxState)
//
// A lane is a query head. Y4 is the top before, Y5 after; Y6 the sum.
TEXT ·softmaxStepAssembly(SB), NOSPLIT, $0-24
	MOVQ scores+0(FP), SI
	MOVQ tokens+8(FP), CX
	MOVQ state+16(FP), DX
	VMOVUPS 0(DX), Y4
	VMOVUPS Y4, Y5
	MOVQ SI, R8
	MOVQ CX, R9
top:
	VMOVUPS (R8), Y0
	VMAXPS Y0, Y5, Y5
	ADDQ $32, R8
	DECQ R9
	JNZ top
	VMOVUPS Y5, 0(DX)
	VSUBPS Y5, Y4, Y0
	EXP(Y0, Y1, Y2, Y3)
	VMOVUPS Y0, 64(DX)
	VMULPS 32(DX), Y0, Y6
weights:
	VMOVUPS (SI), Y0
	VSUBPS Y5, Y0, Y0
	EXP(Y0, Y1, Y2, Y3)
	VMOVUPS Y0, (SI)
	VADDPS Y0, Y6, Y6
	ADDQ $32, SI
	DECQ CX
	JNZ weights
	VMOVUPS Y6, 32(DX)
	VZEROUPPER
	RET

// Where bytes 0 to 31 of a block come from after packing within 128-bit halves.
DATA unpack<>+0(SB)/8, $0x0000000400000000
DATA unpack<>+8(SB)/8, $0x0000000500000001
DATA unpack<>+16(SB)/8, $0x0000000600000002
DATA unpack<>+24(SB)/8, $0x0000000700000003
GLOBL unpack<>(SB), RODATA|NOPTR, $32

// X0 becomes its horizontal OP in every lane, through X1.
#define ACROSS(OP, Y, X, T) \
	VEXTRACTI128 $1, Y, T \
	OP T, X, X \
	VPSHUFD $0x4e, X, T \
	OP T, X, X \
	VPSHUFD $0xb1, X, T \
	OP T, X, X

// func quantiseAssembly(dst *Block, x *float32, blocks int)
TEXT ·quantiseAssembly(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ blocks+16(FP), CX
	VPCMPEQD Y15, Y15, Y15
	VPSRLD $1, Y15, Y15
	MOVL $0x42fe0000, AX
	VMOVD AX, X13
	VMOVDQU unpack<>(SB), Y14
loop:
	VMOVUPS 0(SI), Y0
	VMOVUPS 32(SI), Y1
	VMOVUPS 64(SI), Y2
	VMOVUPS 96(SI), Y3
	VPAND Y15, Y0, Y4
	VPAND Y15, Y1, Y5
	VPAND Y15, Y2, Y6
	VPAND Y15, Y3, Y7
	VPMAXUD Y5, Y4, Y4
	VPMAXUD Y7, Y6, Y6
	VPMAXUD Y6, Y4, Y4
	ACROSS(VPMAXUD, Y4, X4, X5)
	VMOVD X4, AX
	CMPL AX, $0x7f800000 // infinity
	JCC infinite
	CMPL AX, $0x0d800000 // 2^-100
	JCS zero
	VDIVSS X13, X4, X5
	VMOVSS X5, 32(DI)
	VDIVSS X4, X13, X5
	VBROADCASTSS X5, Y5
	VMULPS Y5, Y0, Y0
	VMULPS Y5, Y1, Y1
	VMULPS Y5, Y2, Y2
	VMULPS Y5, Y3, Y3
	VCVTPS2DQ Y0, Y0
	VCVTPS2DQ Y1, Y1
	VCVTPS2DQ Y2, Y2
	VCVTPS2DQ Y3, Y3
	VPADDD Y1, Y0, Y4
	VPADDD Y3, Y2, Y5
	VPADDD Y5, Y4, Y4
	ACROSS(VPADDD, Y4, X4, X5)
	VMOVD X4, AX
	SHLL $4, AX
	NEGL AX
	MOVL AX, 36(DI)
	VPACKSSDW Y1, Y0, Y0
	VPACKSSDW Y3, Y2, Y2
	VPACKSSWB Y2, Y0, Y0
	VPERMD Y0, Y14, Y0
	VMOVDQU Y0, 0(DI)
next:
	ADDQ $128, SI
	ADDQ $40, DI
	DECQ CX
	JNZ loop
	VZEROUPPER
	RET
infinite:
	MOVL $0x7fc00000, AX
	JMP empty
zero:
	XORL AX, AX
empty:
	VPXOR X0, X0, X0
	VMOVDQU Y0, 0(DI)
	MOVL AX, 32(DI)
	MOVL $0, 36(DI)
	JMP next
