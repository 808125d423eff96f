package access

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"

	"github.com/gptoss/gptoss-operator/server/limit"
	"github.com/gptoss/gptoss-operator/server/options"
)

const (
	maxKeyFile = 8 << 20 // a record has about 300 bytes
	maxKeys    = 20_000
	maxModels  = 256 // of one key
)

type digest = [sha256.Size]byte

// entry is an accepted key.
type entry struct {
	digest              digest
	identity            Identity
	notBefore, notAfter time.Time // zero for open ends
}

// valid reports whether now lies between the entry's ends, both included.
func (e *entry) valid(now time.Time) bool {
	return (e.notBefore.IsZero() || !now.Before(e.notBefore)) && (e.notAfter.IsZero() || !now.After(e.notAfter))
}

// plain is the entry of a key that is all there is to know about its owner, but for where it stands.
func plain(key, place string) entry {
	d := sha256.Sum256([]byte(key))
	return entry{digest: d, identity: Identity{Name: place, Source: "key", Tenant: string(d[:])}}
}

func readKeyFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	if len(content) > maxKeyFile {
		return nil, fmt.Errorf("key file %s: must have at most %d bytes", path, maxKeyFile)
	}
	return content, nil
}

// parseKeys reads a key file: a JSON object with the member "keys", or a key a line. What it says of a broken file never
// repeats the file's text, which may be a key.
func parseKeys(content []byte) ([]entry, error) {
	var entries []entry
	var err error
	if trimmed := bytes.TrimSpace(content); len(trimmed) > 0 && trimmed[0] == '{' {
		entries, err = parseRecords(trimmed)
	} else {
		entries, err = parseLines(string(content))
	}
	if err != nil {
		return nil, err
	}
	if len(entries) > maxKeys {
		return nil, fmt.Errorf("must have at most %d keys, not %d", maxKeys, len(entries))
	}
	return entries, nil
}

func parseLines(text string) ([]entry, error) {
	var entries []entry
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		n++
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if !options.ValidKey(line) {
			return nil, fmt.Errorf("line %d is not a key of visible ASCII characters", n)
		}
		if len(entries) == maxKeys {
			return nil, fmt.Errorf("must have at most %d keys", maxKeys)
		}
		entries = append(entries, plain(line, fmt.Sprintf("key-file-line-%d", n)))
	}
	return entries, nil
}

// record is an entry as the file has it.
type record struct {
	Identity  string     `json:"identity"`
	Hash      string     `json:"hash"`
	Key       string     `json:"key"`
	NotBefore *time.Time `json:"notBefore"`
	NotAfter  *time.Time `json:"notAfter"`
	Scopes    *[]string  `json:"scopes"`
	Models    *[]string  `json:"models"`
	Limits    *limits    `json:"limits"`
}

// limits are an identity's own, in a key file and in a token. -1 lifts a limit; what is not there is the default's.
type limits struct {
	RequestsPerSecond *float64 `json:"requestsPerSecond"`
	Burst             *int     `json:"burst"`
	TokensPerMinute   *int64   `json:"tokensPerMinute"`
	Concurrent        *int     `json:"concurrent"`
}

func parseRecords(content []byte) ([]entry, error) {
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields() // a misspelt notAfter must not make a key last for ever
	var file struct {
		Keys *[]record `json:"keys"`
	}
	if err := decoder.Decode(&file); err != nil {
		return nil, describeJSON(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is something after the JSON object")
	}
	if file.Keys == nil {
		return nil, errors.New(`the JSON object has no list "keys"`)
	}
	entries := make([]entry, 0, len(*file.Keys))
	seen := make(map[digest]int, len(*file.Keys))
	for i := range *file.Keys {
		e, err := (*file.Keys)[i].entry()
		if err != nil {
			return nil, fmt.Errorf("keys[%d]: %w", i, err)
		}
		if before, twice := seen[e.digest]; twice {
			return nil, fmt.Errorf("keys[%d] is the same key as keys[%d]", i, before)
		}
		seen[e.digest] = i
		entries = append(entries, e)
	}
	return entries, nil
}

// describeJSON says where a file is broken without quoting it: a key may stand there.
func describeJSON(err error) error {
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("byte %d is not JSON", e.Offset)
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%s has the wrong type at byte %d", e.Field, e.Offset)
	}
	if e, ok := errors.AsType[*time.ParseError](err); ok && e != nil {
		return errors.New(`a time is not like "2027-01-31T12:00:00Z"`)
	}
	if strings.HasPrefix(err.Error(), "json: unknown field") {
		return errors.New("there is an unknown member; records have identity, hash, key, notBefore, notAfter, scopes, models and limits")
	}
	return errors.New("it is not the expected JSON")
}

