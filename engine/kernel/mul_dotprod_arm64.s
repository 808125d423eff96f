#include "textflag.h"
#include "neon_arm64.h"

// A tile of 16 packed rows times 1 to 4 quantised activation rows, with the dot
// products of ARMv8.2. Layouts are drawn at MXFP4, Int8 and Block. One register
// holds 4 columns of 4 rows as in memory, one 16 columns of an activation row; the
// instruction multiplies the first with any 4 columns of the second and sums by row.
// Nibbles become signed half units, so Bias plays no part.
//
//	V0-V15   int32 sums of the block: V0-V3 rows 0-3, 4-7, 8-11, 12-15 of activation row 0, V4-V7 of row 1, …
//	V16-V23  columns 0-15 and 16-31 of activation row 0, 1, …; then scratch
//	V24-V27  weights: 4 rows × 4 columns; then the weight scales of the 16 rows
//	V28      scale of an activation row
//	V29      2^-127, what scale byte 0 means
//	V30 V31  nibble mask, nibble → half units
//
//	R0 float32 sums [4][16], kept in memory (L1)   R1 scales   R2 weights   R3 blocks left
//	R8-R11 activation rows 0-3

DATA halfUnits<>+0(SB)/8, $0x0c08060403020100
DATA halfUnits<>+8(SB)/8, $0xf4f8fafcfdfeff00
GLOBL halfUnits<>(SB), RODATA|NOPTR, $16

// The sums at out are zero on entry.
#define ARGS \
	MOVD out+0(FP), R0 \
	MOVD scales+8(FP), R1 \
	MOVD weights+16(FP), R2 \
	MOVD x+24(FP), R4 \
	MOVD blocks+32(FP), R3

#define ROWS1 MOVD 0(R4), R8
#define ROWS2 ROWS1 \
	MOVD 8(R4), R9
#define ROWS3 ROWS2 \
	MOVD 16(R4), R10
#define ROWS4 ROWS3 \
	MOVD 24(R4), R11

#define FOUR_CONSTANTS \
	MOVD $0x00400000, R5 \
	VDUP R5, V29.S4 \
	VMOVI $15, V30.B16 \
	MOVD $halfUnits<>(SB), R5 \
	VLD1 (R5), [V31.B16]

#define START1 \
	FLDPQ (R8), (F16, F17) \
	VMOVI $0, V0.B16 \
	VMOVI $0, V1.B16 \
	VMOVI $0, V2.B16 \
	VMOVI $0, V3.B16
#define START2 START1 \
	FLDPQ (R9), (F18, F19) \
	VMOVI $0, V4.B16 \
	VMOVI $0, V5.B16 \
	VMOVI $0, V6.B16 \
	VMOVI $0, V7.B16
#define START3 START2 \
	FLDPQ (R10), (F20, F21) \
	VMOVI $0, V8.B16 \
	VMOVI $0, V9.B16 \
	VMOVI $0, V10.B16 \
	VMOVI $0, V11.B16
#define START4 START3 \
	FLDPQ (R11), (F22, F23) \
	VMOVI $0, V12.B16 \
	VMOVI $0, V13.B16 \
	VMOVI $0, V14.B16 \
	VMOVI $0, V15.B16

// Rows 4Q to 4Q+3 in W times columns 4J to 4J+3 of the lower (H = 0) or upper 16.
#define DOT1(H, J, Q, W) VSDOT_LANE(J, (16+H), W, (0+Q))
#define DOT2(H, J, Q, W) DOT1(H, J, Q, W) \
	VSDOT_LANE(J, (18+H), W, (4+Q))
#define DOT3(H, J, Q, W) DOT2(H, J, Q, W) \
	VSDOT_LANE(J, (20+H), W, (8+Q))
#define DOT4(H, J, Q, W) DOT3(H, J, Q, W) \
	VSDOT_LANE(J, (22+H), W, (12+Q))

