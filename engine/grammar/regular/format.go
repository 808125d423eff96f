package regular

import (
	"slices"
	"strings"
	"sync"
)

const (
	year     = `(000[1-9]|00[1-9]\d|0[1-9]\d\d|[1-9]\d{3})`
	leapYear = `(\d\d(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)`
	fullDate = `(` + year + `-((0[13578]|1[02])-(0[1-9]|[12]\d|3[01])|(0[469]|11)-(0[1-9]|[12]\d|30)|02-(0[1-9]|1\d|2[0-8]))|` + leapYear + `-02-29)`
	fullTime = `([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)`
	durTime  = `T(\d{1,6}H(\d{1,6}M(\d{1,6}S)?)?|\d{1,6}M(\d{1,6}S)?|\d{1,6}S)`
	durDate  = `(\d{1,6}Y(\d{1,6}M(\d{1,6}D)?)?|\d{1,6}M(\d{1,6}D)?|\d{1,6}D)`
	octet    = `(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)`
	label    = `[A-Za-z0-9]([A-Za-z0-9]|-[A-Za-z0-9]){0,30}`
	atext    = `[A-Za-z0-9_+]`
	pchar    = `([A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})`
)

// formats are written narrower than their standards where a reader may be strict: no leap seconds, no comments, no
// literals for hosts.
var formats = map[string]string{
	"date-time": fullDate + `T` + fullTime,
	"date":      fullDate,
	"time":      fullTime,
	"duration":  `P(` + durDate + `(` + durTime + `)?|` + durTime + `|\d{1,6}W)`,
	"email":     atext + `(` + atext + `|[.-]` + atext + `){0,31}@(` + label + `\.){1,3}[A-Za-z]{2,24}`,
	"hostname":  label + `(\.` + label + `){0,3}`,
	"ipv4":      octet + `(\.` + octet + `){3}`,
	"ipv6":      ipv6(),
	"uuid":      `[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}`,
	"uri": `[A-Za-z][A-Za-z0-9+.-]{0,20}:(//[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?(:\d{1,4})?(/` + pchar + `*)?|` +
		`[A-Za-z0-9._~@+-](` + pchar + `)*)(\?(` + pchar + `|\?)*)?(#(` + pchar + `|\?)*)?`,
}

// ipv6 lists the forms of an address by where its zeros are left out.
func ipv6() string {
	const group = `[0-9a-fA-F]{1,4}`
	forms := []string{group + `(:` + group + `){7}`}
	for before := range 8 {
		var form strings.Builder
		if before > 0 {
			form.WriteString(group + strings.Repeat(`:`+group, before-1))
		}
		form.WriteString(`::`)
		if after := 7 - before; after > 0 {
			form.WriteString(`(` + group + `(:` + group + `){0,` + string(rune('0'+after-1)) + `})?`)
		}
		forms = append(forms, form.String())
	}
	return strings.Join(forms, `|`)
}

var (
	formatLock sync.Mutex
	formatDFAs = map[string]*DFA{}
)

// Format returns the texts of one of JSON Schema's formats.
func Format(name string) (*DFA, bool) {
	pattern, ok := formats[name]
	if !ok {
		return nil, false
	}
	formatLock.Lock()
	defer formatLock.Unlock()
	if formatDFAs[name] == nil {
		d, err := Whole(`(?:` + pattern + `)`)
		if err != nil {
			panic(err) // the patterns above are tested
		}
		formatDFAs[name] = d
	}
	return formatDFAs[name], true
}

// Formats lists the names.
func Formats() []string {
	var names []string
	for name := range formats {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
