#include "textflag.h"
#include "neon_arm64.h"

// A tile of 16 packed rows times 1 to 4 quantised activation rows, with the NEON
// that every 64-bit Arm has. A block of 32 columns is taken in two halves of 8 rows
// (bytes 0-31 and 32-63 of every 64). Layouts are drawn at MXFP4, Int8 and Block.
// Nibbles become signed half units, so Bias plays no part. MXFP4:
//
//	V0-V15   int16 sums of the half, a lane per row and column modulo 4: V0-V3 rows
//	         0-1, 2-3, 4-5, 6-7 of activation row 0, V4-V7 of row 1, …
//	V16-V23  columns 0-15 and 16-31 of activation row 0, 1, …
//	V24-V27  weights: 4 rows × 4 columns; then weight scales and scratch
//	V28      4 columns of an activation row in every 32-bit lane; then its scale
//	V29      2^-127, what scale byte 0 means
//	V30 V31  nibble mask, nibble → half units
//
//	R0 float32 sums [4][16], kept in memory (L1)   R1 scales   R2 weights   R3 blocks left
//	R8-R11 activation rows 0-3
//
// 8-bit weights: V0-V15 are int32 sums, two of every row; V24 V25 are weights of 4
// columns, V26 V27 of the next 4; V28 V29 activations, V30 V31 products.

DATA signedUnits<>+0(SB)/8, $0x0c08060403020100
DATA signedUnits<>+8(SB)/8, $0xf4f8fafcfdfeff00
GLOBL signedUnits<>(SB), RODATA|NOPTR, $16

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
	MOVD $signedUnits<>(SB), R5 \
	VLD1 (R5), [V31.B16]

#define LOAD1 FLDPQ (R8), (F16, F17)
#define LOAD2 LOAD1 \
	FLDPQ (R9), (F18, F19)
#define LOAD3 LOAD2 \
	FLDPQ (R10), (F20, F21)
#define LOAD4 LOAD3 \
	FLDPQ (R11), (F22, F23)

// 8 rows in V(W) and V(W+1) times 4 columns of an activation row. In a lane meet 8
// products of at most 12·127: at most 12192.
#define FIRST(J, X, W, A) \
	VDUP X.S[J], V28.S4 \
	VSMULL(28, W, A) \
	VSMULL2(28, W, (A+1)) \
	VSMULL(28, (W+1), (A+2)) \
	VSMULL2(28, (W+1), (A+3))
#define NEXT(J, X, W, A) \
	VDUP X.S[J], V28.S4 \
	VSMLAL(28, W, A) \
	VSMLAL2(28, W, (A+1)) \
	VSMLAL(28, (W+1), (A+2)) \
	VSMLAL2(28, (W+1), (A+3))

// Low nibbles, in V24 V25, are of the columns in the first register of an activation
// row, high ones, in V26 V27, of those in the second.
#define FOUR1(OP, J) \
	OP(J, V16, 24, 0) \
	NEXT(J, V17, 26, 0)
#define FOUR2(OP, J) FOUR1(OP, J) \
	OP(J, V18, 24, 4) \
	NEXT(J, V19, 26, 4)
#define FOUR3(OP, J) FOUR2(OP, J) \
	OP(J, V20, 24, 8) \
	NEXT(J, V21, 26, 8)
#define FOUR4(OP, J) FOUR3(OP, J) \
	OP(J, V22, 24, 12) \
	NEXT(J, V23, 26, 12)

#define FOUR_STEP(OP, J, H, FOURS) \
	FLDPQ (64*J+32*H)(R2), (F24, F25) \
	VUSHR $4, V24.B16, V26.B16 \
	VUSHR $4, V25.B16, V27.B16 \
	VAND V30.B16, V24.B16, V24.B16 \
	VAND V30.B16, V25.B16, V25.B16 \
	VTBL V24.B16, [V31.B16], V24.B16 \
	VTBL V25.B16, [V31.B16], V25.B16 \
	VTBL V26.B16, [V31.B16], V26.B16 \
	VTBL V27.B16, [V31.B16], V27.B16 \
	FOURS(OP, J)

// What of a block is scaled, of 8 rows in V(A) V(A+1) and activation row T, with the
// float sums in F2 and F3, which are V(A+2) and V(A+3):
// float sum += float(int sum) · (weight scale · activation scale), the sum rounded once.
#define SCALE(T, H, P, A, F2, F3) \
	FMOVS 32(P), F28 \
	FLDPQ (64*T+32*H)(R0), (F2, F3) \
	VFMUL_LANE(0, 28, 24, 26) \
	VFMUL_LANE(0, 28, 25, 27) \
	VSCVTF(A, A) \
	VSCVTF((A+1), (A+1)) \
	VFMULADD(26, A, (A+2)) \
	VFMULADD(27, (A+1), (A+3)) \
	FSTPQ (F2, F3), (64*T+32*H)(R0)

