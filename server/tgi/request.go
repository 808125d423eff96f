package tgi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/gptoss/gptoss-operator/server/openai"
)

const (
	defaultNewTokens = 100 // as TGI
	maxStops         = 4   // as TGI
	maxStopLength    = 1000
	maxTopTokens     = 20 // what the engine reports
	maxTemperature   = 100
	// Both are far beyond what leaves any sense in an answer, and keep the logits finite.
	minRepetition, maxRepetition = 0.01, 10
)

// Request is a checked POST /generate or /generate_stream.
type Request struct {
	Inputs string
	openai.Sampling
	// FullText puts the inputs before the generated text.
	FullText bool
	// Truncate keeps that many tokens of the inputs, the last ones; 0 for all.
	Truncate int
	// Details asks for the tokens, TopTokens for so many alternatives to each.
	Details   bool
	TopTokens int
	// Format is what the text must look like; nil for whatever comes.
	Format *openai.Format
}

// wire is the body. Pointers tell what is absent.
type wire struct {
	Inputs     *string `json:"inputs"`
	Parameters struct {
		BestOf              *int64   `json:"best_of"`
		Temperature         *float64 `json:"temperature"`
		RepetitionPenalty   *float64 `json:"repetition_penalty"`
		FrequencyPenalty    *float64 `json:"frequency_penalty"`
		TopK                *int64   `json:"top_k"`
		TopP                *float64 `json:"top_p"`
		TypicalP            *float64 `json:"typical_p"`
		DoSample            bool     `json:"do_sample"`
		MaxNewTokens        *int64   `json:"max_new_tokens"`
		ReturnFullText      bool     `json:"return_full_text"`
		Stop                []string `json:"stop"`
		Truncate            *int64   `json:"truncate"`
		Watermark           bool     `json:"watermark"`
		Details             bool     `json:"details"`
		DecoderInputDetails bool     `json:"decoder_input_details"`
		Seed                *uint64  `json:"seed"`
		TopNTokens          *int64   `json:"top_n_tokens"`
		AdapterID           *string  `json:"adapter_id"`
	} `json:"parameters"`
}

// Decode reads and checks a body. The error is an *openai.Error that names the parameter.
func Decode(body []byte) (Request, error) {
	var w wire
	d := json.NewDecoder(bytes.NewReader(body))
	if err := d.Decode(&w); err != nil {
		return Request{}, malformed(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Request{}, invalid("", "the body must be a single JSON object")
	}
	if w.Inputs == nil {
		return Request{}, openai.Invalid(openai.CodeMissingField, "inputs", "missing field `inputs`")
	}
	if *w.Inputs == "" {
		return Request{}, invalid("inputs", "`inputs` cannot be empty")
	}
	r := Request{Inputs: *w.Inputs, FullText: w.Parameters.ReturnFullText, Details: w.Parameters.Details}
	for _, check := range []func(*wire, *Request) error{checkUnsupported, checkDrawing, checkLength, checkStop} {
		if err := check(&w, &r); err != nil {
			return Request{}, err
		}
	}
	var err error
	if r.Format, err = openai.TGIFormat(body); err != nil {
		return Request{}, err
	}
	return r, nil
}

func malformed(err error) error {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
		return openai.Invalid(openai.CodeInvalidType, wrong.Field, "`%s` must be %s, not a %s", wrong.Field, typeName(wrong.Type.String()), wrong.Value)
	}
	return openai.Invalid(openai.CodeInvalidJSON, "", "the body is not a JSON object: %s", err)
}

// typeName says in JSON's words what a Go type takes.
func typeName(t string) string {
	switch t {
	case "int64", "uint64":
		return "an integer"
	case "float64":
		return "a number"
	case "bool":
		return "a boolean"
	case "[]string":
		return "an array of strings"
	case "string":
		return "a string"
	}
	return "an object"
}

func invalid(param, format string, args ...any) error {
	return openai.Invalid(openai.CodeInvalidValue, param, format, args...)
}

func checkUnsupported(w *wire, _ *Request) error {
	p := &w.Parameters
	for name, given := range map[string]bool{
		"best_of":               p.BestOf != nil && *p.BestOf != 1,
		"typical_p":             p.TypicalP != nil && *p.TypicalP != 1,
		"watermark":             p.Watermark,
		"decoder_input_details": p.DecoderInputDetails,
		"adapter_id":            p.AdapterID != nil,
	} {
		if given {
			return openai.Invalid(openai.CodeUnsupported, "parameters."+name, "`%s` is not supported with this value", name)
		}
	}
	return nil
}

