#include "textflag.h"

// A tile of 16 packed rows times 1, 2, 3, 4 or 8 quantised activation rows, with
// AVX-512 VNNI. Layouts are drawn at MXFP4, Int8 and Block.
//
//	Z0-Z7    float32 sums of activation rows 0-7, one weight row per lane
//	Z8-Z15   int32 sums of the current block of 32 columns
//	Z16 Z17  weights+16 (or +128): 16 rows × 4 columns, low and high nibbles
//	Z18      weight scales of the block
//	Z19      scratch
//	Z28-Z31  constants
//
//	SI weights   DI scales   CX blocks left   BX offset of the block in every activation row
//	R8-R13, AX, DX activation rows 0-7

DATA units512<>+0(SB)/8, $0x1c18161413121110
DATA units512<>+8(SB)/8, $0x04080a0c0d0e0f10
GLOBL units512<>(SB), RODATA|NOPTR, $16

#define ARGS \
	MOVQ out+0(FP), R15 \
	MOVQ scales+8(FP), DI \
	MOVQ weights+16(FP), SI \
	MOVQ x+24(FP), AX \
	MOVQ blocks+32(FP), CX \
	XORQ BX, BX

// Pointers of the activation rows; AX last, since it holds the table of them.
#define ROWS1 MOVQ 0(AX), R8
#define ROWS2 ROWS1 \
	MOVQ 8(AX), R9
#define ROWS3 ROWS2 \
	MOVQ 16(AX), R10
#define ROWS4 ROWS3 \
	MOVQ 24(AX), R11
#define ROWS8 ROWS4 \
	MOVQ 32(AX), R12 \
	MOVQ 40(AX), R13 \
	MOVQ 56(AX), DX \
	MOVQ 48(AX), AX

#define ZERO4 \
	VPXORD Z0, Z0, Z0 \
	VPXORD Z1, Z1, Z1 \
	VPXORD Z2, Z2, Z2 \
	VPXORD Z3, Z3, Z3
#define ZERO8 ZERO4 \
	VPXORD Z4, Z4, Z4 \
	VPXORD Z5, Z5, Z5 \
	VPXORD Z6, Z6, Z6 \
	VPXORD Z7, Z7, Z7

// What of a block is scaled: float sum += float(int sum) · (weight scale · activation scale), the sum rounded once.
#define SCALE(P, INT, SUM) \
	VMULPS.BCST 32(P)(BX*1), Z18, Z19 \
	VCVTDQ2PS INT, INT \
	VFMADD231PS Z19, INT, SUM
#define SCALE1 SCALE(R8, Z8, Z0)
#define SCALE2 SCALE1 \
	SCALE(R9, Z9, Z1)
#define SCALE3 SCALE2 \
	SCALE(R10, Z10, Z2)
#define SCALE4 SCALE3 \
	SCALE(R11, Z11, Z3)
#define SCALE8 SCALE4 \
	SCALE(R12, Z12, Z4) \
	SCALE(R13, Z13, Z5) \
	SCALE(AX, Z14, Z6) \
	SCALE(DX, Z15, Z7)

#define STORE1 VMOVUPS Z0, 0(R15)
#define STORE2 STORE1 \
	VMOVUPS Z1, 64(R15)
#define STORE3 STORE2 \
	VMOVUPS Z2, 128(R15)
#define STORE4 STORE3 \
	VMOVUPS Z3, 192(R15)
#define STORE8 STORE4 \
	VMOVUPS Z4, 256(R15) \
	VMOVUPS Z5, 320(R15) \
	VMOVUPS Z6, 384(R15) \
	VMOVUPS Z7, 448(R15)

// MXFP4. Z28 0.5, Z29 2^-127 (what scale byte 0 means), Z30 nibble → units+16, Z31 nibble mask.
#define FOUR_CONSTANTS \
	MOVL $0x3f000000, R14 \
	VPBROADCASTD R14, Z28 \
	MOVL $0x00400000, R14 \
	VPBROADCASTD R14, Z29 \
	VBROADCASTI32X4 units512<>(SB), Z30 \
	MOVL $0x0f0f0f0f, R14 \
	VPBROADCASTD R14, Z31

// Bias is -16·Σ, what the 16 in every weight adds.
#define FOUR_START1 VPBROADCASTD 36(R8)(BX*1), Z8
#define FOUR_START2 FOUR_START1 \
	VPBROADCASTD 36(R9)(BX*1), Z9
#define FOUR_START3 FOUR_START2 \
	VPBROADCASTD 36(R10)(BX*1), Z10
