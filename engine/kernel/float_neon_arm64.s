#include "textflag.h"
#include "neon_arm64.h"

// Element-wise kernels with NEON: 8 float32 at a time in two registers, multiplied
// and added separately, as in plain Go.

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
DATA floats<>+48(SB)/4, $0x0000007f // 127, an integer: the bias of exponents
DATA floats<>+52(SB)/4, $0x40e00000 // swigluLimit
DATA floats<>+56(SB)/4, $0xc0e00000 // -swigluLimit
DATA floats<>+60(SB)/4, $0xbfd9db23 // -swigluAlpha
GLOBL floats<>(SB), RODATA|NOPTR, $64

// V16 to V31 become the 16 constants, each in all lanes; V0-V3 and R4 are scratch.
#define CONSTANTS \
	MOVD $floats<>(SB), R4 \
	VLD1 (R4), [V0.S4, V1.S4, V2.S4, V3.S4] \
	VDUP V0.S[0], V16.S4 \
	VDUP V0.S[1], V17.S4 \
	VDUP V0.S[2], V18.S4 \
	VDUP V0.S[3], V19.S4 \
	VDUP V1.S[0], V20.S4 \
	VDUP V1.S[1], V21.S4 \
	VDUP V1.S[2], V22.S4 \
	VDUP V1.S[3], V23.S4 \
	VDUP V2.S[0], V24.S4 \
	VDUP V2.S[1], V25.S4 \
	VDUP V2.S[2], V26.S4 \
	VDUP V2.S[3], V27.S4 \
	VDUP V3.S[0], V28.S4 \
	VDUP V3.S[1], V29.S4 \
	VDUP V3.S[2], V30.S4 \
	VDUP V3.S[3], V31.S4

// X becomes e^X, step by step as exp does it; N, T and P are scratch.
#define EXP(X, N, T, P) \
	VFMAX(16, X, X) \
	VFMIN(17, X, X) \
	VFMUL(18, X, N) \
	VFRINTN(N, N) \
	VFMUL(19, N, T) \
	VFSUB(T, X, X) \
	VFMUL(20, N, T) \
	VFSUB(T, X, X) \
	VFMUL(21, X, P) \
	VFADD(22, P, P) \
	VFMUL(X, P, P) \
	VFADD(23, P, P) \
	VFMUL(X, P, P) \
	VFADD(24, P, P) \
	VFMUL(X, P, P) \
	VFADD(25, P, P) \
	VFMUL(X, P, P) \
	VFADD(26, P, P) \
	VFMUL(X, X, T) \
	VFMUL(T, P, P) \
	VFADD(X, P, P) \
	VFADD(27, P, P) \
	VFCVTNS(N, N) \
	VADDS(28, N, N) \
	VSHL23(N, N) \
	VFMUL(N, P, X)

// func sumSquaresAssembly(sums *[8]float32, x *float32, n int)
TEXT ·sumSquaresAssembly(SB), NOSPLIT, $0-24
	MOVD sums+0(FP), R0
	MOVD x+8(FP), R1
	MOVD n+16(FP), R2
	FLDPQ (R0), (F0, F1)
loop:
	FLDPQ.P 32(R1), (F2, F3)
	VFMUL(2, 2, 2)
	VFMUL(3, 3, 3)
	VFADD(2, 0, 0)
	VFADD(3, 1, 1)
	SUBS $8, R2
	BNE loop
	FSTPQ (F0, F1), (R0)
	RET

// func dotAssembly(sums *[32]float32, a, b *float32, n int)
//
// n is a multiple of 32; V0-V7 hold 32 interleaved sums.
TEXT ·dotAssembly(SB), NOSPLIT, $0-32
	MOVD sums+0(FP), R0
	MOVD a+8(FP), R1
	MOVD b+16(FP), R2
	MOVD n+24(FP), R3
	VMOVI $0, V0.B16
	VMOVI $0, V1.B16
	VMOVI $0, V2.B16
	VMOVI $0, V3.B16
	VMOVI $0, V4.B16
	VMOVI $0, V5.B16
	VMOVI $0, V6.B16
	VMOVI $0, V7.B16