// Pairs are added twice, as int16 first: at most 24384.
#define FOUR_END(T, H, P, A, F2, F3) \
	VADDP_H((A+1), A, A) \
	VADDP_H((A+3), (A+2), (A+1)) \
	VSADDLP(A, A) \
	VSADDLP((A+1), (A+1)) \
	SCALE(T, H, P, A, F2, F3)
#define FOUR_END1(H) FOUR_END(0, H, R8, 0, F2, F3)
#define FOUR_END2(H) FOUR_END1(H) \
	FOUR_END(1, H, R9, 4, F6, F7)
#define FOUR_END3(H) FOUR_END2(H) \
	FOUR_END(2, H, R10, 8, F10, F11)
#define FOUR_END4(H) FOUR_END3(H) \
	FOUR_END(3, H, R11, 12, F14, F15)

// Weight scales: bytes << 23 as float32, but 2^-127 for 0.
#define FOUR_HALF(H, FOURS, END) \
	FOUR_STEP(FIRST, 0, H, FOURS) \
	FOUR_STEP(NEXT, 1, H, FOURS) \
	FOUR_STEP(NEXT, 2, H, FOURS) \
	FOUR_STEP(NEXT, 3, H, FOURS) \
	FMOVD (8*H)(R1), F26 \
	VUSHLL $7, V26.B8, V26.H8 \
	VSHLL16(26, 24) \
	VSHLL16_2(26, 25) \
	VUMAX V29.S4, V24.S4, V24.S4 \
	VUMAX V29.S4, V25.S4, V25.S4 \
	END(H)

#define NEXT_BLOCK1 ADD $40, R8
#define NEXT_BLOCK2 NEXT_BLOCK1 \
	ADD $40, R9
#define NEXT_BLOCK3 NEXT_BLOCK2 \
	ADD $40, R10
#define NEXT_BLOCK4 NEXT_BLOCK3 \
	ADD $40, R11

#define FOUR_BLOCK(LOADS, FOURS, END, NEXTS) \
	LOADS \
	FOUR_HALF(0, FOURS, END) \
	FOUR_HALF(1, FOURS, END) \
	ADD $256, R2 \
	ADD $16, R1 \
	NEXTS \
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

// func mulMXFP4x1NEON(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)
TEXT ·mulMXFP4x1NEON(SB), NOSPLIT, $0-40
	ARGS
	ROWS1
	FOUR_CONSTANTS
loop:
	FOUR_BLOCK(LOAD1, FOUR1, FOUR_END1, NEXT_BLOCK1)
	BNE loop
	HALVE1
	RET

// func mulMXFP4x2NEON(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)
TEXT ·mulMXFP4x2NEON(SB), NOSPLIT, $0-40
	ARGS
	ROWS2
	FOUR_CONSTANTS
loop:
	FOUR_BLOCK(LOAD2, FOUR2, FOUR_END2, NEXT_BLOCK2)
	BNE loop
	HALVE2
	RET

// func mulMXFP4x3NEON(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)
TEXT ·mulMXFP4x3NEON(SB), NOSPLIT, $0-40
	ARGS
	ROWS3
	FOUR_CONSTANTS
loop:
	FOUR_BLOCK(LOAD3, FOUR3, FOUR_END3, NEXT_BLOCK3)
	BNE loop
	HALVE3
	RET

// func mulMXFP4x4NEON(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)
TEXT ·mulMXFP4x4NEON(SB), NOSPLIT, $0-40
	ARGS
	ROWS4
	FOUR_CONSTANTS
loop:
	FOUR_BLOCK(LOAD4, FOUR4, FOUR_END4, NEXT_BLOCK4)
	BNE loop
	HALVE4
	RET

#define CLEAR1 \
	VMOVI $0, V0.B16 \
	VMOVI $0, V1.B16 \
	VMOVI $0, V2.B16 \
	VMOVI $0, V3.B16
#define CLEAR2 CLEAR1 \
	VMOVI $0, V4.B16 \
	VMOVI $0, V5.B16 \
	VMOVI $0, V6.B16 \
	VMOVI $0, V7.B16
#define CLEAR3 CLEAR2 \
	VMOVI $0, V8.B16 \
	VMOVI $0, V9.B16 \
	VMOVI $0, V10.B16 \
	VMOVI $0, V11.B16
#define CLEAR4 CLEAR3 \
	VMOVI $0, V12.B16 \
	VMOVI $0, V13.B16 \
	VMOVI $0, V14.B16 \
	VMOVI $0, V15.B16

