package regular

import (
	"encoding/json"
	"errors"
	"math/big"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestPatterns(t *testing.T) {
	for name, tc := range map[string]struct {
		pattern   string
		yes, no   []string
		wantError string
	}{
		"a pattern is searched for":       {pattern: "b+", yes: []string{"b", "abc", "xbb"}, no: []string{"", "ac"}},
		"both ends anchored":              {pattern: "^a|b$", yes: []string{"ax", "xb", "a", "b"}, no: []string{"xa", "bx", ""}},
		"an anchor in a group":            {pattern: "^(a|^b)c", yes: []string{"ac", "bcx"}, no: []string{"xbc"}},
		"an end in the middle":            {pattern: "a$b", no: []string{"a", "ab", "a\nb"}},
		"an empty pattern":                {pattern: "", yes: []string{"", "x"}},
		"an empty alternative":            {pattern: "^$|^x+$", yes: []string{"", "xx"}, no: []string{"y"}},
		"counts":                          {pattern: "^a{2,3}b{2}c{1,}$", yes: []string{"aabbc", "aaabbccc"}, no: []string{"abbc", "aabc", "aaaabbc"}},
		"lazy quantifiers":                {pattern: "^a+?b*?$", yes: []string{"a", "aab"}, no: []string{"b"}},
		"a brace that is no count":        {pattern: "^a{x}$", yes: []string{"a{x}"}, no: []string{"a"}},
		"classes":                         {pattern: `^[a-c\d_-]+$`, yes: []string{"a9-_"}, no: []string{"d"}},
		"a negated class":                 {pattern: `^[^a-c]$`, yes: []string{"d", "é", "😀", "\n"}, no: []string{"a", ""}},
		"white space in a negated class":  {pattern: `^[^\s-]$`, yes: []string{"x"}, no: []string{" ", "-", "\u00a0", "\u2003"}},
		"a dot":                           {pattern: "^.$", yes: []string{"x", "😀"}, no: []string{"\n", "\u2028", ""}},
		"Unicode categories":              {pattern: `^\p{Lu}\p{L}*$`, yes: []string{"Éa"}, no: []string{"éa", "É1"}},
		"Unicode escapes":                 {pattern: `^\u00e9\u{1F600}\ud83d\ude00\x41$`, yes: []string{"é😀😀A"}},
		"escaped punctuation":             {pattern: `^\/\.\-\@$`, yes: []string{"/.-@"}},
		"named groups":                    {pattern: "^(?<year>[0-9]{4})$", yes: []string{"2024"}, no: []string{"24"}},
		"negative lookahead":              {pattern: `^(?!\.)(?!.*\.\.)[a-z.]+$`, yes: []string{"a.b"}, no: []string{".a", "a..b"}},
		"positive lookahead with an end":  {pattern: `^(?=.{1,4}$)[a-z]+(\.[a-z]+)*$`, yes: []string{"a.b", "abcd"}, no: []string{"abcde"}},
		"lookahead in one alternative":    {pattern: `^(?!a)x|^b`, yes: []string{"x", "b"}, no: []string{"a"}},
		"lookahead in the middle":         {pattern: `^a(?!b)[a-z]$`, yes: []string{"aa"}, no: []string{"ab"}},
		"lookahead in a group":            {pattern: "^(a(?=b))+", wantError: "lookahead inside a group"},
		"lookbehind":                      {pattern: "(?<=a)b", wantError: "lookbehind"},
		"backreferences":                  {pattern: `(a)\1`, wantError: "backreferences"},
		"word boundaries":                 {pattern: `\bx`, wantError: `\b`},
		"flags":                           {pattern: "(?i)x", wantError: "flags"},
		"an unknown property":             {pattern: `\p{Emoji}`, wantError: "Emoji"},
		"an open class":                   {pattern: "[a", wantError: "class"},
		"an open group":                   {pattern: "(a", wantError: "group"},
		"a closed group that was no open": {pattern: "a)", wantError: "unmatched"},
		"nothing to repeat":               {pattern: "*a", wantError: "nothing to repeat"},
		"a range out of order":            {pattern: "[z-a]", wantError: "out of order"},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := Pattern(tc.pattern)
			if tc.wantError != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantError) {
					t.Fatalf("error %v, want one about %q", err, tc.wantError)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range tc.yes {
				if !d.Match(s) {
					t.Errorf("%q does not match %q", tc.pattern, s)
				}
			}
			for _, s := range tc.no {
				if d.Match(s) {
					t.Errorf("%q matches %q", tc.pattern, s)
				}
			}
		})
	}
}