// Rows 8P to 8P+7: low nibbles to V24 V26, high ones to V25 V27.
#define FOUR_PAIR(J, P, DOT) \
	FLDPQ (64*J+32*P)(R2), (F24, F26) \
	VUSHR $4, V24.B16, V25.B16 \
	VUSHR $4, V26.B16, V27.B16 \
	VAND V30.B16, V24.B16, V24.B16 \
	VAND V30.B16, V26.B16, V26.B16 \
	VTBL V24.B16, [V31.B16], V24.B16 \
	VTBL V26.B16, [V31.B16], V26.B16 \
	VTBL V25.B16, [V31.B16], V25.B16 \
	VTBL V27.B16, [V31.B16], V27.B16 \
	DOT(0, J, (2*P), 24) \
	DOT(0, J, (2*P+1), 26) \
	DOT(1, J, (2*P), 25) \
	DOT(1, J, (2*P+1), 27)
#define FOUR_STEP(J, DOT) \
	FOUR_PAIR(J, 0, DOT) \
	FOUR_PAIR(J, 1, DOT)

// Bytes << 23 as float32, but 2^-127 for 0.
#define FOUR_SCALES \
	FMOVQ.P 16(R1), F16 \
	VUSHLL $7, V16.B8, V17.H8 \
	VUSHLL2 $7, V16.B16, V18.H8 \
	VSHLL16(17, 24) \
	VSHLL16_2(17, 25) \
	VSHLL16(18, 26) \
	VSHLL16_2(18, 27) \
	VUMAX V29.S4, V24.S4, V24.S4 \
	VUMAX V29.S4, V25.S4, V25.S4 \
	VUMAX V29.S4, V26.S4, V26.S4 \
	VUMAX V29.S4, V27.S4, V27.S4

// What of a block is scaled, of activation row T with its sums in V(A) to V(A+3):
// float sum += float(int sum) · (weight scale · activation scale), the sum rounded once.
#define FINISH(T, P, A) \
	FMOVS 32(P), F28 \
	FLDPQ (64*T)(R0), (F20, F21) \
	FLDPQ (64*T+32)(R0), (F22, F23) \
	VFMUL_LANE(0, 28, 24, 16) \
	VFMUL_LANE(0, 28, 25, 17) \
	VFMUL_LANE(0, 28, 26, 18) \
	VFMUL_LANE(0, 28, 27, 19) \
	VSCVTF(A, A) \
	VSCVTF((A+1), (A+1)) \
	VSCVTF((A+2), (A+2)) \
	VSCVTF((A+3), (A+3)) \
	VFMULADD(16, A, 20) \
	VFMULADD(17, (A+1), 21) \
	VFMULADD(18, (A+2), 22) \
	VFMULADD(19, (A+3), 23) \
	FSTPQ (F20, F21), (64*T)(R0) \
	FSTPQ (F22, F23), (64*T+32)(R0) \
	ADD $40, P
#define FINISH1 FINISH(0, R8, 0)
#define FINISH2 FINISH1 \
	FINISH(1, R9, 4)
#define FINISH3 FINISH2 \
	FINISH(2, R10, 8)
#define FINISH4 FINISH3 \
	FINISH(3, R11, 12)

#define FOUR_BLOCK(START, DOT, FINISHES) \
	START \
	FOUR_STEP(0, DOT) \
	FOUR_STEP(1, DOT) \
	FOUR_STEP(2, DOT) \
	FOUR_STEP(3, DOT) \
	FOUR_SCALES \
	FINISHES \
	ADD $256, R2 \
	SUBS $1, R3

// The nibbles were in half units.
#define HALVE(T) \
	FLDPQ (64*T)(R0), (F0, F1) \
	FLDPQ (64*T+32)(R0), (F2, F3) \
	VFMUL_LANE(0, 28, 0, 0) \
	VFMUL_LANE(0, 28, 1, 1) \
	VFMUL_LANE(0, 28, 2, 2) \
	VFMUL_LANE(0, 28, 3, 3) \
	FSTPQ (F0, F1), (64*T)(R0) \
	FSTPQ (F2, F3), (64*T+32)(R0)
