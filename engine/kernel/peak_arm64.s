#include "textflag.h"
#include "neon_arm64.h"

// What the machine can do at best, with the instructions of the products.
//
//	V0-V15   sums   V30 activations   V31 weights   R3 rounds left

// All 16 sums.
#define EACH(OP) \
	OP(0) \
	OP(1) \
	OP(2) \
	OP(3) \
	OP(4) \
	OP(5) \
	OP(6) \
	OP(7) \
	OP(8) \
	OP(9) \
	OP(10) \
	OP(11) \
	OP(12) \
	OP(13) \
	OP(14) \
	OP(15)

#define DOT(D) \
	VSDOT_LANE(0, 30, 31, D)

// func peakDotProd(rounds int)
TEXT ·peakDotProd(SB), NOSPLIT, $0-8
	MOVD rounds+0(FP), R3
	VMOVI $1, V30.B16
	VMOVI $2, V31.B16
dot:
	EACH(DOT)
	SUBS $1, R3
	BNE dot
	RET

#define FIRST(D) \
	VSMULL(30, 31, D)
#define NEXT(D) \
	VSMLAL2(30, 31, D)
#define PAIRS(A) \
	VADDP_H((A+1), A, A) \
	VADDP_H((A+3), (A+2), (A+1)) \
	VSADDLP(A, A) \
	VSADDLP((A+1), (A+1))

// func peakNEON(rounds int)
// 8 products in every lane of 16 bits, then sums of pairs.
TEXT ·peakNEON(SB), NOSPLIT, $0-8
	MOVD rounds+0(FP), R3
	VMOVI $1, V30.B16
	VMOVI $2, V31.B16
neon:
	EACH(FIRST)
	EACH(NEXT)
	EACH(NEXT)
	EACH(NEXT)
	EACH(NEXT)
	EACH(NEXT)
	EACH(NEXT)
	EACH(NEXT)
	PAIRS(0)
	PAIRS(4)
	PAIRS(8)
	PAIRS(12)
	SUBS $1, R3
	BNE neon
	RET
