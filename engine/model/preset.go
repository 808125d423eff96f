package model

// Preset returns the configuration of a published model by its name, or of the demo model inside the server.
func Preset(name string) (Config, bool) {
	switch name {
	case "gpt-oss-20b":
		return openAI(24, 32), true
	case "gpt-oss-120b":
		return openAI(36, 128), true
	case "gpt-oss-demo":
		return demo(), true
	}
	return Config{}, false
}

func openAI(layers, experts int) Config {
	return Config{
		VocabSize: 201088, HiddenSize: 2880, IntermediateSize: 2880,
		Layers: layers, Heads: 64, KVHeads: 8, HeadDim: 64,
		Experts: experts, ActiveExperts: 4,
		SlidingWindow: 128, OriginalContext: 4096, MaxContext: 131072,
		RopeTheta: 150000, YaRNFactor: 32, YaRNBetaFast: 32, YaRNBetaSlow: 1,
		RMSNormEps: 1e-5, SwiGLULimit: 7,
		EOSTokenIDs: []int32{200002, 199999, 200012},
	}
}

// demo is the shape that hack/demo-model writes: the published architecture, small enough to travel in the binary.
func demo() Config {
	return Config{
		VocabSize: 768, HiddenSize: 192, IntermediateSize: 32,
		Layers: 4, Heads: 4, KVHeads: 2, HeadDim: 32,
		Experts: 8, ActiveExperts: 4,
		SlidingWindow: 32, OriginalContext: 256, MaxContext: 8192,
		RopeTheta: 150000, YaRNFactor: 32, YaRNBetaFast: 32, YaRNBetaSlow: 1,
		RMSNormEps: 1e-5, SwiGLULimit: 7,
		EOSTokenIDs: []int32{761, 760, 767},
	}
}