#define HALVE1 \
	FMOVS $0.5, F28 \
	HALVE(0)
#define HALVE2 HALVE1 \
	HALVE(1)
#define HALVE3 HALVE2 \
	HALVE(2)
#define HALVE4 HALVE3 \
	HALVE(3)

// func mulMXFP4x1DotProd(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)
TEXT ·mulMXFP4x1DotProd(SB), NOSPLIT, $0-40
	ARGS
	ROWS1
	FOUR_CONSTANTS
loop:
	FOUR_BLOCK(START1, DOT1, FINISH1)
	BNE loop
	HALVE1
	RET

// func mulMXFP4x2DotProd(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)
TEXT ·mulMXFP4x2DotProd(SB), NOSPLIT, $0-40
	ARGS
	ROWS2
	FOUR_CONSTANTS
loop:
	FOUR_BLOCK(START2, DOT2, FINISH2)
	BNE loop
	HALVE2
	RET

// func mulMXFP4x3DotProd(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)
TEXT ·mulMXFP4x3DotProd(SB), NOSPLIT, $0-40
	ARGS
	ROWS3
	FOUR_CONSTANTS
loop:
	FOUR_BLOCK(START3, DOT3, FINISH3)
	BNE loop
	HALVE3
	RET

// func mulMXFP4x4DotProd(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)
TEXT ·mulMXFP4x4DotProd(SB), NOSPLIT, $0-40
	ARGS
	ROWS4
	FOUR_CONSTANTS
loop:
	FOUR_BLOCK(START4, DOT4, FINISH4)
	BNE loop
	HALVE4
	RET

// 8-bit weights: columns 4J to 4J+3 of the lower or upper 16.
#define EIGHT_STEP(H, J, DOT) \
	FLDPQ (256*H+64*J)(R2), (F24, F25) \
	FLDPQ (256*H+64*J+32)(R2), (F26, F27) \
	DOT(H, J, 0, 24) \
	DOT(H, J, 1, 25) \
	DOT(H, J, 2, 26) \
	DOT(H, J, 3, 27)

// bfloat16 are upper halves of float32.
#define EIGHT_SCALES \
	FLDPQ.P 32(R1), (F16, F17) \
	VSHLL16(16, 24) \
	VSHLL16_2(16, 25) \
	VSHLL16(17, 26) \
	VSHLL16_2(17, 27)

#define EIGHT_BLOCK(START, DOT, FINISHES) \
	START \
	EIGHT_STEP(0, 0, DOT) \
	EIGHT_STEP(0, 1, DOT) \
	EIGHT_STEP(0, 2, DOT) \
	EIGHT_STEP(0, 3, DOT) \
	EIGHT_STEP(1, 0, DOT) \
	EIGHT_STEP(1, 1, DOT) \
	EIGHT_STEP(1, 2, DOT) \
	EIGHT_STEP(1, 3, DOT) \
	EIGHT_SCALES \
	FINISHES \
	ADD $512, R2 \
	SUBS $1, R3

// func mulInt8x1DotProd(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)
TEXT ·mulInt8x1DotProd(SB), NOSPLIT, $0-40
	ARGS
	ROWS1
loop:
	EIGHT_BLOCK(START1, DOT1, FINISH1)
	BNE loop
	RET

// func mulInt8x2DotProd(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)
TEXT ·mulInt8x2DotProd(SB), NOSPLIT, $0-40
	ARGS
	ROWS2
loop:
	EIGHT_BLOCK(START2, DOT2, FINISH2)
	BNE loop
	RET

// func mulInt8x3DotProd(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)
TEXT ·mulInt8x3DotProd(SB), NOSPLIT, $0-40
	ARGS
	ROWS3
loop:
	EIGHT_BLOCK(START3, DOT3, FINISH3)
	BNE loop
	RET

// func mulInt8x4DotProd(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)
TEXT ·mulInt8x4DotProd(SB), NOSPLIT, $0-40
	ARGS
	ROWS4
loop:
	EIGHT_BLOCK(START4, DOT4, FINISH4)
	BNE loop
	RET
