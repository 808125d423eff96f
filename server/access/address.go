package access

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

// maxHops bounds how far back a chain of proxies is followed.
const maxHops = 32

// The headers in which proxies pass on who they speak for.
const (
	XForwardedFor = "x-forwarded-for"
	Forwarded     = "forwarded" // RFC 7239
)

// Networks says who may come, and which proxies are believed.
type Networks struct {
	Allow, Block []string // networks or addresses; everybody may come where Allow is empty
	// Proxies are believed about whom they speak for, in Header, XForwardedFor or Forwarded. Only one is read: a proxy
	// passes on unchanged what it does not write itself, and so what a client has made up.
	Proxies []string
	Header  string
}

// networks are Networks as addresses.
type networks struct {
	allow, block, proxies []netip.Prefix
	header                string
}

func newNetworks(n Networks) (*networks, error) {
	out := &networks{header: n.Header}
	for _, l := range []struct {
		texts []string
		to    *[]netip.Prefix
	}{{n.Allow, &out.allow}, {n.Block, &out.block}, {n.Proxies, &out.proxies}} {
		for _, text := range l.texts {
			p, err := ParseNetwork(text)
			if err != nil {
				return nil, err
			}
			*l.to = append(*l.to, p)
		}
	}
	return out, nil
}

// ParseNetwork reads 10.0.0.0/8, or an address, which is a network of one.
func ParseNetwork(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%q is not a network such as 10.0.0.0/8 or an IP address", clip(text))
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%q: write IPv4 networks as IPv4", clip(text))
	}
	return p.Masked(), nil
}

func contains(set []netip.Prefix, a netip.Addr) bool {
	for _, p := range set {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// permits reports whether a client may come. An address that nobody knows may not where there is a list.
func (n *networks) permits(a netip.Addr) bool {
	if len(n.allow) == 0 && len(n.block) == 0 {
		return true
	}
	return a.IsValid() && !contains(n.block, a) && (len(n.allow) == 0 || contains(n.allow, a))
}

// client finds the address that a request comes from: the peer's, or where the peer is a trusted proxy the last one in its
// header that is not a trusted proxy itself. What stands further left was written by a client and proves nothing. An entry
// that names no address gives none.
func (n *networks) client(r *http.Request) netip.Addr {
	at := peer(r.RemoteAddr)
	if !at.IsValid() || !contains(n.proxies, at) {
		return at
	}
	for _, text := range lastHops(r.Header.Values(n.header)) {
		var err error
		if n.header == Forwarded {
			at, err = forwardedFor(text)
		} else {
			at, err = parseHop(strings.TrimSpace(text))
		}
		if err != nil {
			return netip.Addr{}
		}
		if !contains(n.proxies, at) {
			return at
		}
	}
	return at
}

// peer is the address of the connection; invalid for one without, such as a socket file.
func peer(remote string) netip.Addr {
	if p, err := netip.ParseAddrPort(remote); err == nil {
		return clean(p.Addr())
	}
	a, err := netip.ParseAddr(remote)
	if err != nil {
		return netip.Addr{}
	}
	return clean(a)
}

// clean gives each address one form: IPv4 as such, without the name of an interface.
func clean(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// lastHops splits header lines at commas and returns the last maxHops parts, the last one first. Quotes protect no comma: one that a client has opened
// would otherwise swallow what the proxy appends, and addresses have none.
func lastHops(lines []string) []string {
	var out []string
	for i := len(lines) - 1; i >= 0 && len(out) < maxHops; i-- {
		rest := lines[i]
		for len(out) < maxHops {
			comma := strings.LastIndexByte(rest, ',')
			out = append(out, rest[comma+1:])
			if comma < 0 {
				break
			}
			rest = rest[:comma]
		}
	}
	return out
}

var errHop = errors.New("not an address")

// forwardedFor reads the for parameter of one element of Forwarded: for=192.0.2.1, for="[2001:db8::1]:4711";proto=https.
func forwardedFor(element string) (netip.Addr, error) {
	for pair := range strings.SplitSeq(element, ";") {
		name, value, found := strings.Cut(strings.TrimSpace(pair), "=")
		if !found || !strings.EqualFold(name, "for") {
			continue
		}
		if inner, ok := strings.CutPrefix(value, `"`); ok {
			inner, ok = strings.CutSuffix(inner, `"`)
			if !ok {
				return netip.Addr{}, errHop
			}
			value = inner // addresses need no backslashes; with one they are none
		}
		return parseHop(value)
	}
	return netip.Addr{}, errHop
}

// parseHop reads an address, which may have a port, and if it is IPv6 brackets.
func parseHop(text string) (netip.Addr, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return clean(a), nil
	}
	if p, err := netip.ParseAddrPort(text); err == nil {
		return clean(p.Addr()), nil
	}
	if inner, ok := strings.CutPrefix(text, "["); ok {
		if inner, ok = strings.CutSuffix(inner, "]"); ok {
			if a, err := netip.ParseAddr(inner); err == nil && a.Is6() {
				return clean(a), nil
			}
		}
	}
	return netip.Addr{}, errHop
}