func (r *record) entry() (entry, error) {
	if !validName(r.Identity) {
		return entry{}, fmt.Errorf("identity must have 1 to %d bytes of text without control characters", maxName)
	}
	e := entry{identity: Identity{Name: r.Identity, Source: "key", Tenant: tenant("key", r.Identity)}}
	switch {
	case (r.Hash == "") == (r.Key == ""):
		return entry{}, errors.New("exactly one of hash and key must be there")
	case r.Key != "":
		if !options.ValidKey(r.Key) {
			return entry{}, errors.New("key must be visible ASCII characters without spaces")
		}
		e.digest = sha256.Sum256([]byte(r.Key))
	default:
		text, ok := strings.CutPrefix(r.Hash, "sha256:")
		d, err := hex.DecodeString(text)
		if !ok || err != nil || len(d) != sha256.Size {
			return entry{}, errors.New("hash must be sha256: and 64 hexadecimal digits")
		}
		e.digest = digest(d)
	}
	if r.NotBefore != nil {
		e.notBefore = *r.NotBefore
	}
	if r.NotAfter != nil {
		e.notAfter = *r.NotAfter
	}
	if r.NotBefore != nil && r.NotAfter != nil && e.notAfter.Before(e.notBefore) {
		return entry{}, errors.New("notAfter must not be before notBefore")
	}
	return e, r.rights(&e.identity)
}

// rights reads what the key may be used for.
func (r *record) rights(i *Identity) error {
	if r.Scopes != nil {
		i.Scopes = []Scope{}
		for _, name := range *r.Scopes {
			s, err := scopeOf(name)
			if err != nil {
				return fmt.Errorf("scopes: %w", err)
			}
			i.Scopes = append(i.Scopes, s)
		}
	}
	if r.Models != nil {
		if len(*r.Models) > maxModels {
			return fmt.Errorf("models: must have at most %d names", maxModels)
		}
		i.Models = append([]string{}, *r.Models...)
	}
	if r.Limits != nil {
		rates, err := r.Limits.rates()
		if err != nil {
			return fmt.Errorf("limits: %w", err)
		}
		i.Limits = rates
	}
	return nil
}

// Bounds of limits: beyond them a number is a mistake.
const (
	maxRate      = 1e6
	minRate      = 1e-4 // eight requests a day
	maxTokenRate = int64(1e12)
)

func (l *limits) rates() (limit.Rates, error) {
	var r limit.Rates
	if v := l.RequestsPerSecond; v != nil {
		if *v != limit.Unlimited && !(*v >= minRate && *v <= maxRate) {
			return r, fmt.Errorf("requestsPerSecond must be from %g to %g, or -1 for no limit", minRate, maxRate)
		}
		r.RequestsPerSecond = *v
	}
	if v := l.Burst; v != nil {
		if *v < 1 || *v > maxRate {
			return r, fmt.Errorf("burst must be from 1 to %g", maxRate)
		}
		r.Burst = *v
	}
	if v := l.TokensPerMinute; v != nil {
		if *v != limit.Unlimited && (*v < 1 || *v > maxTokenRate) {
			return r, fmt.Errorf("tokensPerMinute must be from 1 to %d, or -1 for no limit", maxTokenRate)
		}
		r.TokensPerMinute = *v
	}
	if v := l.Concurrent; v != nil {
		if *v != limit.Unlimited && (*v < 1 || *v > math.MaxInt16) {
			return r, fmt.Errorf("concurrent must be from 1 to %d, or -1 for no limit", math.MaxInt16)
		}
		r.Concurrent = *v
	}
	return r, nil
}
