package keyfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// maxFile bounds a file: a Secret holds at most 1 MiB.
const maxFile = 1 << 20

// File is the keys of a Secret's entry, in their order. What is not touched stays as it was written.
type File struct {
	records bool // JSON
	entries []string
}

// record is what matters of a JSON record here.
type record struct {
	Identity  string     `json:"identity"`
	Key       string     `json:"key"`
	Hash      string     `json:"hash"`
	NotBefore *time.Time `json:"notBefore"`
	NotAfter  *time.Time `json:"notAfter"`
}

// Parse reads the entry.
func Parse(content []byte) (*File, error) {
	if len(content) > maxFile {
		return nil, fmt.Errorf("keys: more than %d bytes", maxFile)
	}
	trimmed := bytes.TrimSpace(content)
	if len(trimmed) == 0 || trimmed[0] != '{' {
		f := &File{}
		for line := range strings.SplitSeq(string(content), "\n") {
			if line = strings.TrimSpace(line); line != "" {
				f.entries = append(f.entries, line)
			}
		}
		return f, nil
	}
	var object struct {
		Keys []json.RawMessage `json:"keys"`
	}
	decoder := json.NewDecoder(bytes.NewReader(trimmed))
	decoder.DisallowUnknownFields() // what this does not know it would lose
	if err := decoder.Decode(&object); err != nil || decoder.More() {
		return nil, errors.New(`keys: the entry begins like JSON, but is not an object with nothing but "keys"`)
	}
	f := &File{records: true}
	for i, raw := range object.Keys {
		var r record
		if err := json.Unmarshal(raw, &r); err != nil {
			return nil, fmt.Errorf("keys[%d] is not a record", i)
		}
		var line bytes.Buffer
		if err := json.Compact(&line, raw); err != nil {
			return nil, fmt.Errorf("keys[%d] is not a record", i)
		}
		f.entries = append(f.entries, line.String())
	}
	return f, nil
}

// Bytes is the entry's new content.
func (f *File) Bytes() []byte {
	if !f.records {
		return []byte(strings.Join(f.entries, "\n"))
	}
	return []byte("{\"keys\":[\n" + strings.Join(f.entries, ",\n") + "\n]}\n")
}

// Len is the number of keys.
func (f *File) Len() int { return len(f.entries) }

func (f *File) record(i int) record {
	if !f.records {
		return record{Key: f.entries[i], Identity: fmt.Sprintf("key-file-line-%d", i+1)}
	}
	var r record
	_ = json.Unmarshal([]byte(f.entries[i]), &r) // Parse has read it once
	return r
}

// Key is the first key that is valid now. New ones are appended: the first has been loaded by every pod the longest.
func (f *File) Key(now time.Time) (string, error) {
	hashed := false
	for i := range f.entries {
		r := f.record(i)
		hashed = hashed || r.Hash != ""
		if r.Key != "" && (r.NotBefore == nil || !now.Before(*r.NotBefore)) && (r.NotAfter == nil || !now.After(*r.NotAfter)) {
			return r.Key, nil
		}
	}
	if hashed {
		return "", errors.New("the Secret holds only hashes of keys, or keys that are not valid now")
	}
	return "", errors.New("the Secret holds no key that is valid now")
}

// names lists the identities, each once.
func (f *File) names() []string {
	var out []string
	seen := map[string]bool{}
	for i := range f.entries {
		if name := f.record(i).Identity; !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	return out
}
