package openai

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
)

const (
	// maxTokensLimit keeps arithmetic on token counts far from overflow; the context window limits an answer long before.
	maxTokensLimit = math.MaxInt32
	maxStops       = 4    // as OpenAI
	maxStopLength  = 1000 // bytes; text is held back while it may begin a stop sequence, so they must not be endless
	maxTopLogprobs = 20   // as OpenAI
	maxChoices     = 128  // as OpenAI; the server's own limit is lower
	maxBias        = 1024 // entries of logit_bias; each is added in every step
	maxStopTokens  = 128
	// Both are far beyond what leaves any sense in an answer, and keep the logits finite.
	minRepetition, maxRepetition = 0.01, 10
)

// Sampling is what a request says about how its tokens are drawn and when they end. Pointers stand for "not given".
type Sampling struct {
	// N is how many answers are wanted; 0 stands for 1.
	N int
	// MaxTokens is max_completion_tokens where both it and max_tokens are given.
	MaxTokens *int
	// MinTokens is how many tokens come before the answer may end by itself.
	MinTokens   int
	Temperature *float64
	TopP        *float64
	TopK        int // 0 for all
	MinP        float64
	// FrequencyPenalty, PresencePenalty and RepetitionPenalty are 0 where they do nothing.
	FrequencyPenalty, PresencePenalty, RepetitionPenalty float64
	LogitBias                                            map[int32]float32
	Seed                                                 *int64
	Stop                                                 []string
	// StopTokenIDs end an answer as the model's own do. Whether they are in the vocabulary is not checked yet.
	StopTokenIDs []int32
	// IgnoreEOS goes on past the model's end, until the tokens are used up.
	IgnoreEOS bool
}

func decodeSampling(o object) Sampling {
	var s Sampling
	for _, name := range []string{"max_tokens", "max_completion_tokens"} {
		if n := o.integer(name, 1, maxTokensLimit); n != nil {
			s.MaxTokens = new(int(*n))
		}
	}
	decodeDrawing(o, &s)
	if n := o.integer("n", 1, maxChoices); n != nil {
		s.N = int(*n)
	}
	if n := o.integer("min_tokens", 0, maxTokensLimit); n != nil {
		s.MinTokens = int(*n)
	}
	if s.MaxTokens != nil && s.MinTokens > *s.MaxTokens {
		o.d.fail(CodeInvalidValue, "min_tokens", "Invalid value for 'min_tokens': must not be more than the tokens that the answer may have, %d.", *s.MaxTokens)
	}
	s.Stop = decodeStop(o)
	s.StopTokenIDs = decodeIDs(o, "stop_token_ids", maxStopTokens)
	s.IgnoreEOS = o.bool("ignore_eos", false)
	return s
}

// decodeDrawing reads what shapes the distribution. The ranges are OpenAI's, and vLLM's where OpenAI has no such parameter.
func decodeDrawing(o object, s *Sampling) {
	s.Temperature = o.number("temperature", 0, 2)
	s.TopP = o.number("top_p", 0, 1)
	if k := o.integer("top_k", -1, maxTokensLimit); k != nil {
		s.TopK = max(int(*k), 0) // -1 is vLLM's way to say all
	}
	for _, p := range []struct {
		name      string
		value     *float64
		low, high float64
	}{
		{"min_p", &s.MinP, 0, 1},
		{"frequency_penalty", &s.FrequencyPenalty, -2, 2},
		{"presence_penalty", &s.PresencePenalty, -2, 2},
		{"repetition_penalty", &s.RepetitionPenalty, minRepetition, maxRepetition},
	} {
		if x := o.number(p.name, p.low, p.high); x != nil {
			*p.value = *x
		}
	}
	s.Seed = o.integer("seed", math.MinInt64, math.MaxInt64)
	s.LogitBias = decodeBias(o)
}

// decodeBias reads the bias of single tokens, whose ids JSON can only have as texts.
func decodeBias(o object) map[int32]float32 {
	list, ok := o.object("logit_bias")
	if !ok || len(list.fields) == 0 {
		return nil
	}
	if len(list.fields) > maxBias {
		o.d.fail(CodeInvalidValue, "logit_bias", "Invalid value for 'logit_bias': at most %d tokens are allowed, not %d.", maxBias, len(list.fields))
		return nil
	}
	out := make(map[int32]float32, len(list.fields))
	for _, key := range slices.Sorted(maps.Keys(list.fields)) {
		id, err := strconv.ParseInt(key, 10, 32)
		if err != nil || id < 0 {
			o.d.fail(CodeInvalidValue, "logit_bias", "Invalid value for 'logit_bias': %q is not the id of a token.", key[:min(len(key), 64)])
			return nil
		}
		if x := list.number(key, -100, 100); x != nil {
			out[int32(id)] = float32(*x)
		}
	}
	return out
}

// decodeIDs reads a list of token ids.
func decodeIDs(o object, name string, most int) []int32 {
	raw, ok := o.get(name)
	if !ok {
		return nil
	}
	list := o.d.asList(raw, o.at(name), "an array of token ids")
	if len(list) > most {
		o.d.fail(CodeInvalidValue, o.at(name), "Invalid value for '%s': at most %d token ids are allowed, not %d.", o.at(name), most, len(list))
		return nil
	}
	return o.d.asIDs(list, o.at(name))
}

// asIDs reads token ids; which of them there are is the vocabulary's business.
func (d *decoder) asIDs(list []json.RawMessage, path string) []int32 {
	ids := make([]int32, 0, len(list))
	for i, item := range list {
		id, err := strconv.ParseInt(string(item), 10, 32)
		if err != nil || id < 0 {
			d.fail(CodeInvalidValue, index(path, i), "Invalid value for '%s': must be the id of a token.", index(path, i))
			return nil
		}
		ids = append(ids, int32(id))
	}
	return ids
}

func decodeStop(o object) []string {
	raw, ok := o.get("stop")
	if !ok {
		return nil
	}
	var stops []string
	if raw[0] == '"' {
		stops = []string{o.d.asString(raw, "stop")}
	} else {
		for i, item := range o.d.asList(raw, "stop", "a string or an array of strings") {
			stops = append(stops, o.d.asString(item, index("stop", i)))
		}
	}
	if len(stops) > maxStops {
		o.d.fail(CodeInvalidValue, "stop", "Invalid value for 'stop': at most %d sequences are allowed, not %d.", maxStops, len(stops))
	}
	for _, s := range stops {
		if s == "" || len(s) > maxStopLength {
			o.d.fail(CodeInvalidValue, "stop", "Invalid value for 'stop': a sequence must have 1 to %d bytes.", maxStopLength)
		}
	}
	return stops
}
