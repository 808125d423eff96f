package options

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// parameter is one flag: how it looks in the usage text, how it is read, rendered and checked.
type parameter struct {
	name, value, help string
	set               func(o *Options, text string) error
	get               func(o *Options) []string // one text for each time the flag is given
	check             func(o *Options) error    // nil where every value that set accepts is valid
}

func text(name, value, help string, field func(*Options) *string, check func(name, text string) error) parameter {
	p := parameter{
		name: name, value: value, help: help,
		set: func(o *Options, text string) error { *field(o) = text; return nil },
		get: func(o *Options) []string { return []string{*field(o)} },
	}
	if check != nil {
		p.check = func(o *Options) error { return check(name, *field(o)) }
	}
	return p
}

func choice(name, help string, field func(*Options) *string, allowed ...string) parameter {
	return text(name, strings.Join(allowed, "|"), help, field, func(name, text string) error {
		if !slices.Contains(allowed, text) {
			return fmt.Errorf("--%s %q: must be one of %s", name, text, strings.Join(allowed, ", "))
		}
		return nil
	})
}

func integer[T int | int64](name, value, help string, field func(*Options) *T, low, high T) parameter {
	fail := func(text string) error {
		return fmt.Errorf("--%s %q: must be a whole number from %d to %d", name, text, low, high)
	}
	return parameter{
		name: name, value: value, help: help,
		set: func(o *Options, text string) error {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil || n < int64(low) || n > int64(high) {
				return fail(text)
			}
			*field(o) = T(n)
			return nil
		},
		get: func(o *Options) []string { return []string{strconv.FormatInt(int64(*field(o)), 10)} },
		check: func(o *Options) error {
			if n := *field(o); n < low || n > high {
				return fail(strconv.FormatInt(int64(n), 10))
			}
			return nil
		},
	}
}

func number(name, help string, field func(*Options) *float64, low, high float64) parameter {
	render := func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
	fail := func(text string) error {
		return fmt.Errorf("--%s %q: must be a number from %g to %g", name, text, low, high)
	}
	outside := func(x float64) bool { return math.IsNaN(x) || x < low || x > high }
	return parameter{
		name: name, value: "X", help: help,
		set: func(o *Options, text string) error {
			x, err := strconv.ParseFloat(text, 64)
			if err != nil || outside(x) {
				return fail(text)
			}
			*field(o) = x
			return nil
		},
		get: func(o *Options) []string { return []string{render(*field(o))} },
		check: func(o *Options) error {
			if x := *field(o); outside(x) {
				return fail(render(x))
			}
			return nil
		},
	}
}

func duration(name, help string, field func(*Options) *time.Duration, low, high time.Duration) parameter {
	fail := func(text string) error {
		return fmt.Errorf("--%s %q: must be a duration from %s to %s, such as 25s", name, text, low, high)
	}
	return parameter{
		name: name, value: "DURATION", help: help,
		set: func(o *Options, text string) error {
			d, err := time.ParseDuration(text)
			if err != nil || d < low || d > high {
				return fail(text)
			}
			*field(o) = d
			return nil
		},
		get: func(o *Options) []string { return []string{field(o).String()} },
		check: func(o *Options) error {
			if d := *field(o); d < low || d > high {
				return fail(d.String())
			}
			return nil
		},
	}
}

// batchTokens is an integer that must not be less than the batch size: every request of a batch has a token.
func batchTokens(name, value, help string) parameter {
	p := integer(name, value, help, func(o *Options) *int { return &o.MaxBatchTokens }, 1, maxBatchTokens)
	inRange := p.check
	p.check = func(o *Options) error {
		if err := inRange(o); err != nil {
			return err
		}
		if o.MaxBatchTokens < o.BatchSize {
			return fmt.Errorf("--%s %d: must not be less than --batch-size, which is %d", name, o.MaxBatchTokens, o.BatchSize)
		}
		return nil
	}
	return p
}

func boolean(name, help string, field func(*Options) *bool) parameter {
	return parameter{
		name: name, value: "true|false", help: help,
		set: func(o *Options, text string) error {
			if text != "true" && text != "false" {
				return fmt.Errorf("--%s %q: must be true or false", name, text)
			}
			*field(o) = text == "true"
			return nil
		},
		get: func(o *Options) []string { return []string{strconv.FormatBool(*field(o))} },
	}
}

// units are the suffixes of sizes, as Kubernetes writes them.
var units = []struct {
	suffix string
	bytes  int64
}{{"Ti", 1 << 40}, {"Gi", 1 << 30}, {"Mi", 1 << 20}, {"Ki", 1 << 10}, {"", 1}}

func size(name, help string, field func(*Options) *int64, low, high int64) parameter {
	render := func(n int64) string {
		for _, u := range units {
			if n != 0 && n%u.bytes == 0 {
				return strconv.FormatInt(n/u.bytes, 10) + u.suffix
			}
		}
		return strconv.FormatInt(n, 10)
	}
	fail := func(text string) error {
		return fmt.Errorf("--%s %q: must be a number of bytes from %s to %s, such as 512Mi or 4Gi", name, text, render(low), render(high))
	}
	return parameter{
		name: name, value: "SIZE", help: help,
		set: func(o *Options, text string) error {
			number, unit := text, int64(1)
			for _, u := range units {
				if rest, ok := strings.CutSuffix(text, u.suffix); ok {
					number, unit = rest, u.bytes
					break
				}
			}
			n, err := strconv.ParseInt(number, 10, 64)
			if err != nil || n < 0 || n > high/unit || n*unit < low {
				return fail(text)
			}
			*field(o) = n * unit
			return nil
		},
		get: func(o *Options) []string { return []string{render(*field(o))} },
		check: func(o *Options) error {
			if n := *field(o); n < low || n > high {
				return fail(strconv.FormatInt(n, 10))
			}
			return nil
		},
	}
}

func keys(name, value, help string) parameter {
	return parameter{
		name: name, value: value, help: help,
		set: func(o *Options, text string) error { o.APIKeys = append(o.APIKeys, text); return nil },
		get: func(o *Options) []string { return o.APIKeys },
		check: func(o *Options) error {
			for _, k := range o.APIKeys {
				if !ValidKey(k) {
					return fmt.Errorf("--%s: a key must be 1 to %d printable ASCII characters without spaces", name, maxKeyLength)
				}
			}
			return nil
		},
	}
}

// ValidKey reports whether a key can travel in an Authorization header: 1 to 4096 visible ASCII characters.
func ValidKey(key string) bool {
	if key == "" || len(key) > maxKeyLength {
		return false
	}
	for i := range len(key) {
		if key[i] <= ' ' || key[i] > '~' {
			return false
		}
	}
	return true
}

func notEmpty(name, text string) error {
	if text == "" {
		return fmt.Errorf("--%s: must not be empty", name)
	}
	return nil
}

func checkHost(name, text string) error {
	if text == "" || strings.ContainsAny(text, " \t\r\n/") {
		return fmt.Errorf("--%s %q: must be an IP address or a host name", name, text)
	}
	return nil
}

func checkName(name, text string) error {
	for _, r := range text {
		if r <= ' ' || r > '~' || r == '"' || r == '\\' {
			return fmt.Errorf("--%s %q: must be visible ASCII characters without spaces, quotes and backslashes", name, text)
		}
	}
	if len(text) > 256 {
		return fmt.Errorf("--%s: must be at most 256 characters, not %d", name, len(text))
	}
	return nil
}
