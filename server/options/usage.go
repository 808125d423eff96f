package options

import (
	"fmt"
	"strings"
)

// Usage is the text of --help.
func Usage() string {
	var b strings.Builder
	b.WriteString(`gptoss-server answers the OpenAI API with a gpt-oss model, on CPUs, from one binary.

Usage:
  gptoss-server [serve] [flags]

Example:
  gptoss-server --model=demo --port=8000 --api-key=$(openssl rand -hex 32)
  curl http://localhost:8000/v1/chat/completions -H "Authorization: Bearer $KEY" \
    -H 'Content-Type: application/json' \
    -d '{"model":"gpt-oss-demo","messages":[{"role":"user","content":"Hello"}],"stream":true}'

Flags:
`)
	base := Default()
	for _, p := range parameters {
		fmt.Fprintf(&b, "  --%s %s\n        %s", p.name, p.value, p.help)
		if text := p.get(&base); len(text) == 1 && text[0] != "" && !strings.Contains(p.help, "(default") {
			fmt.Fprintf(&b, " (default %s)", text[0])
		}
		b.WriteByte('\n')
	}
	b.WriteString("  --version\n        print the version and exit\n  --help\n        print this text and exit\n")
	return b.String()
}
