package cpu

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/gptoss/gptoss-operator/engine/kernel"
	"github.com/gptoss/gptoss-operator/engine/model"
)

// wantError wants an error of this package that holds the text.
func wantError(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || !strings.HasPrefix(err.Error(), "cpu: ") || !strings.Contains(err.Error(), text) {
		t.Errorf("error %v, want one of this package with %q", err, text)
	}
}

func TestStepRefuses(t *testing.T) {
	w := packCheckpoint(t, openCase(t, "window"))
	vocab := w.Config.VocabSize
	o := options()
	o.PageTokens, o.FullPages, o.WindowPages, o.MaxTokens, o.MaxLogits = 4, 8, 6, 10, 3
	m := newModel(t, w, o)
	good := func() Sequence {
		return Sequence{Tokens: []int32{1, 2, 3}, Position: 5, Full: []int32{0, 1}, Window: []int32{2, 3}}
	}
	tests := map[string]struct {
		change func(s *Sequence)
		copies int
		want   string
	}{
		"no sequence":                        {func(*Sequence) {}, 0, "without sequences"},
		"no tokens":                          {func(s *Sequence) { s.Tokens = nil }, 1, "no tokens"},
		"a negative token":                   {func(s *Sequence) { s.Tokens[1] = -1 }, 1, "token -1"},
		"a token beyond the vocabulary":      {func(s *Sequence) { s.Tokens[1] = int32(vocab) }, 1, "want 0 to"},
		"a negative position":                {func(s *Sequence) { s.Position = -1 }, 1, "position -1"},
		"a position beyond the context":      {func(s *Sequence) { s.Position = w.Config.MaxContext - 2 }, 1, "want positions"},
		"a position beyond all numbers":      {func(s *Sequence) { s.Position = 1<<63 - 2 }, 1, "want positions"},
		"too few full pages":                 {func(s *Sequence) { s.Full = s.Full[:1] }, 1, "1 full pages of 4 tokens, want 2"},
		"too few window pages":               {func(s *Sequence) { s.Window = nil }, 1, "0 window pages of 4 tokens, want 2"},
		"a full page that does not exist":    {func(s *Sequence) { s.Full[0] = 8 }, 1, "full page 0 is number 8, want 0 to 7"},
		"a window page that does not exist":  {func(s *Sequence) { s.Window[1] = 6 }, 1, "window page 1 is number 6, want 0 to 5"},
		"a page that was given away":         {func(s *Sequence) { s.Window[0] = -1 }, 1, "window page 0 is number -1"},
		"room for a part of the logits":      {func(s *Sequence) { s.Logits = make([]float32, vocab+1) }, 1, "room for"},
		"more logits than tokens":            {func(s *Sequence) { s.Logits = make([]float32, 4*vocab) }, 1, "at most 3 tokens"},
		"more tokens than a step may have":   {func(*Sequence) {}, 4, "more than 10 tokens"},
		"more logits than a step may return": {func(s *Sequence) { s.Logits = make([]float32, 2*vocab) }, 2, "or 3 logits"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			before := slices.Clone(m.cache.layers[0].Data)
			var sequences []Sequence
			for range tc.copies {
				s := good()
				tc.change(&s)
				sequences = append(sequences, s)
			}
			wantError(t, m.Step(sequences), tc.want)
			if !slices.Equal(before, m.cache.layers[0].Data) {
				t.Error("the cache was written to")
			}
		})
	}
	step(t, m, good())
}

