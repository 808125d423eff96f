#include "textflag.h"

// A tile of 16 packed rows times 1 to 3 quantised activation rows, with AVX2. A
// block of 32 columns is taken in two halves of 8 rows (bytes 0-31 and 32-63 of
// every 64). Layouts are drawn at MXFP4, Int8 and Block.
//
//	Y0-Y2    sums of activation rows 0-2 in this block, one weight row per 32-bit lane
//	Y4-Y6    MXFP4: int32 sums of the first half of the columns
//	Y8       weight scales of the half
//	Y9       16 ones
//	Y10      2^-127, what scale byte 0 means
//	Y11      scratch
//	Y12 Y13  weights: 8 rows × 4 columns
//	Y14 Y15  nibble → units+16, nibble mask
//
//	SI weights   DI scales   CX blocks left   BX offset of the block in every activation row
//	R8-R10 activation rows 0-2   DX float32 sums [3][16], kept in memory (L1)

DATA unitsAVX2<>+0(SB)/8, $0x1c18161413121110
DATA unitsAVX2<>+8(SB)/8, $0x04080a0c0d0e0f10
DATA unitsAVX2<>+16(SB)/8, $0x1c18161413121110
DATA unitsAVX2<>+24(SB)/8, $0x04080a0c0d0e0f10
GLOBL unitsAVX2<>(SB), RODATA|NOPTR, $32

// The sums at out are zero on entry.
#define ARGS \
	MOVQ out+0(FP), DX \
	MOVQ scales+8(FP), DI \
	MOVQ weights+16(FP), SI \
	MOVQ x+24(FP), AX \
	MOVQ blocks+32(FP), CX \
	XORQ BX, BX \
	VPCMPEQW Y9, Y9, Y9 \
	VPSRLW $15, Y9, Y9

#define ROWS1 MOVQ 0(AX), R8
#define ROWS2 ROWS1 \
	MOVQ 8(AX), R9
#define ROWS3 ROWS2 \
	MOVQ 16(AX), R10

#define FOUR_CONSTANTS \
	MOVL $0x00400000, R12 \
	VMOVD R12, X10 \
	VPBROADCASTD X10, Y10 \
	VMOVDQU unitsAVX2<>(SB), Y14 \
	MOVL $0x0f0f0f0f, R12 \
	VMOVD R12, X15 \
	VPBROADCASTD X15, Y15

// Y13 low nibbles, Y12 high ones.
#define FOUR_LOAD(J, H) \
	VMOVDQU (64*J+32*H)(SI), Y12 \
	VPAND Y15, Y12, Y13 \
	VPSHUFB Y13, Y14, Y13 \
	VPSRLW $4, Y12, Y12 \
	VPAND Y15, Y12, Y12 \
	VPSHUFB Y12, Y14, Y12

// Two products of at most 28·127 per int16 lane and step, four steps: at most 28448.
#define FOUR_FIRST(J, P, SUM) \
	VPBROADCASTD (4*J)(P)(BX*1), SUM \
	VPMADDUBSW SUM, Y13, SUM \
	VPBROADCASTD (4*J+16)(P)(BX*1), Y11 \
	VPMADDUBSW Y11, Y12, Y11 \
	VPADDW Y11, SUM, SUM
#define FOUR_NEXT(J, P, SUM) \
	VPBROADCASTD (4*J)(P)(BX*1), Y11 \
	VPMADDUBSW Y11, Y13, Y11 \
	VPADDW Y11, SUM, SUM \
	VPBROADCASTD (4*J+16)(P)(BX*1), Y11 \
	VPMADDUBSW Y11, Y12, Y11 \
	VPADDW Y11, SUM, SUM

#define FIRST1(J) FOUR_FIRST(J, R8, Y0)
#define FIRST2(J) FIRST1(J) \
	FOUR_FIRST(J, R9, Y1)
#define FIRST3(J) FIRST2(J) \
	FOUR_FIRST(J, R10, Y2)
#define NEXT1(J) FOUR_NEXT(J, R8, Y0)
#define NEXT2(J) NEXT1(J) \
	FOUR_NEXT(J, R9, Y1)