loop:
	FLDPQ.P 32(R1), (F8, F9)
	FLDPQ.P 32(R1), (F10, F11)
	FLDPQ.P 32(R1), (F12, F13)
	FLDPQ.P 32(R1), (F14, F15)
	FLDPQ.P 32(R2), (F16, F17)
	FLDPQ.P 32(R2), (F18, F19)
	FLDPQ.P 32(R2), (F20, F21)
	FLDPQ.P 32(R2), (F22, F23)
	VFMUL(16, 8, 8)
	VFMUL(17, 9, 9)
	VFMUL(18, 10, 10)
	VFMUL(19, 11, 11)
	VFMUL(20, 12, 12)
	VFMUL(21, 13, 13)
	VFMUL(22, 14, 14)
	VFMUL(23, 15, 15)
	VFADD(8, 0, 0)
	VFADD(9, 1, 1)
	VFADD(10, 2, 2)
	VFADD(11, 3, 3)
	VFADD(12, 4, 4)
	VFADD(13, 5, 5)
	VFADD(14, 6, 6)
	VFADD(15, 7, 7)
	SUBS $32, R3
	BNE loop
	FSTPQ (F0, F1), 0(R0)
	FSTPQ (F2, F3), 32(R0)
	FSTPQ (F4, F5), 64(R0)
	FSTPQ (F6, F7), 96(R0)
	RET

// func scaleByAssembly(dst, x, weight *float32, factor float32, n int)
TEXT ·scaleByAssembly(SB), NOSPLIT, $0-40
	MOVD dst+0(FP), R0
	MOVD x+8(FP), R1
	MOVD weight+16(FP), R2
	FMOVS factor+24(FP), F16
	MOVD n+32(FP), R3
loop:
	FLDPQ.P 32(R1), (F0, F1)
	FLDPQ.P 32(R2), (F2, F3)
	VFMUL_LANE(0, 16, 0, 0)
	VFMUL_LANE(0, 16, 1, 1)
	VFMUL(2, 0, 0)
	VFMUL(3, 1, 1)
	FSTPQ.P (F0, F1), 32(R0)
	SUBS $8, R3
	BNE loop
	RET

// func axpyAssembly(dst *float32, a float32, x *float32, n int)
TEXT ·axpyAssembly(SB), NOSPLIT, $0-32
	MOVD dst+0(FP), R0
	FMOVS a+8(FP), F16
	MOVD x+16(FP), R1
	MOVD n+24(FP), R2
loop:
	FLDPQ.P 32(R1), (F0, F1)
	FLDPQ (R0), (F2, F3)
	VFMUL_LANE(0, 16, 0, 0)
	VFMUL_LANE(0, 16, 1, 1)
	VFADD(0, 2, 2)
	VFADD(1, 3, 3)
	FSTPQ.P (F2, F3), 32(R0)
	SUBS $8, R2
	BNE loop
	RET

// Gates in GATE and ups in UP become the result in GATE; the others are scratch.
#define SWIGLU(GATE, UP, X, N, T, P) \
	VFMIN(29, GATE, GATE) \
	VFMIN(29, UP, UP) \
	VFMAX(30, UP, UP) \
	VFMUL(31, GATE, X) \
	EXP(X, N, T, P) \
	VFADD(27, X, X) \
	VFDIV(X, 27, X) \
	VFMUL(X, GATE, GATE) \
	VFADD(27, UP, UP) \
	VFMUL(UP, GATE, GATE)

// func swigluAssembly(dst, gateUp *float32, n int)
//
// 8 pairs are read before their results are written: dst may be where gateUp begins.
TEXT ·swigluAssembly(SB), NOSPLIT, $0-24
	MOVD dst+0(FP), R0
	MOVD gateUp+8(FP), R1
	MOVD n+16(FP), R2
	CONSTANTS
