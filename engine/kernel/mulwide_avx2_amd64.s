#include "textflag.h"

// A tile of 16 packed rows times 4 quantised activation rows, with AVX2: the kernels
// of long batches. All 16 rows are taken at once, so that each broadcast of
// activations serves two registers of weights. MXFP4:
//
//	Y0-Y3    int16 sums of activation rows 0-3, weight rows 0-7 (two columns per row)
//	Y4-Y7    the same of weight rows 8-15
//	Y8 Y9    nibbles of rows 0-7 and 8-15
//	Y10 Y11  weights+16 of 4 columns; at the end of the block the weight scales
//	Y12 Y13  scratch
//	Y14 Y15  nibble → units+16, nibble mask
//
//	SI weights   DI scales   CX blocks left   BX offset of the block in every activation row
//	R8-R11 activation rows 0-3   DX float32 sums [4][16], kept in memory (L1)
//	0(SP) int32 sums of the first half of the columns, in the order of Y0-Y7
//
// 8-bit weights: Y0-Y7 are int32 sums, Y8 Y9 weights, Y10 Y11 their magnitudes, Y15 ones.

DATA wideUnits<>+0(SB)/8, $0x1c18161413121110
DATA wideUnits<>+8(SB)/8, $0x04080a0c0d0e0f10
DATA wideUnits<>+16(SB)/8, $0x1c18161413121110
DATA wideUnits<>+24(SB)/8, $0x04080a0c0d0e0f10
GLOBL wideUnits<>(SB), RODATA|NOPTR, $32

DATA wideOnes<>+0(SB)/8, $0x0001000100010001
DATA wideOnes<>+8(SB)/8, $0x0001000100010001
DATA wideOnes<>+16(SB)/8, $0x0001000100010001
DATA wideOnes<>+24(SB)/8, $0x0001000100010001
GLOBL wideOnes<>(SB), RODATA|NOPTR, $32

// Columns 4J to 4J+3.
#define LOW(J) \
	VMOVDQU (64*J)(SI), Y8 \
	VMOVDQU (64*J+32)(SI), Y9 \
	VPAND Y15, Y8, Y10 \
	VPAND Y15, Y9, Y11 \
	VPSHUFB Y10, Y14, Y10 \
	VPSHUFB Y11, Y14, Y11
// Columns 16+4J to 19+4J.
#define HIGH \
	VPSRLW $4, Y8, Y10 \
	VPSRLW $4, Y9, Y11 \
	VPAND Y15, Y10, Y10 \
	VPAND Y15, Y11, Y11 \
	VPSHUFB Y10, Y14, Y10 \
	VPSHUFB Y11, Y14, Y11

#define FIRST(COL, P, A, B) \
	VPBROADCASTD COL(P)(BX*1), Y12 \
	VPMADDUBSW Y12, Y10, A \
	VPMADDUBSW Y12, Y11, B
#define NEXT(COL, P, A, B) \
	VPBROADCASTD COL(P)(BX*1), Y12 \
	VPMADDUBSW Y12, Y10, Y13 \
	VPADDW Y13, A, A \
	VPMADDUBSW Y12, Y11, Y12 \
	VPADDW Y12, B, B
#define ALL(OP, COL) \
	OP(COL, R8, Y0, Y4) \
	OP(COL, R9, Y1, Y5) \
	OP(COL, R10, Y2, Y6) \
	OP(COL, R11, Y3, Y7)

// Two products of at most 28·127 per lane and step, four steps: at most 28448.
#define HALF(J0, J1, C0, C1) \
	LOW(J0) \
	ALL(FIRST, C0) \
	HIGH \
	ALL(NEXT, (C0+16)) \
	LOW(J1) \
	ALL(NEXT, C1) \
	HIGH \
	ALL(NEXT, (C1+16))

#define SPILL(T, SUM) \
	VPMADDWD wideOnes<>(SB), SUM, SUM \
	VMOVDQU SUM, (32*T)(SP)

#define INTEGER(T, SUM) \
	VPMADDWD wideOnes<>(SB), SUM, SUM \
	VPADDD (32*T)(SP), SUM, SUM \
	VPADDD Y12, SUM, SUM
#define FINISH(T, P, A, B) \
	VPBROADCASTD 36(P)(BX*1), Y12 \
	INTEGER(T, A) \
	INTEGER((T+4), B) \
	SCALE(T, P, A, B)

// What of a block is scaled: float sum += float(int sum) · (weight scale · activation scale), the sum rounded once.
#define SCALE(T, P, A, B) \
	VCVTDQ2PS A, A \
	VCVTDQ2PS B, B \
	VBROADCASTSS 32(P)(BX*1), Y12 \
	VMULPS Y12, Y10, Y13 \
	VMULPS Y12, Y11, Y12 \
	VFMADD213PS (64*T)(DX), Y13, A \
	VFMADD213PS (64*T+32)(DX), Y12, B \
	VMOVUPS A, (64*T)(DX) \
	VMOVUPS B, (64*T+32)(DX)