#define NEXT3(J) NEXT2(J) \
	FOUR_NEXT(J, R10, Y2)

#define HOLD1 VPMADDWD Y9, Y0, Y4
#define HOLD2 HOLD1 \
	VPMADDWD Y9, Y1, Y5
#define HOLD3 HOLD2 \
	VPMADDWD Y9, Y2, Y6

// What of a block is scaled: float sum += float(int sum) · (weight scale · activation scale), the sum rounded once.
#define SCALE(T, H, P, SUM) \
	VBROADCASTSS 32(P)(BX*1), Y11 \
	VMULPS Y11, Y8, Y11 \
	VCVTDQ2PS SUM, SUM \
	VFMADD213PS (64*T+32*H)(DX), Y11, SUM \
	VMOVUPS SUM, (64*T+32*H)(DX)

#define FOUR_END(T, H, P, SUM, HELD) \
	VPMADDWD Y9, SUM, SUM \
	VPADDD HELD, SUM, SUM \
	VPBROADCASTD 36(P)(BX*1), Y11 \
	VPADDD Y11, SUM, SUM \
	SCALE(T, H, P, SUM)
#define END1(H) FOUR_END(0, H, R8, Y0, Y4)
#define END2(H) END1(H) \
	FOUR_END(1, H, R9, Y1, Y5)
#define END3(H) END2(H) \
	FOUR_END(2, H, R10, Y2, Y6)

#define FOUR_HALF(H, FIRST, NEXT, HOLD, END) \
	FOUR_LOAD(0, H) \
	FIRST(0) \
	FOUR_LOAD(1, H) \
	NEXT(1) \
	HOLD \
	FOUR_LOAD(2, H) \
	FIRST(2) \
	FOUR_LOAD(3, H) \
	NEXT(3) \
	VPMOVZXBD (8*H)(DI), Y8 \
	VPSLLD $23, Y8, Y8 \
	VPMAXUD Y10, Y8, Y8 \
	END(H)

// One activation row leaves the most room for memory: prefetching 32 blocks ahead into the second-level cache measured
// best, and 8 ahead into the first for more rows.
#define FETCH_NEAR \
	PREFETCHT0 2048(SI) \
	PREFETCHT0 2112(SI) \
	PREFETCHT0 2176(SI) \
	PREFETCHT0 2240(SI)
#define FETCH_FAR \
	PREFETCHT1 8192(SI) \
	PREFETCHT1 8256(SI) \
	PREFETCHT1 8320(SI) \
	PREFETCHT1 8384(SI)

#define FOUR_BLOCK(FETCH, FIRST, NEXT, HOLD, END) \
	FETCH \
	FOUR_HALF(0, FIRST, NEXT, HOLD, END) \
	FOUR_HALF(1, FIRST, NEXT, HOLD, END) \
	ADDQ $256, SI \
	ADDQ $16, DI \
	ADDQ $40, BX \
	DECQ CX

// The nibbles were in half units.
#define HALVE(T) \
	VMULPS (64*T)(DX), Y8, Y0 \
	VMOVUPS Y0, (64*T)(DX) \
	VMULPS (64*T+32)(DX), Y8, Y0 \
	VMOVUPS Y0, (64*T+32)(DX)
#define HALVE3 \
	MOVL $0x3f000000, R12 \
	VMOVD R12, X8 \
	VPBROADCASTD X8, Y8 \
	HALVE(0) \
	HALVE(1) \
	HALVE(2)

// func mulMXFP4x1AVX2(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)
TEXT ·mulMXFP4x1AVX2(SB), NOSPLIT, $0-40
	ARGS
	ROWS1
	FOUR_CONSTANTS
loop:
	FOUR_BLOCK(FETCH_FAR, FIRST1, NEXT1, HOLD1, END1)
	JNZ loop
	HALVE3
	VZEROUPPER
	RET

// func mulMXFP4x2AVX2(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)
TEXT ·mulMXFP4x2AVX2(SB), NOSPLIT, $0-40
	ARGS
	ROWS2
	FOUR_CONSTANTS
