package bundle

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

const (
	// minSecret is the shortest value that is looked for: shorter ones stand in every text by accident.
	minSecret = 4

	redacted = "[redacted]"
)

// patterns are what keys and tokens look like, for those that no readable Secret holds.
var patterns = []*regexp.Regexp{
	regexp.MustCompile(`\b(sk|hf|ghp|gho|ghs|github_pat|xox[abp])[-_][A-Za-z0-9_-]{8,}`),
	regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*)?`),
	regexp.MustCompile(`(?i)\b(bearer|basic)[ :]+[A-Za-z0-9._~+/=-]{6,}`),
	regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----`),
	regexp.MustCompile(`(?i)://[^/\s:@"]+:[^/\s@"]+@`),
	regexp.MustCompile(`(?i)((?:api[-_]?key|token|password|passwd|secret)["']?[ \t]*[=:][ \t]*["']?)[^\s"',;&]{4,}`),
	regexp.MustCompile(`(?i)(X-Amz-(?:Signature|Credential|Security-Token)|sig|signature)=[^&\s"']+`),
}

// Redactor knows the values that must not get out.
type Redactor struct {
	values map[string]bool
	sorted [][]byte
}

// Add learns a value: whole, line by line, and the texts in it if it is JSON.
func (r *Redactor) Add(value []byte) {
	if r.values == nil {
		r.values = map[string]bool{}
	}
	r.sorted = nil
	r.forms(string(value))
	for line := range bytes.Lines(value) {
		r.forms(strings.TrimSpace(string(line)))
	}
	var object any
	if json.Unmarshal(value, &object) == nil {
		r.walk(object)
	}
}

func (r *Redactor) walk(value any) {
	switch v := value.(type) {
	case string:
		r.forms(v)
	case []any:
		for _, e := range v {
			r.walk(e)
		}
	case map[string]any:
		for _, e := range v {
			r.walk(e)
		}
	}
}

// forms are the ways in which a value may be written.
func (r *Redactor) forms(value string) {
	for _, text := range []string{value, strings.TrimSpace(value)} {
		if len(text) < minSecret {
			continue
		}
		quoted, err := json.Marshal(text)
		if err == nil {
			r.values[strings.Trim(string(quoted), `"`)] = true
		}
		r.values[text] = true
		r.values[url.QueryEscape(text)] = true
		r.values[hex.EncodeToString([]byte(text))] = true
		for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
			r.values[e.EncodeToString([]byte(text))] = true
		}
	}
}

// Clean replaces every secret in the text. Longer values go first, so that one which holds another leaves nothing behind.
func (r *Redactor) Clean(text []byte) []byte {
	if r.sorted == nil {
		for v := range r.values {
			r.sorted = append(r.sorted, []byte(v))
		}
		slices.SortFunc(r.sorted, func(a, b []byte) int {
			if len(a) != len(b) {
				return len(b) - len(a)
			}
			return bytes.Compare(a, b)
		})
	}
	for _, v := range r.sorted {
		text = bytes.ReplaceAll(text, v, []byte(redacted))
	}
	for _, p := range patterns {
		with := redacted
		if p.NumSubexp() == 1 && strings.Contains(p.String(), "api[-_]?key") {
			with = "${1}" + redacted
		}
		text = p.ReplaceAll(text, []byte(with))
	}
	return text
}
