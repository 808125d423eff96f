package model

import "math"

// RoPE is the rotary position embedding with YaRN's stretched frequencies.
type RoPE struct {
	InverseFrequency []float32 // [head_dim / 2]
	Concentration    float32
}

// RoPE computes the frequencies as in the YaRN paper (arXiv 2309.00071): a dimension that turns often within the
// original context keeps its frequency, one that turns seldom is slowed down by the factor, with a ramp in between.
func (c Config) RoPE() RoPE {
	half := c.HeadDim / 2
	r := RoPE{
		InverseFrequency: make([]float32, half),
		Concentration:    float32(0.1*math.Log(c.YaRNFactor) + 1),
	}
	// dimension returns the one that makes the given number of turns within the original context.
	dimension := func(turns float64) float64 {
		return float64(half) * math.Log(float64(c.OriginalContext)/(turns*2*math.Pi)) / math.Log(c.RopeTheta)
	}
	low, high := dimension(c.YaRNBetaFast), dimension(c.YaRNBetaSlow)
	if c.YaRNTruncate {
		low, high = math.Floor(low), math.Ceil(high)
	}
	low, high = max(low, 0), min(high, float64(c.HeadDim-1))
	if low == high {
		high += 0.001 // as in transformers: a step instead of a ramp
	}
	for i := range half {
		frequency := float32(math.Pow(c.RopeTheta, float64(float32(2*i)/float32(c.HeadDim))))
		extrapolated := 1 / frequency
		interpolated := 1 / (float32(c.YaRNFactor) * frequency)
		ramp := min(max((float32(i)-float32(low))/float32(high-low), 0), 1)
		r.InverseFrequency[i] = float32(interpolated*ramp) + float32(extrapolated*(1-ramp))
	}
	return r
}

// Tables writes the factors of a position, [head_dim / 2] each, by which element i of a head and element i + head_dim/2 turn.
func (r RoPE) Tables(cos, sin []float32, position int) {
	for i, f := range r.InverseFrequency {
		s, c := math.Sincos(float64(float32(position) * f))
		sin[i], cos[i] = float32(s)*r.Concentration, float32(c)*r.Concentration
	}
}
