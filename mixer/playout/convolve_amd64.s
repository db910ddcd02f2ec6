#include "textflag.h"

// func between(c, a, b *[taps]float32, w float32)
TEXT ·between(SB), NOSPLIT, $0-28
	MOVQ   c+0(FP), DI
	MOVQ   a+8(FP), AX
	MOVQ   b+16(FP), BX
	MOVSS  w+24(FP), X7
	SHUFPS $0, X7, X7
	MOVQ   $0, CX

four:
	MOVUPS (AX)(CX*1), X0
	MOVUPS (BX)(CX*1), X1
	SUBPS  X0, X1
	MULPS  X7, X1
	ADDPS  X1, X0
	MOVUPS X0, (DI)(CX*1)
	ADDQ   $16, CX
	CMPQ   CX, $128
	JLT    four
	RET

// func convolve(y *[stride]float32, c *[taps]float32, x *float32, n int)
TEXT ·convolve(SB), NOSPLIT, $0-32
	MOVQ   y+0(FP), DI
	MOVQ   c+8(FP), AX
	MOVQ   x+16(FP), BX
	MOVQ   n+24(FP), CX
	MOVUPS 0(AX), X8
	MOVUPS 16(AX), X9
	MOVUPS 32(AX), X10
	MOVUPS 48(AX), X11
	MOVUPS 64(AX), X12
	MOVUPS 80(AX), X13
	MOVUPS 96(AX), X14
	MOVUPS 112(AX), X3
	JMP    test

next:
	MOVUPS 0(BX), X0
	MULPS  X8, X0
	MOVUPS 16(BX), X1
	MULPS  X9, X1
	ADDPS  X1, X0
	MOVUPS 32(BX), X2
	MULPS  X10, X2
	ADDPS  X2, X0
	MOVUPS 48(BX), X1
	MULPS  X11, X1
	ADDPS  X1, X0
	MOVUPS 64(BX), X2
	MULPS  X12, X2
	ADDPS  X2, X0
	MOVUPS 80(BX), X1
	MULPS  X13, X1
	ADDPS  X1, X0
	MOVUPS 96(BX), X2
	MULPS  X14, X2
	ADDPS  X2, X0
	MOVUPS 112(BX), X1
	MULPS  X3, X1
	ADDPS  X1, X0

	// (s0 + s1) + (s2 + s3)
	MOVAPS  X0, X1
	SHUFPS  $0xB1, X1, X1
	ADDPS   X1, X0
	MOVHLPS X0, X1
	ADDSS   X1, X0
	MOVSS   X0, (DI)
	ADDQ    $4, DI
	ADDQ    $4, BX
	DECQ    CX

test:
	TESTQ CX, CX
	JGT   next
	RET