#define EIGHT(COL, P, A, B) \
	VPBROADCASTD COL(P)(BX*1), Y12 \
	VPSIGNB Y8, Y12, Y13 \
	VPMADDUBSW Y13, Y10, Y13 \
	VPMADDWD Y15, Y13, Y13 \
	VPADDD Y13, A, A \
	VPSIGNB Y9, Y12, Y12 \
	VPMADDUBSW Y12, Y11, Y12 \
	VPMADDWD Y15, Y12, Y12 \
	VPADDD Y12, B, B
#define EIGHT_STEP(J) \
	VMOVDQU (64*J)(SI), Y8 \
	VMOVDQU (64*J+32)(SI), Y9 \
	VPABSB Y8, Y10 \
	VPABSB Y9, Y11 \
	ALL(EIGHT, (4*J))

#define HALVE(T) \
	VMULPS (64*T)(DX), Y8, Y0 \
	VMULPS (64*T+32)(DX), Y8, Y1 \
	VMOVUPS Y0, (64*T)(DX) \
	VMOVUPS Y1, (64*T+32)(DX)

// func mulMXFP4x4AVX2(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)
TEXT ·mulMXFP4x4AVX2(SB), NOSPLIT, $256-40
	MOVQ out+0(FP), DX
	MOVQ scales+8(FP), DI
	MOVQ weights+16(FP), SI
	MOVQ x+24(FP), AX
	MOVQ blocks+32(FP), CX
	XORQ BX, BX
	MOVQ 0(AX), R8
	MOVQ 8(AX), R9
	MOVQ 16(AX), R10
	MOVQ 24(AX), R11
	VMOVDQU wideUnits<>(SB), Y14
	MOVL $0x0f0f0f0f, AX
	VMOVD AX, X15
	VPBROADCASTD X15, Y15
	MOVL $0x00400000, AX // 2^-127, what scale byte 0 means
loop:
	PREFETCHT0 2048(SI)
	PREFETCHT0 2112(SI)
	PREFETCHT0 2176(SI)
	PREFETCHT0 2240(SI)
	HALF(0, 1, 0, 4)
	SPILL(0, Y0)
	SPILL(1, Y1)
	SPILL(2, Y2)
	SPILL(3, Y3)
	SPILL(4, Y4)
	SPILL(5, Y5)
	SPILL(6, Y6)
	SPILL(7, Y7)
	HALF(2, 3, 8, 12)
	VMOVD AX, X12
	VPBROADCASTD X12, Y12
	VPMOVZXBD 0(DI), Y10
	VPMOVZXBD 8(DI), Y11
	VPSLLD $23, Y10, Y10
	VPSLLD $23, Y11, Y11
	VPMAXUD Y12, Y10, Y10
	VPMAXUD Y12, Y11, Y11
	FINISH(0, R8, Y0, Y4)
	FINISH(1, R9, Y1, Y5)
	FINISH(2, R10, Y2, Y6)
	FINISH(3, R11, Y3, Y7)
	ADDQ $256, SI
	ADDQ $16, DI
	ADDQ $40, BX
	DECQ CX
	JNZ loop
	MOVL $0x3f000000, AX // 0.5: the nibbles were in half units
	VMOVD AX, X8
	VPBROADCASTD X8, Y8
	HALVE(0)
	HALVE(1)
	HALVE(2)
	HALVE(3)
	VZEROUPPER
	RET

// func mulInt8x4AVX2(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)
TEXT ·mulInt8x4AVX2(SB), NOSPLIT, $0-40
	MOVQ out+0(FP), DX
	MOVQ scales+8(FP), DI
	MOVQ weights+16(FP), SI
	MOVQ x+24(FP), AX
	MOVQ blocks+32(FP), CX
	XORQ BX, BX
	MOVQ 0(AX), R8
	MOVQ 8(AX), R9
	MOVQ 16(AX), R10
	MOVQ 24(AX), R11
	VMOVDQU wideOnes<>(SB), Y15
loop:
	PREFETCHT1 8192(SI)
	PREFETCHT1 8256(SI)
	PREFETCHT1 8320(SI)
	PREFETCHT1 8384(SI)
	PREFETCHT1 8448(SI)
	PREFETCHT1 8512(SI)
	PREFETCHT1 8576(SI)
	PREFETCHT1 8640(SI)
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3
	VPXOR Y4, Y4, Y4
	VPXOR Y5, Y5, Y5
	VPXOR Y6, Y6, Y6
	VPXOR Y7, Y7, Y7
	EIGHT_STEP(0)
	EIGHT_STEP(1)
	EIGHT_STEP(2)
	EIGHT_STEP(3)
	EIGHT_STEP(4)
	EIGHT_STEP(5)
	EIGHT_STEP(6)
	EIGHT_STEP(7)
	VPMOVZXWD 0(DI), Y10
	VPMOVZXWD 16(DI), Y11
	VPSLLD $16, Y10, Y10
	VPSLLD $16, Y11, Y11
	SCALE(0, R8, Y0, Y4)
	SCALE(1, R9, Y1, Y5)
	SCALE(2, R10, Y2, Y6)
	SCALE(3, R11, Y3, Y7)
	ADDQ $512, SI
	ADDQ $32, DI
	ADDQ $40, BX
	DECQ CX
	JNZ loop
	VZEROUPPER
	RET