func TestNewRefuses(t *testing.T) {
	tests := map[string]struct {
		change func(w *Weights, o *Options)
		want   string
	}{
		"no layers":                      {func(w *Weights, _ *Options) { w.Layers = nil }, "0 layers, want 4"},
		"a configuration of nothing":     {func(w *Weights, _ *Options) { w.Config = model.Config{} }, "vocab_size"},
		"a short embedding":              {func(w *Weights, _ *Options) { w.Embedding = w.Embedding[1:] }, "embedding of"},
		"a short final norm":             {func(w *Weights, _ *Options) { w.FinalNorm = nil }, "final norm of 0"},
		"an lm_head of another shape":    {func(w *Weights, _ *Options) { w.LMHead = zeros(32, 32) }, "lm_head of 32×32"},
		"a short bias":                   {func(w *Weights, _ *Options) { w.Layers[2].QKVBias = nil }, "layer 2: bias of qkv of 0"},
		"projections swapped":            {func(w *Weights, _ *Options) { w.Layers[1].QKV = w.Layers[1].Output }, "layer 1: qkv of"},
		"an output of another shape":     {func(w *Weights, _ *Options) { w.Layers[1].Output = w.LMHead }, "layer 1: output projection of"},
		"an expert too few":              {func(w *Weights, _ *Options) { w.Layers[3].Down = w.Layers[3].Down[1:] }, "layer 3: list of down of 2"},
		"gate and up of another shape":   {func(w *Weights, _ *Options) { w.Layers[0].GateUp[1] = kernel.MXFP4{} }, "expert 1: gate and up of 0×0"},
		"down of another shape":          {func(w *Weights, _ *Options) { w.Layers[0].Down[2] = kernel.MXFP4{} }, "expert 2: down of 0×0"},
		"another limit of SwiGLU":        {func(w *Weights, _ *Options) { w.Config.SwiGLULimit = 6 }, "swiglu_limit of 6"},
		"heads that are too wide":        {func(w *Weights, _ *Options) { *w = wideHeads(*w) }, "heads of 512 dimensions"},
		"an unknown kernel":              {func(_ *Weights, o *Options) { o.Kernel = "mmx" }, "unknown variant"},
		"less than no threads":           {func(_ *Weights, o *Options) { o.Threads = -1 }, "-1 threads"},
		"pages of no tokens":             {func(_ *Weights, o *Options) { o.PageTokens = 0 }, "0 tokens in a page"},
		"pages of too many tokens":       {func(_ *Weights, o *Options) { o.PageTokens = 65 }, "65 tokens in a page"},
		"no pages for full layers":       {func(_ *Weights, o *Options) { o.FullPages = 0 }, "0 full pages"},
		"no pages for window layers":     {func(_ *Weights, o *Options) { o.WindowPages = 0 }, "0 window pages"},
		"more pages than memory":         {func(_ *Weights, o *Options) { o.PageTokens, o.FullPages, o.WindowPages = 64, 1<<30, 1<<30 }, "any machine"},
		"steps without tokens":           {func(_ *Weights, o *Options) { o.MaxTokens = 0 }, "0 tokens in a step"},
		"more logits than tokens":        {func(_ *Weights, o *Options) { o.MaxLogits = o.MaxTokens + 1 }, "logits in a step"},
		"more tokens than anybody needs": {func(_ *Weights, o *Options) { o.MaxTokens = 1 << 40 }, "tokens in a step"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w, o := packCheckpoint(t, openCase(t, "window")), options()
			tc.change(w, &o)
			m, err := New(w, o)
			wantError(t, err, tc.want)
			if m != nil {
				t.Error("there is a model beside the error")
			}
		})
	}
}

// wideHeads is a model of one head, wider than any kernel takes.
func wideHeads(w Weights) Weights {
	w.Config.Heads, w.Config.KVHeads, w.Config.HeadDim, w.Config.Layers = 1, 1, 512, 1
	w.Config.WindowLayers = nil
	d := dimensionsOf(w.Config)
	l := &w.Layers[0]
	w.Layers = w.Layers[:1]
	l.QKV, l.QKVBias, l.Sinks = zeros(d.qkv, d.hidden), make([]float32, d.qkv), make([]float32, 1)
	l.Output = zeros(d.hidden, d.query)
	return w
}

func zeros(rows, cols int) kernel.Int8 {
	size, err := kernel.Int8Bytes(rows, cols)
	if err != nil {
		panic(err)
	}
	m, err := kernel.NewInt8(make([]byte, size), rows, cols)
	if err != nil {
		panic(err)
	}
	return m
}

