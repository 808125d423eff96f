package keyfile

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// keyBytes is the strength of a key: 256 bits, as the operator's own have.
const keyBytes = 32

// Mark is kept beside the keys while a rotation is under way. It names the old keys by an HMAC whose secret is the new key: who
// cannot read the Secret learns nothing from it, not even about weak keys, and who edits the file meanwhile loses nothing.
type Mark struct {
	New string   `json:"new"` // SHA-256 of the new key, which is random
	Old []string `json:"old"`
}

// Generate returns a new random key in the form that OpenAI's clients know.
func Generate() string {
	secret := make([]byte, keyBytes)
	_, _ = rand.Read(secret) // never fails: crypto/rand ends the program instead
	return "sk-" + base64.RawURLEncoding.EncodeToString(secret)
}

// Begin adds the key beside those that it replaces. Of several identities one must be named, unless all is set, which only
// works for keys without identity.
func (f *File) Begin(key, identity string, all bool) (Mark, error) {
	old, err := f.choose(identity, all)
	if err != nil {
		return Mark{}, err
	}
	m := Mark{New: sum(key)}
	for _, i := range old {
		m.Old = append(m.Old, tag(key, f.entries[i]))
	}
	entry := key
	if f.records {
		if entry, err = renewed(f.entries[old[0]], key); err != nil {
			return Mark{}, err
		}
	}
	f.entries = append(f.entries, entry)
	return m, nil
}

func (f *File) choose(identity string, all bool) ([]int, error) {
	names := f.names()
	var old []int
	for i := range f.entries {
		if all || identity == "" || f.record(i).Identity == identity {
			old = append(old, i)
		}
	}
	switch {
	case len(f.entries) == 0:
		return nil, errors.New("there is no key to replace")
	case all && f.records && len(names) > 1:
		return nil, errors.New("--all does not fit keys of several identities: rotate one --identity after another")
	case identity == "" && !all && len(names) > 1:
		return nil, fmt.Errorf("there are keys of several identities; choose one with --identity, or --all: %s", strings.Join(names, ", "))
	case len(old) == 0:
		return nil, fmt.Errorf("there is no key of identity %q; there are: %s", identity, strings.Join(names, ", "))
	}
	for _, i := range old {
		if f.record(i).Key == "" {
			return nil, fmt.Errorf("the key of %q is stored as a hash: the new one would be known to nobody; make one yourself and add its hash", f.record(i).Identity)
		}
	}
	return old, nil
}

// renewed is the old record, with all its rights, for a new key without an end.
func renewed(entry, key string) (string, error) {
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal([]byte(entry), &members); err != nil {
		return "", errors.New("the old record cannot be read")
	}
	delete(members, "notBefore")
	delete(members, "notAfter")
	quoted, err := json.Marshal(key)
	if err != nil {
		return "", err
	}
	members["key"] = quoted
	text, err := json.Marshal(members)
	return string(text), err
}

// Resume finds the new key of a rotation that was interrupted; "" when it is not there, so that the mark is worth nothing.
func (f *File) Resume(m Mark) string {
	for i := range f.entries {
		if key := f.record(i).Key; key != "" && hmac.Equal([]byte(sum(key)), []byte(m.New)) {
			return key
		}
	}
	return ""
}

// Finish removes the keys that the mark names, never the new one, and returns them.
func (f *File) Finish(m Mark, key string) []string {
	var removed []string
	f.entries = slices.DeleteFunc(f.entries, func(entry string) bool {
		r := (&File{records: f.records, entries: []string{entry}}).record(0)
		if r.Key == key || !slices.Contains(m.Old, tag(key, entry)) {
			return false
		}
		removed = append(removed, r.Key)
		return true
	})
	return removed
}

func sum(key string) string {
	digest := sha256.Sum256([]byte(key))
	return hex.EncodeToString(digest[:])
}

func tag(key, entry string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(entry))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}
