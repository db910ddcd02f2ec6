#include "textflag.h"

// A frame is 960 pairs of left and right. Each loop is there for SSE2, which
// every amd64 has, and for AVX, with the same sums in the same order.

// func surveySSE(f *pcm.Frame, l *look)
TEXT ·surveySSE(SB), NOSPLIT, $0-16
	MOVQ f+0(FP), SI
	MOVQ l+8(FP), DI
	MOVQ $120, CX           // times eight samples
	XORPS X8, X8            // largest magnitudes
	XORPS X9, X9            // bits that differ
	XORPS X10, X10          // squares of samples 0 to 3 of eight
	XORPS X11, X11          // and of 4 to 7
	PCMPEQL X12, X12
	PSRLL $1, X12           // all bits but the sign

samples:
	MOVUPS (SI), X0         // L0 R0 L1 R1
	MOVUPS 16(SI), X1       // L2 R2 L3 R3
	MOVUPS 32(SI), X4
	MOVUPS 48(SI), X5
	MOVAPS X0, X2
	MOVAPS X4, X6
	SHUFPS $0x88, X1, X0    // L0 L1 L2 L3
	SHUFPS $0xDD, X1, X2    // R0 R1 R2 R3
	SHUFPS $0x88, X5, X4
	SHUFPS $0xDD, X5, X6
	XORPS X0, X2
	XORPS X4, X6
	ORPS X2, X9
	ORPS X6, X9
	MOVAPS X0, X3
	MOVAPS X4, X7
	MULPS X0, X0
	MULPS X4, X4
	ADDPS X0, X10
	ADDPS X4, X11
	ANDPS X12, X3
	ANDPS X12, X7
	MAXPS X3, X8
	MAXPS X7, X8
	ADDQ $64, SI
	DECQ CX
	JNZ samples

	MOVAPS X8, X0
	SHUFPS $0x4E, X0, X0    // the upper two below
	MAXPS X0, X8
	MOVAPS X8, X0
	SHUFPS $0xB1, X0, X0    // neighbours swapped
	MAXPS X0, X8
	MOVSS X8, 0(DI)
	MOVAPS X9, X0
	SHUFPS $0x4E, X0, X0
	ORPS X0, X9
	MOVAPS X9, X0
	SHUFPS $0xB1, X0, X0
	ORPS X0, X9
	MOVSS X9, 4(DI)
	MOVUPS X10, 8(DI)
	MOVUPS X11, 24(DI)
	RET

// func addMonoSSE(row *[pcm.FrameSize]float64, f *pcm.Frame, gain float64)
TEXT ·addMonoSSE(SB), NOSPLIT, $0-24
	MOVQ row+0(FP), DI
	MOVQ f+8(FP), SI
	MOVSD gain+16(FP), X7
	UNPCKLPD X7, X7
	MOVQ $240, CX           // times four samples

add:
	MOVUPS (SI), X0
	MOVUPS 16(SI), X1
	SHUFPS $0x88, X1, X0    // L0 L1 L2 L3
	MOVAPS X0, X2
	SHUFPS $0xEE, X2, X2    // L2 L3
	CVTPS2PD X0, X0
	CVTPS2PD X2, X2
	MULPD X7, X0
	MULPD X7, X2
	MOVUPD (DI), X3
	MOVUPD 16(DI), X4
	ADDPD X0, X3
	ADDPD X2, X4
	MOVUPD X3, (DI)
	MOVUPD X4, 16(DI)
	ADDQ $32, SI
	ADDQ $32, DI
	DECQ CX
	JNZ add
	RET

// func surveyAVX(f *pcm.Frame, l *look)
TEXT ·surveyAVX(SB), NOSPLIT, $0-16
	MOVQ f+0(FP), SI
	MOVQ l+8(FP), DI
	MOVQ $120, CX           // times eight samples
	VXORPS Y8, Y8, Y8       // largest magnitudes
	VXORPS Y9, Y9, Y9       // bits that differ
	VXORPS Y10, Y10, Y10    // squares of samples 0 1 4 5 2 3 6 7 of eight
	PCMPEQL X12, X12
	PSRLL $1, X12           // all bits but the sign
	VINSERTF128 $1, X12, Y12, Y12

