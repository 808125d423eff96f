#include "textflag.h"
#include "neon_arm64.h"

// The two products of attention with NEON. Nothing is ever summed across lanes: of
// the first a lane is one of 8 query heads that share a key-value head, of the
// second a dimension. Every sum is rounded once.
//
//	scores[token][head] = Σ over d of  key[token][d] · query[d][head]
//	acc[head][d]       += Σ over token of  weight[token][head] · value[token][d]

// func widenAssembly(dst *float32, src *uint16, n int)
//
// n is a multiple of 16.
TEXT ·widenAssembly(SB), NOSPLIT, $0-24
	MOVD dst+0(FP), R0
	MOVD src+8(FP), R1
	MOVD n+16(FP), R2
loop:
	FLDPQ.P 32(R1), (F0, F1)
	VSHLL16(0, 2)
	VSHLL16_2(0, 3)
	VSHLL16(1, 4)
	VSHLL16_2(1, 5)
	FSTPQ.P (F2, F3), 32(R0)
	FSTPQ.P (F4, F5), 32(R0)
	SUBS $16, R2
	BNE loop
	RET

// Four dimensions of a token's key, which KEY walks over, times the query in V16-V23:
// heads 0-3 to A, heads 4-7 to B.
#define TOKEN(KEY, A, B) \
	FMOVQ.P 16(KEY), F24 \
	VFMULADD_LANE(0, 24, 16, A) \
	VFMULADD_LANE(0, 24, 17, B) \
	VFMULADD_LANE(1, 24, 18, A) \
	VFMULADD_LANE(1, 24, 19, B) \
	VFMULADD_LANE(2, 24, 20, A) \
	VFMULADD_LANE(2, 24, 21, B) \
	VFMULADD_LANE(3, 24, 22, A) \
	VFMULADD_LANE(3, 24, 23, B)

// func scoresAssembly(dst, q, keys *float32, dim, groups int)
//
// 8 tokens at a time in V0-V15, two registers each, whose keys R6-R13 point to; R5
// is the size of a row.
TEXT ·scoresAssembly(SB), NOSPLIT, $0-40
	MOVD dst+0(FP), R0
	MOVD keys+16(FP), R6
	MOVD dim+24(FP), R3
	MOVD groups+32(FP), R4
	LSL $2, R3, R5
group:
	MOVD q+8(FP), R1
	MOVD R3, R2
	ADD R5, R6, R7
	ADD R5, R7, R8
	ADD R5, R8, R9
	ADD R5, R9, R10
	ADD R5, R10, R11
	ADD R5, R11, R12
	ADD R5, R12, R13
	VMOVI $0, V0.B16
	VMOVI $0, V1.B16
	VMOVI $0, V2.B16
	VMOVI $0, V3.B16
	VMOVI $0, V4.B16
	VMOVI $0, V5.B16
	VMOVI $0, V6.B16
	VMOVI $0, V7.B16
	VMOVI $0, V8.B16
	VMOVI $0, V9.B16
	VMOVI $0, V10.B16
	VMOVI $0, V11.B16
	VMOVI $0, V12.B16
	VMOVI $0, V13.B16
	VMOVI $0, V14.B16
	VMOVI $0, V15.B16
loop:
	FLDPQ.P 32(R1), (F16, F17)
	FLDPQ.P 32(R1), (F18, F19)
	FLDPQ.P 32(R1), (F20, F21)
	FLDPQ.P 32(R1), (F22, F23)
	TOKEN(R6, 0, 1)
	TOKEN(R7, 2, 3)
	TOKEN(R8, 4, 5)
	TOKEN(R9, 6, 7)
	TOKEN(R10, 8, 9)
	TOKEN(R11, 10, 11)
	TOKEN(R12, 12, 13)
	TOKEN(R13, 14, 15)
	SUBS $4, R2
	BNE loop
	FSTPQ.P (F0, F1), 32(R0)
	FSTPQ.P (F2, F3), 32(R0)
	FSTPQ.P (F4, F5), 32(R0)
	FSTPQ.P (F6, F7), 32(R0)
	FSTPQ.P (F8, F9), 32(R0)
	FSTPQ.P (F10, F11), 32(R0)
	FSTPQ.P (F12, F13), 32(R0)
	FSTPQ.P (F14, F15), 32(R0)
	MOVD R13, R6 // the last token's row was walked over: what follows is the next group
	SUBS $1, R4
	BNE group
	RET

