package cpu

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/engine/weights"
	"github.com/gptoss/gptoss-operator/engine/weights/packed"
	"github.com/gptoss/gptoss-operator/engine/weights/weightstest"
)

// poke writes bytes into a tensor, at an element of two bytes or one.
func poke(t *testing.T, tensors []weightstest.Tensor, name string, element int, value ...byte) []weightstest.Tensor {
	t.Helper()
	for i := range tensors {
		if tensors[i].Name == name {
			copy(tensors[i].Data[element*len(value):], value)
			return tensors
		}
	}
	t.Fatalf("no tensor %s", name)
	return nil
}

// TestPackRefuses finds one bad weight of any kind, and says where it is.
func TestPackRefuses(t *testing.T) {
	notANumber, infinity := []byte{0xc0, 0x7f}, []byte{0x80, 0xff} // in bfloat16
	tests := map[string]struct {
		tensor  string
		element int
		value   []byte
		want    string
	}{
		"an embedding":        {"model.embed_tokens.weight", 36*64 + 5, notANumber, "cpu: embedding: row 36, column 5: NaN, want a finite number"},
		"a head":              {"lm_head.weight", 64, infinity, "cpu: lm_head: row 1, column 0: -Inf, want a finite number"},
		"a key":               {"model.layers.1.self_attn.k_proj.weight", 3, infinity, "cpu: layers.1.qkv: row 0, column 3: -Inf"},
		"a sink":              {"model.layers.2.self_attn.sinks", 2, notANumber, "cpu: layers.2.sinks: column 2: NaN"},
		"a router":            {"model.layers.0.mlp.router.weight", 2*64 + 1, notANumber, "cpu: layers.0.router: row 2, column 1: NaN"},
		"a bias of an expert": {"model.layers.0.mlp.experts.down_proj_bias", 63, notANumber, "cpu: layers.0.down_bias: row 0, column 63: NaN"},
		"a scale":             {"model.layers.0.mlp.experts.down_proj_scales", 64 + 17, []byte{255}, "cpu: layers.0.down: expert 1, row 17: a scale of 255, which makes its weights no numbers"},
		"a scale of gates":    {"model.layers.0.mlp.experts.gate_up_proj_scales", 2*128 + 3, []byte{255}, "cpu: layers.0.gate_up: expert 2, row 1: a scale of 255"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			tensors := poke(t, randomTensors(oddConfig()), tc.tensor, tc.element, tc.value...)
			_, err := FromCheckpoint(openFS(t, folderOf(t, oddConfig(), tensors)))
			if err == nil || !strings.HasPrefix(err.Error(), tc.want) {
				t.Errorf("error %v, want one that begins %q", err, tc.want)
			}
		})
	}
}

// TestPackRefusesOtherExperts has experts in 8 bits, whose values 4 bits cannot hold.
func TestPackRefusesOtherExperts(t *testing.T) {
	all := weightstest.GGUFTensors(oddConfig(), randomTensors(oddConfig()))
	for i, x := range all {
		if x.Name == "blk.1.ffn_up_exps.weight" {
			all[i].DType, all[i].Data = model.Q8_0, bytes.Repeat(append([]byte{0, 0x3c}, bytes.Repeat([]byte{5, 2}, 16)...), len(x.Data)/17)
		}
	}
	c := openFS(t, fstest.MapFS{"x.gguf": &fstest.MapFile{Data: weightstest.WriteGGUF(weightstest.Metadata(oddConfig()), all)}})
	_, err := FromCheckpoint(c)
	const want = "cpu: layers.1.gate_up: experts of type Q8_0, and MXFP4 cannot hold their values exactly (expert 0, row 1): want them in MXFP4"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
}

// TestPackStops ends with an error of the writer, and leaves nothing.
func TestPackStops(t *testing.T) {
	folder := folderOf(t, oddConfig(), randomTensors(oddConfig()))
	c := openFS(t, folder)
	dir := t.TempDir()
	w, err := packed.Create(filepath.Join(dir, "x"))
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	err = Pack(w, c, func(_, _ int64) {
		if calls++; calls == 9 {
			if err := w.Abort(); err != nil {
				t.Error(err)
			}
		}
	})
	if err == nil || calls != 9 {
		t.Errorf("error %v after %d calls, want one after 9", err, calls)
	}
	if left, err := os.ReadDir(dir); len(left) > 0 || err != nil {
		t.Errorf("%v is left, %v", left, err)
	}
	folder[generationName].Data = make([]byte, maxGenerationBytes+1)
	if w, err = packed.Create(filepath.Join(dir, "x")); err != nil {
		t.Fatal(err)
	}
	if err := Pack(w, c, nil); err == nil || err.Error() != "cpu: generation_config.json: longer than 1048576 bytes" {
		t.Errorf("error %v", err)
	}
	if err := w.Abort(); err != nil {
		t.Error(err)
	}
}