#define FOUR_START4 FOUR_START3 \
	VPBROADCASTD 36(R11)(BX*1), Z11
#define FOUR_START8 FOUR_START4 \
	VPBROADCASTD 36(R12)(BX*1), Z12 \
	VPBROADCASTD 36(R13)(BX*1), Z13 \
	VPBROADCASTD 36(AX)(BX*1), Z14 \
	VPBROADCASTD 36(DX)(BX*1), Z15

// Prefetching 32 blocks ahead into the second-level cache measured best: the first one is full of activations.
#define FOUR_LOAD(J) \
	PREFETCHT1 (8192+64*J)(SI) \
	VMOVDQU64 (64*J)(SI), Z17 \
	VPANDD Z31, Z17, Z16 \
	VPSHUFB Z16, Z30, Z16 \
	VPSRLW $4, Z17, Z17 \
	VPANDD Z31, Z17, Z17 \
	VPSHUFB Z17, Z30, Z17
#define FOUR_DOT(J, P, INT) \
	VPDPBUSD.BCST (4*J)(P)(BX*1), Z16, INT \
	VPDPBUSD.BCST (4*J+16)(P)(BX*1), Z17, INT
#define FOUR1(J) FOUR_DOT(J, R8, Z8)
#define FOUR2(J) FOUR1(J) \
	FOUR_DOT(J, R9, Z9)
#define FOUR3(J) FOUR2(J) \
	FOUR_DOT(J, R10, Z10)
#define FOUR4(J) FOUR3(J) \
	FOUR_DOT(J, R11, Z11)
#define FOUR8(J) FOUR4(J) \
	FOUR_DOT(J, R12, Z12) \
	FOUR_DOT(J, R13, Z13) \
	FOUR_DOT(J, AX, Z14) \
	FOUR_DOT(J, DX, Z15)

#define FOUR_BLOCK(START, DOTS, SCALES) \
	START \
	FOUR_LOAD(0) \
	DOTS(0) \
	FOUR_LOAD(1) \
	DOTS(1) \
	FOUR_LOAD(2) \
	DOTS(2) \
	FOUR_LOAD(3) \
	DOTS(3) \
	VPMOVZXBD (DI), Z18 \
	VPSLLD $23, Z18, Z18 \
	VPMAXUD Z29, Z18, Z18 \
	SCALES \
	ADDQ $256, SI \
	ADDQ $16, DI \
	ADDQ $40, BX \
	DECQ CX

// The nibbles were in half units.
#define HALVE4 \
	VMULPS Z28, Z0, Z0 \
	VMULPS Z28, Z1, Z1 \
	VMULPS Z28, Z2, Z2 \
	VMULPS Z28, Z3, Z3
#define HALVE8 HALVE4 \
	VMULPS Z28, Z4, Z4 \
	VMULPS Z28, Z5, Z5 \
	VMULPS Z28, Z6, Z6 \
	VMULPS Z28, Z7, Z7

// func mulMXFP4x1AVX512(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)
TEXT ·mulMXFP4x1AVX512(SB), NOSPLIT, $0-40
	ARGS
	ROWS1
	FOUR_CONSTANTS
	ZERO4
loop:
	FOUR_BLOCK(FOUR_START1, FOUR1, SCALE1)
	JNZ loop
	HALVE4
	STORE1
	VZEROUPPER
	RET

// func mulMXFP4x2AVX512(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)
TEXT ·mulMXFP4x2AVX512(SB), NOSPLIT, $0-40
	ARGS
	ROWS2
	FOUR_CONSTANTS
	ZERO4
loop:
	FOUR_BLOCK(FOUR_START2, FOUR2, SCALE2)
	JNZ loop
	HALVE4
	STORE2
	VZEROUPPER
	RET

// func mulMXFP4x3AVX512(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)
TEXT ·mulMXFP4x3AVX512(SB), NOSPLIT, $0-40
	ARGS
	ROWS3
	FOUR_CONSTANTS
	ZERO4
loop:
	FOUR_BLOCK(FOUR_START3, FOUR3, SCALE3)
	JNZ loop
	HALVE4
	STORE3
	VZEROUPPER
	RET

// func mulMXFP4x4AVX512(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)
TEXT ·mulMXFP4x4AVX512(SB), NOSPLIT, $0-40
	ARGS
	ROWS4
	FOUR_CONSTANTS
	ZERO4