func TestHostilePatternsAreRefused(t *testing.T) {
	for name, pattern := range map[string]string{
		"exponential states": "(a|b)*a(a|b){14}$",
		"nested counts":      "((a{1,99}){1,99}){1,99}",
		"nested groups":      strings.Repeat("(", 5000) + strings.Repeat(")", 5000),
		"very long":          strings.Repeat("a", maxPattern+1),
		"a huge count":       "a{99999999999}",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Pattern(pattern); !errors.Is(err, ErrTooComplex) {
				t.Errorf("error %v, want %v", err, ErrTooComplex)
			}
		})
	}
}

// TestPatternsAgreeWithTheStandardLibrary compares random patterns on random texts.
func TestPatternsAgreeWithTheStandardLibrary(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	var pattern func(depth int) string
	pattern = func(depth int) string {
		if depth == 0 {
			return pick("a", "b", "c", "[ab]", "[^a]", "^", "$", "", "é")
		}
		switch random.IntN(5) {
		case 0:
			return "(" + pattern(depth-1) + "|" + pattern(depth-1) + ")"
		case 1:
			return "(?:" + pattern(depth-1) + ")" + pick("*", "+", "?", "{2}", "{1,3}", "{0,2}", "{2,}")
		default:
			return pattern(depth-1) + pattern(depth-1)
		}
	}
	for range 2000 {
		p := pattern(1 + random.IntN(4))
		oracle := regexp.MustCompile(p)
		d, err := Pattern(p)
		if err != nil {
			t.Fatalf("%q: %v", p, err)
		}
		for range 20 {
			var s strings.Builder
			for range random.IntN(7) {
				s.WriteString(pick("a", "b", "c", "é"))
			}
			if got, want := d.Match(s.String()), oracle.MatchString(s.String()); got != want {
				t.Fatalf("%q on %q: %v, want %v", p, s.String(), got, want)
			}
		}
	}
}

func TestSetOperations(t *testing.T) {
	a, _ := Pattern("^[ab]*$")
	b, _ := Pattern("^.{2,3}$")
	both, err := a.Intersect(b)
	if err != nil {
		t.Fatal(err)
	}
	neither := Strings("ab", "c").Complement()
	for s, want := range map[string][2]bool{
		"": {false, true}, "ab": {true, false}, "abb": {true, true}, "abbb": {false, true}, "c": {false, false}, "cc": {false, true},
	} {
		if got := [2]bool{both.Match(s), neither.Match(s)}; got != want {
			t.Errorf("%q: %v, want %v", s, got, want)
		}
	}
	if nothing, _ := a.Intersect(Strings("c")); !nothing.Empty() || a.Empty() {
		t.Error("emptiness is not seen")
	}
	if d, _ := Pattern("^a"); !d.Universal(d.next(0, 'a')) || d.Universal(0) {
		t.Error("universality is not seen")
	}
}

func TestFormats(t *testing.T) {
	for name, tc := range map[string]struct{ yes, no []string }{
		"date-time": {[]string{"2024-02-29T23:59:59Z", "2000-02-29T00:00:00.5+01:00"}, []string{"2023-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2024-01-01T24:00:00Z", "2024-01-01"}},
		"date":      {[]string{"2024-12-31", "0004-02-29"}, []string{"2024-04-31", "0000-01-01", "24-1-1"}},
		"time":      {[]string{"12:00:00Z", "12:00:00.123-08:00"}, []string{"12:00", "12:00:00", "12:00:60Z"}},
		"duration":  {[]string{"P1Y2M3D", "PT5M", "P2W", "P1DT1H"}, []string{"P", "PT", "1D", "P1H"}},
		"email":     {[]string{"a.b+c@example.org"}, []string{"a@b", "@b.cc", "a..b@c.dd", "a b@c.dd"}},
		"hostname":  {[]string{"a", "www.example.org", "x-1.y"}, []string{"-a", "a-", "a..b", ""}},
		"ipv4":      {[]string{"127.0.0.1", "255.255.255.255"}, []string{"256.0.0.1", "1.2.3", "01.2.3.4"}},
		"ipv6":      {[]string{"::", "::1", "1:2:3:4:5:6:7:8", "fe80::1", "1:2:3:4:5:6:7::"}, []string{":", "1:2", "1::2::3", "12345::"}},
		"uuid":      {[]string{"123e4567-e89b-12d3-a456-426614174000"}, []string{"123e4567e89b12d3a456426614174000"}},
		"uri":       {[]string{"https://example.org/a?b=c#d", "mailto:a@b.org", "urn:isbn:1"}, []string{"example", "//x", "http://a b", "http://%"}},
	} {
		t.Run(name, func(t *testing.T) {
			d, ok := Format(name)
			if !ok {
				t.Fatal("the format is unknown")
			}
			for _, s := range tc.yes {
				if !d.Match(s) {
					t.Errorf("%q is refused", s)
				}
			}
			for _, s := range tc.no {
				if d.Match(s) {
					t.Errorf("%q is accepted", s)
				}
			}
		})
	}
	// A date that a Go program cannot read would be no use.
	date, _ := Format("date")
	for year := range 2001 {
		for _, day := range []string{"02-28", "02-29", "02-30", "12-31"} {
			text := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC).Format("2006-") + day
			_, err := time.Parse(time.DateOnly, text)
			if got, want := date.Match(text), err == nil && year > 0; got != want {
				t.Fatalf("date %s: %v, want %v", text, got, want)
			}
		}
	}
}