loop:
	VLD2.P 32(R1), [V0.S4, V1.S4]
	VLD2.P 32(R1), [V2.S4, V3.S4]
	SWIGLU(0, 1, 4, 5, 6, 7)
	SWIGLU(2, 3, 8, 9, 10, 11)
	VMOV V2.B16, V1.B16
	FSTPQ.P (F0, F1), 32(R0)
	SUBS $8, R2
	BNE loop
	RET

// func ropeAssembly(x, cos, sin *float32, half, heads int)
//
// Element i of a head, in V0 V1, pairs with element i+half, in V2 V3; half is a multiple of 8.
TEXT ·ropeAssembly(SB), NOSPLIT, $0-40
	MOVD x+0(FP), R0
	MOVD half+24(FP), R3
	MOVD heads+32(FP), R4
	ADD R3<<2, R0, R1
head:
	MOVD cos+8(FP), R5
	MOVD sin+16(FP), R6
	MOVD R3, R7
pairs:
	FLDPQ (R0), (F0, F1)
	FLDPQ (R1), (F2, F3)
	FLDPQ.P 32(R5), (F4, F5)
	FLDPQ.P 32(R6), (F6, F7)
	VFMUL(4, 0, 8)
	VFMUL(5, 1, 9)
	VFMUL(6, 2, 10)
	VFMUL(7, 3, 11)
	VFSUB(10, 8, 8)
	VFSUB(11, 9, 9)
	VFMUL(4, 2, 12)
	VFMUL(5, 3, 13)
	VFMUL(6, 0, 14)
	VFMUL(7, 1, 15)
	VFADD(14, 12, 12)
	VFADD(15, 13, 13)
	FSTPQ.P (F8, F9), 32(R0)
	FSTPQ.P (F12, F13), 32(R1)
	SUBS $8, R7
	BNE pairs
	ADD R3<<2, R0, R0
	ADD R3<<2, R1, R1
	SUBS $1, R4
	BNE head
	RET

// func softmaxStepAssembly(scores *float32, tokens int, state *softmaxState)
//
// A lane is a query head. V12 V13 are the tops before, then the sums; V14 V15 the tops after.
TEXT ·softmaxStepAssembly(SB), NOSPLIT, $0-24
	MOVD scores+0(FP), R0
	MOVD tokens+8(FP), R1
	MOVD state+16(FP), R2
	CONSTANTS
	FLDPQ 0(R2), (F12, F13)
	VMOV V12.B16, V14.B16
	VMOV V13.B16, V15.B16
	MOVD R0, R5
	MOVD R1, R6
top:
	FLDPQ.P 32(R5), (F0, F1)
	VFCMGT(0, 14, 2)
	VFCMGT(1, 15, 3)
	VBIF V2.B16, V0.B16, V14.B16 // the score unless the top is larger
	VBIF V3.B16, V1.B16, V15.B16
	SUBS $1, R6
	BNE top
	FSTPQ (F14, F15), 0(R2)
	VFSUB(14, 12, 0)
	VFSUB(15, 13, 1)
	EXP(0, 4, 5, 6)
	EXP(1, 7, 8, 9)
	FSTPQ (F0, F1), 64(R2)
	FLDPQ 32(R2), (F12, F13)
	VFMUL(0, 12, 12)
	VFMUL(1, 13, 13)
weights:
	FLDPQ (R0), (F0, F1)
	VFSUB(14, 0, 0)
	VFSUB(15, 1, 1)
	EXP(0, 4, 5, 6)
	EXP(1, 7, 8, 9)
	FSTPQ.P (F0, F1), 32(R0)
	VFADD(0, 12, 12)
	VFADD(1, 13, 13)
	SUBS $1, R1
	BNE weights
	FSTPQ (F12, F13), 32(R2)
	RET

#define LARGER(M, N) VUMAX M.S4, N.S4, N.S4
#define PLUS(M, N, D) VADD M.S4, N.S4, D.S4

