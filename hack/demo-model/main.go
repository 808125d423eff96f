// Command demo-model writes the demo model that travels inside gptoss-server: engine/demo/files.
//
// It is the gpt-oss architecture in full, with seeded random weights. What makes it say readable sentences is a
// hand-written table of which token may follow which (talk.go), woven into the embedding and lm_head, and two attention
// heads that see what a table of neighbours cannot (network.go). The same source gives the same bytes on every run.
//
//	go run . -out ../../engine/demo/files
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gptoss/gptoss-operator/engine/model"
)

func main() {
	out := flag.String("out", "", "folder to write to")
	flag.Parse()
	if *out == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := write(*out); err != nil {
		fmt.Fprintln(os.Stderr, "demo-model:", err)
		os.Exit(1)
	}
}

func write(folder string) error {
	config, _ := model.Preset("gpt-oss-demo")
	if err := config.Validate(); err != nil {
		return err
	}
	vocabulary, err := train(pieces(), config.VocabSize-len(specials))
	if err != nil {
		return err
	}
	table, err := newTable(vocabulary.id)
	if err != nil {
		return err
	}
	files := map[string]any{
		"config.json":            configJSON(config),
		"generation_config.json": generationJSON(config, vocabulary),
		"tokenizer.json":         vocabulary.tokenizerJSON(),
	}
	for name, content := range files {
		var text bytes.Buffer
		e := json.NewEncoder(&text)
		e.SetEscapeHTML(false)
		e.SetIndent("", " ")
		if err := e.Encode(content); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, name), text.Bytes(), 0o644); err != nil {
			return err
		}
	}
	tensors, err := newNetwork(config, table).tensors()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "model.safetensors"), tensors, 0o644)
}

// object keeps the fields of a JSON object in the order they are written in.
type object []field

type field struct {
	name  string
	value any
}

// MarshalJSON implements json.Marshaler.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	b.WriteByte('{')
	for i, f := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := e.Encode(f.name); err != nil {
			return nil, err
		}
		b.WriteByte(':')
		if err := e.Encode(f.value); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func configJSON(c model.Config) object {
	types := make([]string, c.Layers)
	for i := range types {
		types[i] = "full_attention"
		if c.Window(i) > 0 {
			types[i] = "sliding_attention"
		}
	}
	return object{
		{"architectures", []string{"GptOssForCausalLM"}},
		{"model_type", "gpt_oss"},
		{"vocab_size", c.VocabSize},
		{"hidden_size", c.HiddenSize},
		{"intermediate_size", c.IntermediateSize},
		{"num_hidden_layers", c.Layers},
		{"layer_types", types},
		{"num_attention_heads", c.Heads},
		{"num_key_value_heads", c.KVHeads},
		{"head_dim", c.HeadDim},
		{"num_local_experts", c.Experts},
		{"num_experts_per_tok", c.ActiveExperts},
		{"sliding_window", c.SlidingWindow},
		{"max_position_embeddings", c.MaxContext},
		{"rope_theta", decimal(c.RopeTheta)},
		{"rope_scaling", object{
			{"rope_type", "yarn"},
			{"factor", decimal(c.YaRNFactor)},
			{"beta_fast", decimal(c.YaRNBetaFast)},
			{"beta_slow", decimal(c.YaRNBetaSlow)},
			{"truncate", c.YaRNTruncate},
			{"original_max_position_embeddings", c.OriginalContext},
		}},
		{"rms_norm_eps", decimal(c.RMSNormEps)},
		{"swiglu_limit", decimal(c.SwiGLULimit)},
		{"hidden_act", "silu"},
		{"attention_bias", true},
		{"tie_word_embeddings", false},
		{"eos_token_id", c.EOSTokenIDs[0]},
		{"torch_dtype", "bfloat16"},
		{"quantization_config", object{
			{"quant_method", "mxfp4"},
			{"modules_to_not_convert", []string{
				"model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head",
			}},
		}},
	}
}

// decimal writes a number with its point: transformers tells 7.0 from 7 and refuses the latter for a float.
func decimal(v float64) json.RawMessage {
	text := strconv.FormatFloat(v, 'g', -1, 64)
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return json.RawMessage(text)
}

func generationJSON(c model.Config, v *vocabulary) object {
	return object{
		{"bos_token_id", v.id["<|startoftext|>"]},
		{"do_sample", true},
		{"eos_token_id", c.EOSTokenIDs},
		{"pad_token_id", v.id["<|endoftext|>"]},
	}
}