// A head's weight of a token times 16 dimensions of its value.
#define WEIGH(HEAD, A) \
	VFMULADD_LANE(HEAD, 24, 20, A) \
	VFMULADD_LANE(HEAD, 24, 21, (A+1)) \
	VFMULADD_LANE(HEAD, 24, 22, (A+2)) \
	VFMULADD_LANE(HEAD, 24, 23, (A+3))
#define START(HEAD, A) \
	VFMUL_LANE(HEAD, 24, A, A) \
	VFMUL_LANE(HEAD, 24, (A+1), (A+1)) \
	VFMUL_LANE(HEAD, 24, (A+2), (A+2)) \
	VFMUL_LANE(HEAD, 24, (A+3), (A+3))

// func accumulateAssembly(acc, weights *float32, values *uint16, factor *float32, dim, tokens int)
//
// 16 dimensions of 4 heads at a time in V0-V15. R8-R11 are the heads' sums, a row of
// R5 bytes apart; R12 is the value of a token, R13 that of the first, R6 the size of
// one; R14 is the weights of a token, V24 those of the 4 heads.
TEXT ·accumulateAssembly(SB), NOSPLIT, $0-48
	MOVD acc+0(FP), R8
	MOVD weights+8(FP), R1
	MOVD factor+24(FP), R2
	MOVD dim+32(FP), R3
	LSL $2, R3, R5
	LSL $1, R3, R6
	MOVD $2, R4
heads:
	ADD R5, R8, R9
	ADD R5, R9, R10
	ADD R5, R10, R11
	MOVD values+16(FP), R13
	MOVD R3, R7
dims:
	FMOVQ (R2), F24
	FLDPQ 0(R8), (F0, F1)
	FLDPQ 32(R8), (F2, F3)
	FLDPQ 0(R9), (F4, F5)
	FLDPQ 32(R9), (F6, F7)
	FLDPQ 0(R10), (F8, F9)
	FLDPQ 32(R10), (F10, F11)
	FLDPQ 0(R11), (F12, F13)
	FLDPQ 32(R11), (F14, F15)
	START(0, 0)
	START(1, 4)
	START(2, 8)
	START(3, 12)
	MOVD R1, R14
	MOVD R13, R12
	MOVD tokens+40(FP), R15
loop:
	FLDPQ (R12), (F16, F17)
	FMOVQ.P 32(R14), F24
	VSHLL16(16, 20)
	VSHLL16_2(16, 21)
	VSHLL16(17, 22)
	VSHLL16_2(17, 23)
	WEIGH(0, 0)
	WEIGH(1, 4)
	WEIGH(2, 8)
	WEIGH(3, 12)
	ADD R6, R12, R12
	SUBS $1, R15
	BNE loop
	FSTPQ.P (F0, F1), 32(R8)
	FSTPQ.P (F2, F3), 32(R8)
	FSTPQ.P (F4, F5), 32(R9)
	FSTPQ.P (F6, F7), 32(R9)
	FSTPQ.P (F8, F9), 32(R10)
	FSTPQ.P (F10, F11), 32(R10)
	FSTPQ.P (F12, F13), 32(R11)
	FSTPQ.P (F14, F15), 32(R11)
	ADD $32, R13
	SUBS $16, R7
	BNE dims
	MOVD R11, R8 // the row after the fourth
	ADD $16, R1
	ADD $16, R2
	SUBS $1, R4
	BNE heads
	RET
