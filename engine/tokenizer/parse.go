package tokenizer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// file is the part of tokenizer.json that matters.
type file struct {
	AddedTokens []struct {
		ID         int64  `json:"id"`
		Content    string `json:"content"`
		SingleWord bool   `json:"single_word"`
		LStrip     bool   `json:"lstrip"`
		RStrip     bool   `json:"rstrip"`
		Special    bool   `json:"special"`
	} `json:"added_tokens"`
	Normalizer   json.RawMessage `json:"normalizer"`
	PreTokenizer *preTokenizer   `json:"pre_tokenizer"`
	Model        model           `json:"model"`
}

type model struct {
	Type           string          `json:"type"`
	Dropout        *float64        `json:"dropout"`
	SubwordPrefix  string          `json:"continuing_subword_prefix"`
	WordSuffix     string          `json:"end_of_word_suffix"`
	ByteFallback   bool            `json:"byte_fallback"`
	IgnoreMerges   bool            `json:"ignore_merges"`
	Vocabulary     json.RawMessage `json:"vocab"`
	Merges         json.RawMessage `json:"merges"`
	UnknownIgnored any             `json:"unk_token"` // bytes are never unknown
}

type preTokenizer struct {
	Type           string         `json:"type"`
	PreTokenizers  []preTokenizer `json:"pretokenizers"`
	AddPrefixSpace bool           `json:"add_prefix_space"`
	UseRegex       *bool          `json:"use_regex"` // absent means true
	Behavior       string         `json:"behavior"`
	Invert         bool           `json:"invert"`
	Pattern        struct {
		Regex string `json:"Regex"`
	} `json:"pattern"`
}

// Parse reads a Hugging Face tokenizer.json that holds a byte-level BPE model.
func Parse(data []byte) (*Tokenizer, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("tokenizer: tokenizer.json has %d bytes, at most %d are read", len(data), maxFile)
	}
	var f file
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("tokenizer: tokenizer.json: %w", err)
	}
	if len(f.Normalizer) > 0 && !bytes.Equal(f.Normalizer, []byte("null")) {
		return nil, fmt.Errorf("tokenizer: a normalizer is not supported")
	}
	if err := f.Model.check(); err != nil {
		return nil, err
	}
	b := newBuilder(0, 0)
	b.t.whole = f.Model.IgnoreMerges
	var err error
	if b.t.split, err = f.PreTokenizer.splitter(); err != nil {
		return nil, err
	}
	if err := f.readVocabulary(b); err != nil {
		return nil, err
	}
	if err := f.readAdded(b); err != nil {
		return nil, err
	}
	if err := readMerges(b, f.Model.Merges); err != nil {
		return nil, err
	}
	return b.finish()
}

func (m *model) check() error {
	switch {
	case m.Type != "BPE":
		return fmt.Errorf("tokenizer: model type is %.40q, only BPE is supported", m.Type)
	case m.Dropout != nil && *m.Dropout != 0:
		return fmt.Errorf("tokenizer: dropout is not supported")
	case m.SubwordPrefix != "" || m.WordSuffix != "":
		return fmt.Errorf("tokenizer: continuing_subword_prefix and end_of_word_suffix are not supported")
	case m.ByteFallback:
		return fmt.Errorf("tokenizer: byte_fallback is not supported, the vocabulary must be byte-level")
	}
	return nil
}

// splitter accepts ByteLevel, alone or after one Split.
func (p *preTokenizer) splitter() (splitter, error) {
	if p == nil {
		return nil, fmt.Errorf("tokenizer: no pre_tokenizer, it must be ByteLevel")
	}
	steps := []preTokenizer{*p}
	if p.Type == "Sequence" {
		steps = p.PreTokenizers
	}
	pattern := ""
	for i, step := range steps {
		last := i == len(steps)-1
		switch {
		case step.Type == "Split" && !last && pattern == "":
			if step.Behavior != "Isolated" || step.Invert {
				return nil, fmt.Errorf("tokenizer: pre_tokenizer Split must be Isolated and not inverted")
			}
			pattern = step.Pattern.Regex
		case step.Type == "ByteLevel" && last:
			if step.AddPrefixSpace {
				return nil, fmt.Errorf("tokenizer: add_prefix_space is not supported")
			}
			if step.UseRegex == nil || *step.UseRegex {
				if pattern != "" {
					return nil, fmt.Errorf("tokenizer: pre_tokenizer splits twice, by Split and by ByteLevel")
				}
				pattern = patternGPT2
			}
			return splitterFor(pattern)
		default:
			return nil, fmt.Errorf("tokenizer: pre_tokenizer step %d is %.40q, only Split before a last ByteLevel is supported", i, step.Type)
		}
	}
	return nil, fmt.Errorf("tokenizer: pre_tokenizer has no ByteLevel step")
}

