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

// demo is the shape of the trained model in engine/demo: the published architecture, small enough to travel in the binary.
func demo() Config {
	return Config{
		VocabSize: 1216, HiddenSize: 256, IntermediateSize: 128,
		Layers: 6, Heads: 8, KVHeads: 2, HeadDim: 32,
		Experts: 8, ActiveExperts: 2,
		SlidingWindow: 64, OriginalContext: 256, MaxContext: 8192,
		RopeTheta: 150000, YaRNFactor: 32, YaRNBetaFast: 32, YaRNBetaSlow: 1,
		RMSNormEps: 1e-5, SwiGLULimit: 7,
		EOSTokenIDs: []int32{1209, 1208, 1215},
	}
}