// func quantiseAssembly(dst *Block, x *float32, blocks int)
//
// V0-V7 are a block, V24 is 127, V31 clears a sign. On magnitudes the order of the
// bits is the order of the numbers, with NaN above infinity.
TEXT ·quantiseAssembly(SB), NOSPLIT, $0-24
	MOVD dst+0(FP), R0
	MOVD x+8(FP), R1
	MOVD blocks+16(FP), R2
	MOVD $0x7fffffff, R4
	VDUP R4, V31.S4
	MOVD $0x42fe0000, R4
	FMOVS R4, F24
	MOVD $0x7f800000, R5 // infinity
	MOVD $0x0d800000, R6 // 2^-100
loop:
	FLDPQ.P 32(R1), (F0, F1)
	FLDPQ.P 32(R1), (F2, F3)
	FLDPQ.P 32(R1), (F4, F5)
	FLDPQ.P 32(R1), (F6, F7)
	VAND V31.B16, V0.B16, V16.B16
	VAND V31.B16, V1.B16, V17.B16
	VAND V31.B16, V2.B16, V18.B16
	VAND V31.B16, V3.B16, V19.B16
	VAND V31.B16, V4.B16, V20.B16
	VAND V31.B16, V5.B16, V21.B16
	VAND V31.B16, V6.B16, V22.B16
	VAND V31.B16, V7.B16, V23.B16
	LARGER(V17, V16)
	LARGER(V19, V18)
	LARGER(V21, V20)
	LARGER(V23, V22)
	LARGER(V18, V16)
	LARGER(V22, V20)
	LARGER(V20, V16)
	VUMAXV(16, 16)
	FMOVS F16, R4
	CMPW R5, R4
	BHS infinite
	CMPW R6, R4
	BLO zero
	FDIVS F24, F16, F17
	FMOVS F17, 32(R0)
	FDIVS F16, F24, F18
	VFMUL_LANE(0, 18, 0, 0)
	VFMUL_LANE(0, 18, 1, 1)
	VFMUL_LANE(0, 18, 2, 2)
	VFMUL_LANE(0, 18, 3, 3)
	VFMUL_LANE(0, 18, 4, 4)
	VFMUL_LANE(0, 18, 5, 5)
	VFMUL_LANE(0, 18, 6, 6)
	VFMUL_LANE(0, 18, 7, 7)
	VFCVTNS(0, 0)
	VFCVTNS(1, 1)
	VFCVTNS(2, 2)
	VFCVTNS(3, 3)
	VFCVTNS(4, 4)
	VFCVTNS(5, 5)
	VFCVTNS(6, 6)
	VFCVTNS(7, 7)
	PLUS(V0, V1, V16)
	PLUS(V2, V3, V17)
	PLUS(V4, V5, V18)
	PLUS(V6, V7, V19)
	PLUS(V16, V17, V16)
	PLUS(V18, V19, V18)
	PLUS(V16, V18, V16)
	VADDV V16.S4, V16
	FMOVS F16, R4
	LSLW $4, R4
	NEGW R4, R4
	MOVW R4, 36(R0)
	// The lower halves of int32, then the lower bytes of int16: all are within ±127.
	VUZP1 V1.H8, V0.H8, V0.H8
	VUZP1 V3.H8, V2.H8, V2.H8
	VUZP1 V5.H8, V4.H8, V4.H8
	VUZP1 V7.H8, V6.H8, V6.H8
	VUZP1 V2.B16, V0.B16, V0.B16
	VUZP1 V6.B16, V4.B16, V1.B16
	FSTPQ (F0, F1), (R0)
next:
	ADD $40, R0
	SUBS $1, R2
	BNE loop
	RET
infinite:
	MOVW $0x7fc00000, R4
	B empty
zero:
	MOVW ZR, R4
empty:
	VMOVI $0, V0.B16
	FSTPQ (F0, F0), (R0)
	MOVW R4, 32(R0)
	MOVW ZR, 36(R0)
	B next
