// Vector instructions that Go's assembler does not know, as words. Operands are the
// numbers of vector registers in the order of Go's assembler, result last: the
// reverse of Arm's manual. In comments a register is an array: D.s of 4 float32 or
// int32, D.h of 8 int16, D.b of 16 int8.

// D.s = N.s ∘ M.s, float32: fadd, fsub, fmul, fdiv, fmax, fmin (a NaN stays one).
#define VFADD(M, N, D) WORD $(0x4e20d400 | (M)<<16 | (N)<<5 | (D))
#define VFSUB(M, N, D) WORD $(0x4ea0d400 | (M)<<16 | (N)<<5 | (D))
#define VFMUL(M, N, D) WORD $(0x6e20dc00 | (M)<<16 | (N)<<5 | (D))
#define VFDIV(M, N, D) WORD $(0x6e20fc00 | (M)<<16 | (N)<<5 | (D))
#define VFMAX(M, N, D) WORD $(0x4e20f400 | (M)<<16 | (N)<<5 | (D))
#define VFMIN(M, N, D) WORD $(0x4ea0f400 | (M)<<16 | (N)<<5 | (D))

// D.s = all ones where N.s > M.s, zeros elsewhere, float32: fcmgt.
#define VFCMGT(M, N, D) WORD $(0x6ea0e400 | (M)<<16 | (N)<<5 | (D))

// D.s += N.s · M.s, float32, rounded once: fmla.
#define VFMULADD(M, N, D) WORD $(0x4e20cc00 | (M)<<16 | (N)<<5 | (D))

// The same with lane I of M: fmul and fmla by element.
#define VFMUL_LANE(I, M, N, D) WORD $(0x4f809000 | ((I)&1)<<21 | ((I)>>1)<<11 | (M)<<16 | (N)<<5 | (D))
#define VFMULADD_LANE(I, M, N, D) WORD $(0x4f801000 | ((I)&1)<<21 | ((I)>>1)<<11 | (M)<<16 | (N)<<5 | (D))

// D.s = N.s rounded to nearest, ties to even, as float32 and as int32: frintn, fcvtns.
#define VFRINTN(N, D) WORD $(0x4e218800 | (N)<<5 | (D))
#define VFCVTNS(N, D) WORD $(0x4e21a800 | (N)<<5 | (D))

// D.s = N.s from int32 to float32: scvtf.
#define VSCVTF(N, D) WORD $(0x4e21d800 | (N)<<5 | (D))

// D.s = N.s + M.s, and N.s << 23, integers: add, shl.
#define VADDS(M, N, D) WORD $(0x4ea08400 | (M)<<16 | (N)<<5 | (D))
#define VSHL23(N, D) WORD $(0x4f375400 | (N)<<5 | (D))

// D.s = the lower or upper half of N.h << 16: shll, shll2.
#define VSHLL16(N, D) WORD $(0x2e613800 | (N)<<5 | (D))
#define VSHLL16_2(N, D) WORD $(0x6e613800 | (N)<<5 | (D))

// The largest of N.s as uint32 to D.s[0]: umaxv.
#define VUMAXV(N, D) WORD $(0x6eb0a800 | (N)<<5 | (D))

// D.h = and += products of the lower or upper halves of N.b and M.b: smull, smlal.
#define VSMULL(M, N, D) WORD $(0x0e20c000 | (M)<<16 | (N)<<5 | (D))
#define VSMULL2(M, N, D) WORD $(0x4e20c000 | (M)<<16 | (N)<<5 | (D))
#define VSMLAL(M, N, D) WORD $(0x0e208000 | (M)<<16 | (N)<<5 | (D))
#define VSMLAL2(M, N, D) WORD $(0x4e208000 | (M)<<16 | (N)<<5 | (D))

// D.s = and += sums of the pairs of N.h: saddlp, sadalp.
#define VSADDLP(N, D) WORD $(0x4e602800 | (N)<<5 | (D))
#define VSADALP(N, D) WORD $(0x4e606800 | (N)<<5 | (D))

// D = sums of the pairs of N, then of M, as int16 and as int32: addp.
#define VADDP_H(M, N, D) WORD $(0x4e60bc00 | (M)<<16 | (N)<<5 | (D))
#define VADDP_S(M, N, D) WORD $(0x4ea0bc00 | (M)<<16 | (N)<<5 | (D))

// D.s[i] += Σ over c = 0…3 of N.b[4i+c] · M.b[4I+c], signed: sdot by element (FEAT_DotProd).
#define VSDOT_LANE(I, M, N, D) WORD $(0x4f80e000 | ((I)&1)<<21 | ((I)>>1)<<11 | (M)<<16 | (N)<<5 | (D))
