#include "textflag.h"

// The two products of attention with AVX2. Nothing is ever summed across lanes: of
// the first a lane is one of 8 query heads that share a key-value head, of the
// second a dimension.
//
//	scores[token][head] = Σ over d of  key[token][d] · query[d][head]
//	acc[head][d]       += Σ over token of  weight[token][head] · value[token][d]
//
// Keys are broadcast one number at a time from rows widened to float32.

// func widenAssembly(dst *float32, src *uint16, n int)
TEXT ·widenAssembly(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
loop:
	VPMOVZXWD (SI), Y0
	VPSLLD $16, Y0, Y0
	VMOVUPS Y0, (DI)
	ADDQ $16, SI
	ADDQ $32, DI
	SUBQ $8, CX
	JNZ loop
	VZEROUPPER
	RET

#define MULADD(FACTOR, WITH, T, SUM) \
	VBROADCASTSS FACTOR, T \
	VFMADD231PS WITH, T, SUM

// func scoresAssembly(dst, q, keys *float32, dim, groups int)
//
// 8 tokens at a time in Y0-Y7, whose keys begin at R8 + 0, 1, 2, 4·DX,
// R9 + 0, 2, 4·DX (3, 5, 7) and R10 (6), where DX is the size of a row.
TEXT ·scoresAssembly(SB), NOSPLIT, $0-40
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
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3
	VXORPS Y4, Y4, Y4
	VXORPS Y5, Y5, Y5
	VXORPS Y6, Y6, Y6
	VXORPS Y7, Y7, Y7
loop:
	VMOVUPS (SI), Y8
	MULADD((R8), Y8, Y9, Y0)
	MULADD((R8)(DX*1), Y8, Y10, Y1)
	MULADD((R8)(DX*2), Y8, Y11, Y2)
	MULADD((R9), Y8, Y12, Y3)
	MULADD((R8)(DX*4), Y8, Y9, Y4)
	MULADD((R9)(DX*2), Y8, Y10, Y5)
	MULADD((R10), Y8, Y11, Y6)
	MULADD((R9)(DX*4), Y8, Y12, Y7)
	ADDQ $32, SI
	ADDQ $4, R8
	ADDQ $4, R9
	ADDQ $4, R10
	DECQ CX
	JNZ loop
	VMOVUPS Y0, 0(DI)
	VMOVUPS Y1, 32(DI)
	VMOVUPS Y2, 64(DI)
	VMOVUPS Y3, 96(DI)
	VMOVUPS Y4, 128(DI)
	VMOVUPS Y5, 160(DI)
	VMOVUPS Y6, 192(DI)
	VMOVUPS Y7, 224(DI)
	ADDQ $256, DI
	LEAQ (R11)(DX*8), R11
	DECQ BX
	JNZ group
	VZEROUPPER
	RET

// A head's weight of a token times 16 dimensions of its value.
#define WEIGH(HEAD, A, B) \
	VBROADCASTSS (4*HEAD)(SI), Y10 \
	VFMADD231PS Y8, Y10, A \
	VFMADD231PS Y9, Y10, B
#define START(HEAD, ROW, A, B) \
	VBROADCASTSS (4*HEAD)(AX), Y10 \
	VMULPS 0(ROW), Y10, A \
	VMULPS 32(ROW), Y10, B
#define STORE(ROW, A, B) \
	VMOVUPS A, 0(ROW) \
	VMOVUPS B, 32(ROW)

// func accumulateAssembly(acc, weights *float32, values *uint16, factor *float32, dim, tokens int)
//
// 16 dimensions of 4 heads at a time in Y0-Y7. R8-R11 are the heads' sums, a row of
// DX bytes apart; R12 is the value of a token, R13
// that of the first, R15 the size of one.
TEXT ·accumulateAssembly(SB), NOSPLIT, $0-48
	MOVQ acc+0(FP), R8
	MOVQ weights+8(FP), DI
	MOVQ factor+24(FP), AX
	MOVQ dim+32(FP), DX
	LEAQ (DX)(DX*1), R15
	SHLQ $2, DX
	MOVQ $2, R14
heads:
	LEAQ (R8)(DX*1), R9
	LEAQ (R8)(DX*2), R10
	LEAQ (R9)(DX*2), R11
	MOVQ values+16(FP), R13
	MOVQ dim+32(FP), BX
dims:
	START(0, R8, Y0, Y1)
	START(1, R9, Y2, Y3)
	START(2, R10, Y4, Y5)
	START(3, R11, Y6, Y7)
	MOVQ DI, SI
	MOVQ R13, R12
	MOVQ tokens+40(FP), CX
loop:
	VPMOVZXWD 0(R12), Y8
	VPMOVZXWD 16(R12), Y9
	VPSLLD $16, Y8, Y8
	VPSLLD $16, Y9, Y9
	WEIGH(0, Y0, Y1)
	WEIGH(1, Y2, Y3)
	WEIGH(2, Y4, Y5)
	WEIGH(3, Y6, Y7)
	ADDQ $32, SI
	ADDQ R15, R12
	DECQ CX
	JNZ loop
	STORE(R8, Y0, Y1)
	STORE(R9, Y2, Y3)
	STORE(R10, Y4, Y5)
	STORE(R11, Y6, Y7)
	ADDQ $64, R8
	ADDQ $64, R9
	ADDQ $64, R10
	ADDQ $64, R11
	ADDQ $32, R13
	SUBQ $16, BX
	JNZ dims
	MOVQ R11, R8 // the row after the fourth
	ADDQ $16, DI
	ADDQ $16, AX
	DECQ R14
	JNZ heads
	VZEROUPPER
	RET
