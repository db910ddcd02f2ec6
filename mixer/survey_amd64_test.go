package mixer

import "testing"

// Older machines do without AVX, and find the same.
func TestSurveyWithoutAVX(t *testing.T) {
	if !avx {
		t.Skip("this machine has no AVX: TestSurvey went without")
	}
	avx = false
	defer func() { avx = true }()
	TestSurvey(t)
}
