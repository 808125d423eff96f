package options

import (
	"fmt"
	"net/url"
	"strings"
)

func checkOrigins(name, text string) error {
	if text == "" {
		return nil
	}
	for item := range strings.SplitSeq(text, ",") {
		item = strings.TrimSpace(item)
		if item == "*" {
			continue
		}
		u, err := url.Parse(item)
		if err != nil || u.Scheme == "" || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(item, "* \"\\") {
			return fmt.Errorf("--%s: %q is not an origin, such as https://chat.example.com", name, item)
		}
	}
	return nil
}

// tlsKey is a path that goes together with the certificate's.
func tlsKey(name, value, help string) parameter {
	p := text(name, value, help, func(o *Options) *string { return &o.TLSKey }, nil)
	p.check = func(o *Options) error {
		if (o.TLSCert == "") != (o.TLSKey == "") {
			return fmt.Errorf("--tls-cert and --%s go together", name)
		}
		return nil
	}
	return p
}