samples:
	VMOVUPS (SI), Y0        // L0 R0 L1 R1, L2 R2 L3 R3
	VMOVUPS 32(SI), Y1
	VSHUFPS $0x88, Y1, Y0, Y2 // L0 L1 L4 L5, L2 L3 L6 L7
	VSHUFPS $0xDD, Y1, Y0, Y3 // R0 R1 R4 R5, R2 R3 R6 R7
	VXORPS Y2, Y3, Y3
	VORPS Y3, Y9, Y9
	VMULPS Y2, Y2, Y4
	VADDPS Y4, Y10, Y10
	VANDPS Y12, Y2, Y2
	VMAXPS Y2, Y8, Y8
	ADDQ $64, SI
	DECQ CX
	JNZ samples

	VEXTRACTF128 $1, Y8, X0
	VMAXPS X0, X8, X8
	VSHUFPS $0x4E, X8, X8, X0 // the upper two below
	VMAXPS X0, X8, X8
	VSHUFPS $0xB1, X8, X8, X0 // neighbours swapped
	VMAXPS X0, X8, X8
	VMOVSS X8, 0(DI)
	VEXTRACTF128 $1, Y9, X0
	VORPS X0, X9, X9
	VSHUFPS $0x4E, X9, X9, X0
	VORPS X0, X9, X9
	VSHUFPS $0xB1, X9, X9, X0
	VORPS X0, X9, X9
	VMOVSS X9, 4(DI)
	VEXTRACTF128 $1, Y10, X0
	VUNPCKLPD X0, X10, X1   // 0 1 2 3
	VUNPCKHPD X0, X10, X2   // 4 5 6 7
	VMOVUPS X1, 8(DI)
	VMOVUPS X2, 24(DI)
	VZEROUPPER
	RET

// func addMonoAVX(row *[pcm.FrameSize]float64, f *pcm.Frame, gain float64)
TEXT ·addMonoAVX(SB), NOSPLIT, $0-24
	MOVQ row+0(FP), DI
	MOVQ f+8(FP), SI
	VBROADCASTSD gain+16(FP), Y7
	MOVQ $120, CX           // times eight samples

add:
	VMOVUPS (SI), X0
	VMOVUPS 32(SI), X1
	VSHUFPS $0x88, 16(SI), X0, X0 // L0 L1 L2 L3
	VSHUFPS $0x88, 48(SI), X1, X1
	VCVTPS2PD X0, Y0
	VCVTPS2PD X1, Y1
	VMULPD Y7, Y0, Y0
	VMULPD Y7, Y1, Y1
	VADDPD (DI), Y0, Y0
	VADDPD 32(DI), Y1, Y1
	VMOVUPD Y0, (DI)
	VMOVUPD Y1, 32(DI)
	ADDQ $64, SI
	ADDQ $64, DI
	DECQ CX
	JNZ add
	VZEROUPPER
	RET

// func bendAVX(samples *[2]float32, n int, b *bent)
// Four values at a time: two samples, of which the two before lie 8 and 16
// bytes back.
TEXT ·bendAVX(SB), NOSPLIT, $0-24
	MOVQ samples+0(FP), SI
	MOVQ n+8(FP), CX
	MOVQ b+16(FP), DI
	SUBQ $2, CX
	SHRQ $1, CX
	PCMPEQL X12, X12
	PSRLL $1, X12           // all bits but the sign
	VMOVUPS (SI), X0        // the one before the last, then the last
	VANDPS X12, X0, X8      // largest magnitudes
	VXORPS X9, X9, X9       // sharpest bends

bend:
	VMOVUPS 8(SI), X1
	VMOVUPS 16(SI), X2
	VSUBPS X1, X2, X3       // this less the last
	VSUBPS X0, X1, X4       // the last less the one before
	VSUBPS X4, X3, X3
	VANDPS X12, X3, X3
	VANDPS X12, X2, X4
	VPMAXSD X3, X9, X9      // without their signs, floats lie in the order of their bits
	VPMAXSD X4, X8, X8
	VMOVAPS X2, X0
	ADDQ $16, SI
	DECQ CX
	JNZ bend

	VPSHUFD $0x4E, X8, X0
	VPMAXSD X0, X8, X8
	VPSHUFD $0xB1, X8, X0
	VPMAXSD X0, X8, X8
	VMOVD X8, 0(DI)
	VPSHUFD $0x4E, X9, X0
	VPMAXSD X0, X9, X9
	VPSHUFD $0xB1, X9, X0
	VPMAXSD X0, X9, X9
	VMOVD X9, 4(DI)
	RET

// func roundAVX(f *pcm.Frame, mono *[pcm.FrameSize]float64)
TEXT ·roundAVX(SB), NOSPLIT, $0-16
	MOVQ f+0(FP), DI
	MOVQ mono+8(FP), SI
	MOVQ $240, CX           // times four samples

round:
	VCVTPD2PSY (SI), X0
	VUNPCKLPS X0, X0, X1    // 0 0 1 1
	VUNPCKHPS X0, X0, X2    // 2 2 3 3
	VMOVUPS X1, (DI)
	VMOVUPS X2, 16(DI)
	ADDQ $32, SI
	ADDQ $32, DI
	DECQ CX
	JNZ round
	VZEROUPPER
	RET