// checkedMemory is a packed file in memory.
type checkedMemory struct{ memory }

func (m checkedMemory) Checked(name string) ([]byte, error) {
	if b, ok := m.memory[name]; ok {
		return b, nil
	}
	return nil, fs.ErrNotExist
}

func packedMemory(t testing.TB) checkedMemory {
	t.Helper()
	c := openFS(t, folderOf(t, oddConfig(), randomTensors(oddConfig())))
	m := inMemory(t, c)
	about, err := aboutModel(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range about {
		m[s.name] = s.data
	}
	return checkedMemory{m}
}

func TestLoadRefuses(t *testing.T) {
	tests := map[string]struct {
		change func(m memory)
		want   string
	}{
		"another content":     {func(m memory) { delete(m, formatName) }, "cpu: the file is packed, but holds no model"},
		"another format":      {func(m memory) { m[formatName] = []byte("gptoss-cpu-weights 2") }, `cpu: the file holds "gptoss-cpu-weights 2", want "gptoss-cpu-weights 1": pack the model again`},
		"no configuration":    {func(m memory) { delete(m, configName) }, "file does not exist"},
		"a bad configuration": {func(m memory) { m[configName] = []byte("{}") }, `cpu: section "config.json": field "model_type" is missing`},
		"a missing tensor":    {func(m memory) { delete(m, "layers.2.down") }, `cpu: section "layers.2.down": missing`},
		"a short vector":      {func(m memory) { m["final_norm"] = m["final_norm"][4:] }, `cpu: section "final_norm": 252 bytes, want 256 for this model's config.json`},
		"a long matrix":       {func(m memory) { m["layers.0.qkv"] = append(m["layers.0.qkv"], 0) }, `cpu: section "layers.0.qkv": 2177 bytes, want 2176`},
		"an expert less":      {func(m memory) { m["layers.1.gate_up"] = m["layers.1.gate_up"][:9] }, `cpu: section "layers.1.gate_up": 9 bytes, want`},
		"a huge model": {func(m memory) {
			m[configName] = bytes.ReplaceAll(m[configName], []byte(`"num_local_experts": 3`), []byte(`"num_local_experts": 4096`))
		}, `cpu: section "layers.0.router": 768 bytes, want 1048576`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			m := packedMemory(t)
			tc.change(m.memory)
			_, err := load(m)
			if err == nil || !strings.HasPrefix(err.Error(), tc.want) {
				t.Errorf("error %v, want one that begins %q", err, tc.want)
			}
		})
	}
}