loop:
	FOUR_BLOCK(FOUR_START4, FOUR4, SCALE4)
	JNZ loop
	HALVE4
	STORE4
	VZEROUPPER
	RET

// func mulMXFP4x8AVX512(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)
TEXT ·mulMXFP4x8AVX512(SB), NOSPLIT, $0-40
	ARGS
	ROWS8
	FOUR_CONSTANTS
	ZERO8
loop:
	FOUR_BLOCK(FOUR_START8, FOUR8, SCALE8)
	JNZ loop
	HALVE8
	STORE8
	VZEROUPPER
	RET

// Of ordinary scales the product is an addition of exponents, which runs beside the multiplications of the dot products
// instead of among them: bits(activation scale) + (weight scale byte - 127)·2^23. Ordinary are activation scales from 2^-95
// to 2^33 and weight scale bytes from 96 to 159; then all results have exponents from 1 to 191. What is not shows as a high bit.
//
//	Z20 R15  what is or-ed of weight scale bytes - 96 and of activation scales - 2^-95, as integers
//	Z21      127 - 96
//	Z22      the bits that no ordinary scale byte - 96 has
//	Z29      127
#define SHIFT_CONSTANTS \
	MOVL $31, R14 \
	VPBROADCASTD R14, Z21 \
	MOVL $0xffffffc0, R14 \
	VPBROADCASTD R14, Z22 \
	MOVL $127, R14 \
	VPBROADCASTD R14, Z29 \
	VPXORD Z20, Z20, Z20 \
	XORL R15, R15

#define SHIFT(P, INT, SUM) \
	MOVL 32(P)(BX*1), R14 \
	SUBL $0x10000000, R14 \
	ORL R14, R15 \
	VPADDD.BCST 32(P)(BX*1), Z18, Z19 \
	VCVTDQ2PS INT, INT \
	VFMADD231PS Z19, INT, SUM

// func mulMXFP4x8ShiftAVX512(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int) (ordinary bool)
TEXT ·mulMXFP4x8ShiftAVX512(SB), NOSPLIT, $0-41
	ARGS
	ROWS8
	FOUR_CONSTANTS
	SHIFT_CONSTANTS
	ZERO8
loop:
	FOUR_START8
	FOUR_LOAD(0)
	FOUR8(0)
	FOUR_LOAD(1)
	FOUR8(1)
	FOUR_LOAD(2)
	FOUR8(2)
	FOUR_LOAD(3)
	FOUR8(3)
	VPMOVZXBD (DI), Z18
	VPSUBD Z29, Z18, Z18
	VPADDD Z21, Z18, Z17
	VPORD Z17, Z20, Z20
	VPSLLD $23, Z18, Z18
	SHIFT(R8, Z8, Z0)
	SHIFT(R9, Z9, Z1)
	SHIFT(R10, Z10, Z2)
	SHIFT(R11, Z11, Z3)
	SHIFT(R12, Z12, Z4)
	SHIFT(R13, Z13, Z5)
	SHIFT(AX, Z14, Z6)
	SHIFT(DX, Z15, Z7)
	ADDQ $256, SI
	ADDQ $16, DI
	ADDQ $40, BX
	DECQ CX
	JNZ loop
	VPTESTMD Z22, Z20, K1
	KMOVW K1, BX
	ANDL $0xc0000000, R15
	ORL R15, BX
	SETEQ ordinary+40(FP)
	MOVQ out+0(FP), R15
	HALVE8
	STORE8
	VZEROUPPER
	RET

// 8-bit weights. Z31 is 0x80 in every byte: w xor 0x80 is w+128, whose correction is eight times Bias.
#define EIGHT_CONSTANTS \
	MOVL $0x80808080, R14 \
	VPBROADCASTD R14, Z31

#define EIGHT_BIAS(P, INT) \
	VPBROADCASTD 36(P)(BX*1), INT \
	VPSLLD $3, INT, INT
#define EIGHT_START1 EIGHT_BIAS(R8, Z8)
#define EIGHT_START2 EIGHT_START1 \
	EIGHT_BIAS(R9, Z9)
#define EIGHT_START3 EIGHT_START2 \
	EIGHT_BIAS(R10, Z10)
#define EIGHT_START4 EIGHT_START3 \
	EIGHT_BIAS(R11, Z11)
#define EIGHT_START8 EIGHT_START4 \
	EIGHT_BIAS(R12, Z12) \
	EIGHT_BIAS(R13, Z13) \
	EIGHT_BIAS(AX, Z14) \
	EIGHT_BIAS(DX, Z15)