// checkDrawing takes the most likely token each time unless something asks for chance, as TGI does.
func checkDrawing(w *wire, r *Request) error {
	p := &w.Parameters
	for _, f := range []struct {
		name      string
		value     *float64
		low, high float64
	}{
		{"temperature", p.Temperature, math.SmallestNonzeroFloat64, maxTemperature},
		{"top_p", p.TopP, math.SmallestNonzeroFloat64, 1},
		{"repetition_penalty", p.RepetitionPenalty, minRepetition, maxRepetition},
		{"frequency_penalty", p.FrequencyPenalty, -2, 2},
	} {
		if f.value == nil {
			continue
		}
		if x := *f.value; x < f.low || x > f.high {
			return invalid("parameters."+f.name, "`%s` must be a number from %g to %g", f.name, f.low, f.high)
		}
	}
	if p.TopK != nil && (*p.TopK < 1 || *p.TopK > math.MaxInt32) {
		return invalid("parameters.top_k", "`top_k` must be strictly positive")
	}
	r.Temperature = new(0.0)
	if p.DoSample || p.Temperature != nil || p.TopK != nil || p.TopP != nil {
		*r.Temperature = 1
	}
	if p.Temperature != nil {
		*r.Temperature = *p.Temperature
	}
	r.TopP = new(1.0)
	if p.TopP != nil {
		*r.TopP = *p.TopP
	}
	if p.TopK != nil {
		r.TopK = int(*p.TopK)
	}
	if p.RepetitionPenalty != nil {
		r.RepetitionPenalty = *p.RepetitionPenalty
	}
	if p.FrequencyPenalty != nil {
		r.FrequencyPenalty = *p.FrequencyPenalty
	}
	if p.Seed != nil {
		r.Seed = new(int64(*p.Seed)) //nolint:gosec // the same 64 bits
	}
	return nil
}

func checkLength(w *wire, r *Request) error {
	for _, f := range []struct {
		name     string
		value    *int64
		low      int64
		high     int64
		fallback int
		into     *int
	}{
		{"truncate", w.Parameters.Truncate, 1, math.MaxInt32, 0, &r.Truncate},
		{"top_n_tokens", w.Parameters.TopNTokens, 0, maxTopTokens, 0, &r.TopTokens},
		{"max_new_tokens", w.Parameters.MaxNewTokens, 1, math.MaxInt32, defaultNewTokens, nil},
	} {
		n := f.fallback
		if f.value != nil {
			if *f.value < f.low || *f.value > f.high {
				return invalid("parameters."+f.name, "`%s` must be an integer from %d to %d", f.name, f.low, f.high)
			}
			n = int(*f.value)
		}
		if f.into == nil {
			r.MaxTokens = &n
		} else {
			*f.into = n
		}
	}
	return nil
}

func checkStop(w *wire, r *Request) error {
	if n := len(w.Parameters.Stop); n > maxStops {
		return invalid("parameters.stop", "`stop` supports up to %d stop sequences. Given: %d", maxStops, n)
	}
	for _, s := range w.Parameters.Stop {
		if s == "" || len(s) > maxStopLength {
			return invalid("parameters.stop", "a sequence of `stop` must have 1 to %d bytes", maxStopLength)
		}
	}
	r.Stop = w.Parameters.Stop
	return nil
}

// Error is the body of a failed request, and of an event that ends a stream early.
type Error struct {
	Error string `json:"error"`
	Type  string `json:"error_type"`
}

// Failure gives an error TGI's shape and the status that TGI sends with it: 422 where a request is wrong.
func Failure(e *openai.Error) (status int, body Error) {
	switch e.Status {
	case 400:
		return 422, Error{fmt.Sprintf("Input validation error: %s", e.Message), "validation"}
	case 429:
		return 429, Error{e.Message, "overloaded"}
	case 500:
		return 500, Error{e.Message, "generation"}
	case 503:
		return 503, Error{e.Message, "unhealthy"}
	}
	return e.Status, Error{e.Message, e.Type}
}