// readVocabulary streams over the object, because a map would hide a key that
// comes twice.
func (f *file) readVocabulary(b builder) error {
	added := map[string]int64{}
	for _, a := range f.AddedTokens {
		added[a.Content] = a.ID
	}
	d := json.NewDecoder(bytes.NewReader(f.Model.Vocabulary))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf("tokenizer: model.vocab is not an object")
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return fmt.Errorf("tokenizer: model.vocab: %w", err)
		}
		var id int64
		if err := d.Decode(&id); err != nil {
			return fmt.Errorf("tokenizer: model.vocab: %w", err)
		}
		text, _ := key.(string)
		if special, ok := added[text]; ok && special == id {
			continue // readAdded enters it
		}
		token, ok := fromByteLevel(text)
		if !ok {
			return fmt.Errorf("tokenizer: token %.40q is not in the byte-level alphabet", text)
		}
		if err := b.ordinary(id, token); err != nil {
			return err
		}
	}
	return nil
}

func (f *file) readAdded(b builder) error {
	if len(f.AddedTokens) > maxAdded {
		return fmt.Errorf("tokenizer: %d added tokens, at most %d are read", len(f.AddedTokens), maxAdded)
	}
	for _, a := range f.AddedTokens {
		if a.Special {
			if err := b.specialToken(a.ID, a.Content); err != nil {
				return err
			}
			continue
		}
		if a.SingleWord || a.LStrip || a.RStrip {
			return fmt.Errorf("tokenizer: added token %.40q: single_word, lstrip and rstrip are not supported", a.Content)
		}
		if err := b.addedToken(a.ID, a.Content); err != nil {
			return err
		}
	}
	return b.sortAdded()
}

// readMerges reads the pairs in order of rank, each "a b" or ["a","b"].
func readMerges(b builder, data []byte) error {
	if len(data) == 0 {
		return fmt.Errorf("tokenizer: model.merges is missing")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return fmt.Errorf("tokenizer: model.merges is not an array")
	}
	for rank := 0; d.More(); rank++ {
		if rank == maxMerges {
			return fmt.Errorf("tokenizer: more than %d merges", maxMerges)
		}
		left, right, err := readMerge(d)
		if err != nil {
			return fmt.Errorf("tokenizer: merge %d: %w", rank, err)
		}
		if err := b.addMerge(rank, left, right); err != nil {
			return err
		}
	}
	return nil
}

func readMerge(d *json.Decoder) (left, right string, err error) {
	t, err := d.Token()
	if err != nil {
		return "", "", err
	}
	if text, ok := t.(string); ok {
		return cutMerge(text)
	}
	if t != json.Delim('[') {
		return "", "", fmt.Errorf("neither a string nor an array")
	}
	var parts [3]json.Token
	for i := range parts {
		if parts[i], err = d.Token(); err != nil {
			return "", "", err
		}
	}
	left, ok := parts[0].(string)
	right, ok2 := parts[1].(string)
	if !ok || !ok2 || parts[2] != json.Delim(']') {
		return "", "", fmt.Errorf("not an array of two strings")
	}
	return left, right, nil
}

func cutMerge(text string) (left, right string, err error) {
	left, right, ok := strings.Cut(text, " ")
	if !ok || strings.Contains(right, " ") {
		return "", "", fmt.Errorf("%.40q is not two tokens with a blank between", text)
	}
	return left, right, nil
}

// addMerge leaves out a merge that would make a special token.
func (b builder) addMerge(rank int, left, right string) error {
	var ids [2]int32
	var whole []byte
	for i, text := range [...]string{left, right} {
		token, ok := fromByteLevel(text)
		if !ok {
			return fmt.Errorf("tokenizer: merge %d: %.40q is not in the byte-level alphabet", rank, text)
		}
		if ids[i], ok = b.t.piece(string(token)); !ok {
			if _, special := b.t.specials[string(token)]; special {
				return nil
			}
			return fmt.Errorf("tokenizer: merge %d: %.40q is not in the vocabulary", rank, text)
		}
		whole = append(whole, token...)
	}
	id, ok := b.t.piece(string(whole))
	if !ok {
		if _, special := b.t.specials[string(whole)]; special {
			return nil
		}
		return fmt.Errorf("tokenizer: merge %d: %.40q is not in the vocabulary", rank, left+right)
	}
	if !b.t.merges.add(ids[0], ids[1], mergeResult{rank: uint32(rank), id: id}) {
		return fmt.Errorf("tokenizer: merge %d: %.40q and %.40q merge twice", rank, left, right)
	}
	return nil
}