func TestStepAllocatesNothing(t *testing.T) {
	w := packCheckpoint(t, openDemo(t))
	vocab := w.Config.VocabSize
	for name, threads := range map[string]int{"one thread": 1, "three threads": 3} {
		t.Run(name, func(t *testing.T) {
			o := options()
			o.Threads = threads
			m := newModel(t, w, o)
			sequences := []Sequence{
				{Tokens: []int32{5}, Position: 20, Full: []int32{0, 1}, Window: []int32{0, 1}, Logits: make([]float32, vocab)},
				{Tokens: randomTokens(1, 30, vocab), Full: []int32{2, 3}, Window: []int32{2, 3}},
				{Tokens: []int32{6, 7}, Full: []int32{4}, Window: []int32{4}, Logits: make([]float32, 2*vocab)},
			}
			n := testing.AllocsPerRun(5, func() { step(t, m, sequences...) })
			if n != 0 {
				t.Errorf("a step allocates %v times", n)
			}
		})
	}
}

func TestPanicInAWorkerEndsTheStepOnly(t *testing.T) {
	w := packCheckpoint(t, openCase(t, "window"))
	m := newModel(t, w, options())
	tokens := randomTokens(9, 20, w.Config.VocabSize)
	want := run(t, m, tokens, len(tokens))
	breakers := map[string]func(){
		"in the first phase":           func() { w.Embedding = nil },
		"in attention":                 func() { w.Layers[1].Sinks = nil },
		"in the choice of experts":     func() { m.routing.next = nil },
		"in the products of experts":   func() { clear(w.Layers[2].Down) },
		"in the products of the end":   func() { w.LMHead = zeros(64, 32) },
		"in every phase of some layer": func() { w.Layers[1].AttentionNorm, w.Layers[1].MLPNorm = nil, nil },
	}
	for name, breakIt := range breakers {
		t.Run(name, func(t *testing.T) {
			saved, next := *w, m.routing.next
			saved.Layers = slices.Clone(w.Layers)
			for i := range saved.Layers {
				saved.Layers[i].Down = slices.Clone(saved.Layers[i].Down)
			}
			breakIt()
			s := newTexts(m, 1, tokens)[0]
			err := m.Step([]Sequence{s.next(20, 20)})
			var failure *PanicError
			if !errors.As(err, &failure) || len(failure.Stack) == 0 {
				t.Errorf("error %v, want a panic with its stack", err)
			}
			wantError(t, err, "panicked")
			*w, m.routing.next = saved, next
			got := run(t, m, tokens, len(tokens))
			for i := range tokens {
				wantRow(t, "after a panic", i, got.row(i), want.row(i))
			}
		})
	}
}

func TestClosedModelRefuses(t *testing.T) {
	w := packCheckpoint(t, openCase(t, "short"))
	m := newModel(t, w, options())
	buffer := make([]byte, m.PageBytes(Full))
	m.Close()
	m.Close()
	sequence := Sequence{Tokens: []int32{1}, Full: []int32{0}, Window: []int32{0}}
	for name, err := range map[string]error{
		"Step":     m.Step([]Sequence{sequence}),
		"SavePage": m.SavePage(Full, 0, buffer),
		"LoadPage": m.LoadPage(Full, 0, buffer),
	} {
		if !errors.Is(err, errClosed) {
			t.Errorf("%s: error %v, want that the model is closed", name, err)
		}
	}
}

func TestPagesRefuse(t *testing.T) {
	m := newModel(t, packCheckpoint(t, openCase(t, "window")), options())
	whole, more := make([]byte, m.PageBytes(Window)), make([]byte, m.PageBytes(Window)+1)
	tests := map[string]struct {
		kind   Kind
		page   int32
		buffer []byte
		want   string
	}{
		"a kind that does not exist":     {kinds, 0, whole, "kind 2"},
		"a negative page":                {Full, -1, whole, "full page -1"},
		"a page beyond the last":         {Window, 40, whole, "window page 40, want 0 to 39"},
		"a buffer of part of a page":     {Window, 0, whole[1:], "bytes for a window page"},
		"a buffer of more than one page": {Window, 0, more, "bytes for a window page"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			wantError(t, m.SavePage(tc.kind, tc.page, tc.buffer), tc.want)
			wantError(t, m.LoadPage(tc.kind, tc.page, tc.buffer), tc.want)
		})
	}
}