#define EIGHT_LOAD(J) VPXORD (64*J)(SI), Z31, Z16
#define EIGHT1(J) VPDPBUSD.BCST (4*J)(R8)(BX*1), Z16, Z8
#define EIGHT2(J) EIGHT1(J) \
	VPDPBUSD.BCST (4*J)(R9)(BX*1), Z16, Z9
#define EIGHT3(J) EIGHT2(J) \
	VPDPBUSD.BCST (4*J)(R10)(BX*1), Z16, Z10
#define EIGHT4(J) EIGHT3(J) \
	VPDPBUSD.BCST (4*J)(R11)(BX*1), Z16, Z11
#define EIGHT8(J) EIGHT4(J) \
	VPDPBUSD.BCST (4*J)(R12)(BX*1), Z16, Z12 \
	VPDPBUSD.BCST (4*J)(R13)(BX*1), Z16, Z13 \
	VPDPBUSD.BCST (4*J)(AX)(BX*1), Z16, Z14 \
	VPDPBUSD.BCST (4*J)(DX)(BX*1), Z16, Z15

// While activations leave room for weights in the first-level cache, prefetching 8 blocks ahead into it measured best;
// from 4 rows on, 16 blocks ahead into the second.
#define FETCH_NEAR(J) PREFETCHT0 (4096+64*J)(SI)
#define FETCH_FAR(J) PREFETCHT1 (8192+64*J)(SI)

#define EIGHT_HALF(J0, J1, J2, J3, FETCH, DOTS) \
	FETCH(J0) \
	EIGHT_LOAD(J0) \
	DOTS(J0) \
	FETCH(J1) \
	EIGHT_LOAD(J1) \
	DOTS(J1) \
	FETCH(J2) \
	EIGHT_LOAD(J2) \
	DOTS(J2) \
	FETCH(J3) \
	EIGHT_LOAD(J3) \
	DOTS(J3)

#define EIGHT_BLOCK(START, FETCH, DOTS, SCALES) \
	START \
	EIGHT_HALF(0, 1, 2, 3, FETCH, DOTS) \
	EIGHT_HALF(4, 5, 6, 7, FETCH, DOTS) \
	VPMOVZXWD (DI), Z18 \
	VPSLLD $16, Z18, Z18 \
	SCALES \
	ADDQ $512, SI \
	ADDQ $32, DI \
	ADDQ $40, BX \
	DECQ CX

// func mulInt8x1AVX512(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)
TEXT ·mulInt8x1AVX512(SB), NOSPLIT, $0-40
	ARGS
	ROWS1
	EIGHT_CONSTANTS
	ZERO4
loop:
	EIGHT_BLOCK(EIGHT_START1, FETCH_NEAR, EIGHT1, SCALE1)
	JNZ loop
	STORE1
	VZEROUPPER
	RET

// func mulInt8x2AVX512(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)
TEXT ·mulInt8x2AVX512(SB), NOSPLIT, $0-40
	ARGS
	ROWS2
	EIGHT_CONSTANTS
	ZERO4
loop:
	EIGHT_BLOCK(EIGHT_START2, FETCH_NEAR, EIGHT2, SCALE2)
	JNZ loop
	STORE2
	VZEROUPPER
	RET

// func mulInt8x3AVX512(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)
TEXT ·mulInt8x3AVX512(SB), NOSPLIT, $0-40
	ARGS
	ROWS3
	EIGHT_CONSTANTS
	ZERO4
loop:
	EIGHT_BLOCK(EIGHT_START3, FETCH_NEAR, EIGHT3, SCALE3)
	JNZ loop
	STORE3
	VZEROUPPER
	RET

// func mulInt8x4AVX512(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)
TEXT ·mulInt8x4AVX512(SB), NOSPLIT, $0-40
	ARGS
	ROWS4
	EIGHT_CONSTANTS
	ZERO4
loop:
	EIGHT_BLOCK(EIGHT_START4, FETCH_FAR, EIGHT4, SCALE4)
	JNZ loop
	STORE4
	VZEROUPPER
	RET

// func mulInt8x8AVX512(out *tileSums, scales, weights *byte, x *[8]*Block, blocks int)
TEXT ·mulInt8x8AVX512(SB), NOSPLIT, $0-40
	ARGS
	ROWS8
	EIGHT_CONSTANTS
	ZERO8
loop:
	EIGHT_BLOCK(EIGHT_START8, FETCH_FAR, EIGHT8, SCALE8)
	JNZ loop
	STORE8
	VZEROUPPER
	RET