func rational(s string) *big.Rat {
	if s == "" {
		return nil
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		panic(s)
	}
	return r
}

func TestNumbers(t *testing.T) {
	candidates := strings.Fields("0 -0 -0.0 1 -1 2 3 5 9 10 11 12 15 99 100 101 -5 -10 -11 -12 0.5 0.1 0.25 1.5 2.5 9.9 9.99 10.0 10.01 -0.5 -1.5 -9.99 -10.01 007 1e3 1. .5 - 1000 999999 123456789012345678")
	for name, tc := range map[string]struct {
		integer                   bool
		low, high, multiple       string
		lowOpen, highOpen, refuse bool
	}{
		"integers":                             {integer: true},
		"integers from 1":                      {integer: true, low: "1"},
		"integers over 9":                      {integer: true, low: "9", lowOpen: true},
		"integers to 10":                       {integer: true, high: "10"},
		"integers under 0":                     {integer: true, high: "0", highOpen: true},
		"integers between fractions":           {integer: true, low: "-10.5", high: "10.5"},
		"integers from -11 to 101":             {integer: true, low: "-11", high: "101"},
		"a bound with an exponent":             {integer: true, low: "1e1", high: "1e2"},
		"multiples of 5":                       {integer: true, multiple: "5"},
		"integers that are multiples of a 1.5": {integer: true, multiple: "1.5"},
		"numbers from 0":                       {low: "0"},
		"numbers over 0":                       {low: "0", lowOpen: true},
		"numbers under 10":                     {high: "10", highOpen: true},
		"numbers from -1.5 to 9.99":            {low: "-1.5", high: "9.99"},
		"numbers strictly between":             {low: "-1.5", high: "9.99", lowOpen: true, highOpen: true},
		"multiples of a quarter":               {multiple: "0.25"},
		"multiples of a cent to 10":            {multiple: "0.01", high: "10"},
		"negative numbers":                     {high: "-1"},
	} {
		t.Run(name, func(t *testing.T) {
			spec := NumberSpec{Integer: tc.integer, Low: rational(tc.low), High: rational(tc.high), LowOpen: tc.lowOpen, HighOpen: tc.highOpen, MultipleOf: rational(tc.multiple)}
			d, err := Number(spec)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range candidates {
				if got, want := d.Match(s), wanted(spec, s); got != want {
					t.Errorf("%s: %v, want %v", s, got, want)
				}
			}
		})
	}
}

// wanted is NumberSpec by arithmetic. Of what JSON allows, "-0" and exponents are not written where there are bounds.
func wanted(spec NumberSpec, text string) bool {
	if !json.Valid([]byte(text)) || strings.ContainsAny(text, "e") {
		return false
	}
	r := rational(text)
	switch {
	case spec.Integer && strings.Contains(text, "."), strings.HasPrefix(text, "-") && r.Sign() == 0:
		return false
	case spec.Low != nil && (r.Cmp(spec.Low) < 0 || spec.LowOpen && r.Cmp(spec.Low) == 0):
		return false
	case spec.High != nil && (r.Cmp(spec.High) > 0 || spec.HighOpen && r.Cmp(spec.High) == 0):
		return false
	case !spec.Integer && strings.Contains(text, ".") && len(text) > 15:
		return false
	case !spec.Integer && len(strings.TrimPrefix(text, "-")) > maxFloatDigits:
		return false
	case spec.MultipleOf != nil:
		if !new(big.Rat).Quo(r, spec.MultipleOf).IsInt() {
			return false
		}
		// As many decimals as multipleOf has.
		_, decimals, _ := strings.Cut(text, ".")
		_, wantDecimals, _ := strings.Cut(strings.TrimRight(spec.MultipleOf.FloatString(9), "0"), ".")
		return len(decimals) <= len(wantDecimals)
	}
	return true
}

func FuzzPattern(f *testing.F) {
	for _, s := range []string{`^a+$`, `(a|b)*c{2,3}`, `[^\s-]`, `^(?!x)y`, `\p{L}\u0041`, `(`, `a{9999}`, `((a*)*)*b`} {
		f.Add(s, "aab")
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		d, err := Pattern(pattern)
		if err != nil {
			return
		}
		if len(d.States) > maxStates {
			t.Fatalf("%d states", len(d.States))
		}
		d.Match(text)
	})
}