// 8-bit weights of 8 columns. Two products of at most 128·127 fit an int16: 32512.
#define EIGHT_DOT(J, K, X, A) \
	VDUP X.S[J], V28.S4 \
	VDUP X.S[K], V29.S4 \
	VSMULL(28, 24, 30) \
	VSMULL2(28, 24, 31) \
	VSMLAL(29, 26, 30) \
	VSMLAL2(29, 26, 31) \
	VSADALP(30, A) \
	VSADALP(31, (A+1)) \
	VSMULL(28, 25, 30) \
	VSMULL2(28, 25, 31) \
	VSMLAL(29, 27, 30) \
	VSMLAL2(29, 27, 31) \
	VSADALP(30, (A+2)) \
	VSADALP(31, (A+3))

// An activation row's columns 0-15 are in one register, L, its others in U.
#define EIGHT1(U, J, K) EIGHT_DOT(J, K, U(V16, V17), 0)
#define EIGHT2(U, J, K) EIGHT1(U, J, K) \
	EIGHT_DOT(J, K, U(V18, V19), 4)
#define EIGHT3(U, J, K) EIGHT2(U, J, K) \
	EIGHT_DOT(J, K, U(V20, V21), 8)
#define EIGHT4(U, J, K) EIGHT3(U, J, K) \
	EIGHT_DOT(J, K, U(V22, V23), 12)
#define LOWER(L, U) L
#define UPPER(L, U) U

#define EIGHT_STEP(U, AT, J, K, H, EIGHTS) \
	FLDPQ (AT+64*J+32*H)(R2), (F24, F25) \
	FLDPQ (AT+64*K+32*H)(R2), (F26, F27) \
	EIGHTS(U, J, K)

#define EIGHT_END(T, H, P, A, F2, F3) \
	VADDP_S((A+1), A, A) \
	VADDP_S((A+3), (A+2), (A+1)) \
	SCALE(T, H, P, A, F2, F3)
#define EIGHT_END1(H) EIGHT_END(0, H, R8, 0, F2, F3)
#define EIGHT_END2(H) EIGHT_END1(H) \
	EIGHT_END(1, H, R9, 4, F6, F7)
#define EIGHT_END3(H) EIGHT_END2(H) \
	EIGHT_END(2, H, R10, 8, F10, F11)
#define EIGHT_END4(H) EIGHT_END3(H) \
	EIGHT_END(3, H, R11, 12, F14, F15)

// bfloat16 scales are upper halves of float32.
#define EIGHT_HALF(H, CLEARS, EIGHTS, END) \
	CLEARS \
	EIGHT_STEP(LOWER, 0, 0, 1, H, EIGHTS) \
	EIGHT_STEP(LOWER, 0, 2, 3, H, EIGHTS) \
	EIGHT_STEP(UPPER, 256, 0, 1, H, EIGHTS) \
	EIGHT_STEP(UPPER, 256, 2, 3, H, EIGHTS) \
	FMOVQ (16*H)(R1), F26 \
	VSHLL16(26, 24) \
	VSHLL16_2(26, 25) \
	END(H)

#define EIGHT_BLOCK(LOADS, CLEARS, EIGHTS, END, NEXTS) \
	LOADS \
	EIGHT_HALF(0, CLEARS, EIGHTS, END) \
	EIGHT_HALF(1, CLEARS, EIGHTS, END) \
	ADD $512, R2 \
	ADD $32, R1 \
	NEXTS \
	SUBS $1, R3

// func mulInt8x1NEON(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)
TEXT ·mulInt8x1NEON(SB), NOSPLIT, $0-40
	ARGS
	ROWS1
loop:
	EIGHT_BLOCK(LOAD1, CLEAR1, EIGHT1, EIGHT_END1, NEXT_BLOCK1)
	BNE loop
	RET

// func mulInt8x2NEON(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)
TEXT ·mulInt8x2NEON(SB), NOSPLIT, $0-40
	ARGS
	ROWS2
loop:
	EIGHT_BLOCK(LOAD2, CLEAR2, EIGHT2, EIGHT_END2, NEXT_BLOCK2)
	BNE loop
	RET

// func mulInt8x3NEON(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)
TEXT ·mulInt8x3NEON(SB), NOSPLIT, $0-40
	ARGS
	ROWS3
loop:
	EIGHT_BLOCK(LOAD3, CLEAR3, EIGHT3, EIGHT_END3, NEXT_BLOCK3)
	BNE loop
	RET

// func mulInt8x4NEON(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)
TEXT ·mulInt8x4NEON(SB), NOSPLIT, $0-40
	ARGS
	ROWS4
loop:
	EIGHT_BLOCK(LOAD4, CLEAR4, EIGHT4, EIGHT_END4, NEXT_BLOCK4)
	BNE loop
	RET