// TestConfigReadsBack writes configurations of all kinds as config.json and reads them as such.
func TestConfigReadsBack(t *testing.T) {
	configs := map[string]model.Config{"odd": oddConfig()}
	for _, name := range []string{"gpt-oss-20b", "gpt-oss-120b", "gpt-oss-demo"} {
		configs[name], _ = model.Preset(name)
	}
	rounded := configs["gpt-oss-20b"]
	rounded.YaRNTruncate, rounded.RMSNormEps, rounded.RopeTheta, rounded.EOSTokenIDs = true, 1.0/3, 1e12, nil
	configs["rounded"] = rounded
	for name, want := range configs {
		about, err := aboutModel(&weights.Checkpoint{Config: want, Vocabulary: &weights.Vocabulary{}})
		if err != nil {
			t.Fatal(err)
		}
		m := checkedMemory{memory{formatName: about[0].data, configName: about[1].data}}
		got, err := readConfig(m)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func vocabulary() *weights.Vocabulary {
	return &weights.Vocabulary{
		Tokens: []string{"a", "", "\xff\x00", strings.Repeat("x", 300)}, Merges: []string{"a b"},
		Types: []int32{1, 3, -1, math.MaxInt32}, Pre: "gpt-4o", BOS: -1, EOS: 200002,
	}
}

// TestVocabulary comes back from a packed GGUF file as it was.
func TestVocabulary(t *testing.T) {
	c := openFS(t, fstest.MapFS{"x.gguf": &fstest.MapFile{Data: weightstest.GGUF(oddConfig(), randomTensors(oddConfig()))}})
	c.Vocabulary = vocabulary()
	f := packFile(t, c, nil)
	got, err := Vocabulary(f)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(vocabulary(), got); diff != "" {
		t.Errorf("vocabulary (-want +got):\n%s", diff)
	}
	if _, err := f.Open(tokenizerName); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s beside it: %v", tokenizerName, err)
	}
	if config, err := Config(f); err != nil || config.VocabSize != 37 {
		t.Errorf("configuration %+v, %v", config, err)
	}
	good := appendVocabulary(nil, vocabulary())
	for n := range good {
		if _, err := parseVocabulary(good[:n]); err == nil {
			t.Errorf("the first %d bytes are a vocabulary", n)
		}
	}
	if _, err := parseVocabulary(append(good, 0)); err == nil {
		t.Error("a byte more is a vocabulary")
	}
}

func TestExactBlock(t *testing.T) {
	tests := map[string]struct {
		values []float32
		scale  byte
		codes  []byte // nil where there is none
	}{
		"nothing":             {nil, 0, []byte{0}},
		"zeros of both signs": {[]float32{0, float32(math.Copysign(0, -1))}, 0, []byte{0, 8}},
		"all magnitudes":      {[]float32{0, .5, 1, 1.5, 2, 3, 4, -6}, 127, []byte{0, 1, 2, 3, 4, 5, 6, 15}},
		"a power of two":      {[]float32{1}, 125, []byte{6}},
		"one and a half":      {[]float32{-1.5, 1}, 125, []byte{15, 6}},
		"the least":           {[]float32{0x1p-128, 0x3p-128}, 0, []byte{1, 3}},
		"the largest":         {[]float32{0x1.8p127}, 252, []byte{7}},
		"below the least":     {[]float32{0x1p-129}, 0, nil},
		"five":                {[]float32{5}, 0, nil},
		"two and a half of 6": {[]float32{6, 2.5}, 0, nil},
		"too far apart":       {[]float32{4, 0.25}, 0, nil},
		"seven eighths":       {[]float32{0.875}, 0, nil},
		"infinity":            {[]float32{float32(math.Inf(1))}, 0, nil},
		"no number":           {[]float32{float32(math.NaN())}, 0, nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var x [32]float32
			copy(x[:], tc.values)
			var block, want [16]byte
			scale, ok := exactBlock(&block, &x)
			if ok != (tc.codes != nil) {
				t.Fatalf("ok is %v", ok)
			}
			for i, code := range tc.codes {
				want[i/2] |= code << (4 * (i % 2))
			}
			if ok && (scale != tc.scale || block != want) {
				t.Errorf("scale %d, block %x, want %d, %x", scale, block, tc.scale, want)
			}
		})
	}
}

// TestEmbeddingIsRounded to the nearest bfloat16, ties to even.
func TestEmbeddingIsRounded(t *testing.T) {
	m := weights.Matrix{Rows: 1, Cols: 32, DType: model.F32, Data: make([]byte, 128)}
	values := []float32{1, 0x1.01p0, 0x1.03p0, 0x1.010002p0, -0x1.ffp3, 0, 0x1p-133}
	want := []uint16{0x3f80, 0x3f80, 0x3f82, 0x3f81, 0xc180, 0, 1}
	putFloats(m.Data, values)
	p := planner{}
	p.bfloat16("x", m)
	dst := make([]byte, 64)
	if err := p.sections[0].pack(dst, 0, &scratch{}); err != nil {
		t.Fatal(err)
	}
	for i, v := range want {
		if got := binary.LittleEndian.Uint16(dst[2*i:]); got != v {
			t.Errorf("%v becomes %#x, want %#x", values[i], got, v)
		}
	}
	putFloats(m.Data, []float32{math.MaxFloat32})
	if err := p.sections[0].pack(dst, 0, &scratch{}); err == nil || !strings.Contains(err.Error(), "too large for bfloat16") {
		t.Errorf("the largest float32: error %v", err)
	}
}

// FuzzLoad reads any configuration and any bytes for one section.
func FuzzLoad(f *testing.F) {
	good := packedMemory(f)
	f.Add(good.memory[configName], "layers.1.down", good.memory["layers.1.down"])
	f.Add([]byte(`{}`), formatName, []byte("x"))
	f.Fuzz(func(t *testing.T, config []byte, name string, data []byte) {
		m := maps.Clone(good.memory)
		m[configName], m[name] = config, data
		w, err := load(checkedMemory{m})
		if err == nil {
			err = w.check()
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("error in several lines: %v", err)
		}
	})
}

// FuzzVocabulary reads anything; what is accepted can be written and read again.
func FuzzVocabulary(f *testing.F) {
	f.Add(appendVocabulary(nil, vocabulary()))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := parseVocabulary(data)
		if err != nil {
			return
		}
		again, err := parseVocabulary(appendVocabulary(nil, v))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(v, again); diff != "" {
			t.Errorf("vocabulary (-first +second):\n%s", diff)
		}
	})
}