loop:
	FOUR_BLOCK(FETCH_NEAR, FIRST2, NEXT2, HOLD2, END2)
	JNZ loop
	HALVE3
	VZEROUPPER
	RET

// func mulMXFP4x3AVX2(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)
TEXT ·mulMXFP4x3AVX2(SB), NOSPLIT, $0-40
	ARGS
	ROWS3
	FOUR_CONSTANTS
loop:
	FOUR_BLOCK(FETCH_NEAR, FIRST3, NEXT3, HOLD3, END3)
	JNZ loop
	HALVE3
	VZEROUPPER
	RET

// 8-bit weights. Both factors use the full range of a byte, for which the unsigned
// trick saturates; |w| times a with the sign of w is exact: at most 2·128·127.
#define EIGHT_DOT(J, P, SUM) \
	VPBROADCASTD (4*J)(P)(BX*1), Y11 \
	VPSIGNB Y12, Y11, Y11 \
	VPMADDUBSW Y11, Y13, Y11 \
	VPMADDWD Y9, Y11, Y11 \
	VPADDD Y11, SUM, SUM
#define EIGHT1(J) EIGHT_DOT(J, R8, Y0)
#define EIGHT2(J) EIGHT1(J) \
	EIGHT_DOT(J, R9, Y1)
#define EIGHT3(J) EIGHT2(J) \
	EIGHT_DOT(J, R10, Y2)

#define EIGHT_STEP(J, H, DOTS) \
	VMOVDQU (64*J+32*H)(SI), Y12 \
	VPABSB Y12, Y13 \
	DOTS(J)

#define EIGHT_END1(H) SCALE(0, H, R8, Y0)
#define EIGHT_END2(H) EIGHT_END1(H) \
	SCALE(1, H, R9, Y1)
#define EIGHT_END3(H) EIGHT_END2(H) \
	SCALE(2, H, R10, Y2)

#define EIGHT_HALF(H, DOTS, END) \
	VPXOR Y0, Y0, Y0 \
	VPXOR Y1, Y1, Y1 \
	VPXOR Y2, Y2, Y2 \
	EIGHT_STEP(0, H, DOTS) \
	EIGHT_STEP(1, H, DOTS) \
	EIGHT_STEP(2, H, DOTS) \
	EIGHT_STEP(3, H, DOTS) \
	EIGHT_STEP(4, H, DOTS) \
	EIGHT_STEP(5, H, DOTS) \
	EIGHT_STEP(6, H, DOTS) \
	EIGHT_STEP(7, H, DOTS) \
	VPMOVZXWD (16*H)(DI), Y8 \
	VPSLLD $16, Y8, Y8 \
	END(H)

#define EIGHT_BLOCK(DOTS, END) \
	PREFETCHT0 4096(SI) \
	PREFETCHT0 4160(SI) \
	PREFETCHT0 4224(SI) \
	PREFETCHT0 4288(SI) \
	PREFETCHT0 4352(SI) \
	PREFETCHT0 4416(SI) \
	PREFETCHT0 4480(SI) \
	PREFETCHT0 4544(SI) \
	EIGHT_HALF(0, DOTS, END) \
	EIGHT_HALF(1, DOTS, END) \
	ADDQ $512, SI \
	ADDQ $32, DI \
	ADDQ $40, BX \
	DECQ CX

// func mulInt8x1AVX2(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)
TEXT ·mulInt8x1AVX2(SB), NOSPLIT, $0-40
	ARGS
	ROWS1
loop:
	EIGHT_BLOCK(EIGHT1, EIGHT_END1)
	JNZ loop
	VZEROUPPER
	RET

// func mulInt8x2AVX2(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)
TEXT ·mulInt8x2AVX2(SB), NOSPLIT, $0-40
	ARGS
	ROWS2
loop:
	EIGHT_BLOCK(EIGHT2, EIGHT_END2)
	JNZ loop
	VZEROUPPER
	RET

// func mulInt8x3AVX2(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)
TEXT ·mulInt8x3AVX2(SB), NOSPLIT, $0-40
	ARGS
	ROWS3
loop:
	EIGHT_BLOCK(EIGHT3, EIGHT_END3)
	JNZ loop
	VZEROUPPER
	RET
