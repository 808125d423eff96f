package access

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func TestClient(t *testing.T) {
	const proxy, client = "10.0.0.1:4711", "192.0.2.7"
	cases := map[string]struct {
		remote, header string
		lines          []string
		want           string
	}{
		"nobody is believed without being trusted":   {"198.51.100.1:1", XForwardedFor, []string{client}, "198.51.100.1"},
		"a trusted proxy says nothing":               {proxy, XForwardedFor, nil, "10.0.0.1"},
		"a trusted proxy speaks for a client":        {proxy, XForwardedFor, []string{client}, client},
		"what a client made up stands further left":  {proxy, XForwardedFor, []string{"127.0.0.1, 8.8.8.8, " + client}, client},
		"several proxies":                            {proxy, XForwardedFor, []string{"1.1.1.1, " + client + ",10.9.9.9 , 10.8.8.8"}, client},
		"several lines":                              {proxy, XForwardedFor, []string{"1.1.1.1", client}, client},
		"all are proxies":                            {proxy, XForwardedFor, []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		"an entry without an address":                {proxy, XForwardedFor, []string{"1.1.1.1, unknown"}, "invalid IP"},
		"an empty entry":                             {proxy, XForwardedFor, []string{"1.1.1.1,"}, "invalid IP"},
		"an open quote swallows nothing":             {proxy, XForwardedFor, []string{`", ` + client}, client},
		"with a port":                                {proxy, XForwardedFor, []string{client + ":99"}, client},
		"IPv6 with brackets and port":                {proxy, XForwardedFor, []string{"[2001:db8::1]:99"}, "2001:db8::1"},
		"IPv6":                                       {proxy, XForwardedFor, []string{"2001:db8::1"}, "2001:db8::1"},
		"IPv4 in IPv6":                               {"[::ffff:10.0.0.1]:5", XForwardedFor, []string{"::ffff:192.0.2.7"}, client},
		"a peer with a zone":                         {"[fe80::1%eth0]:5", XForwardedFor, nil, "fe80::1"},
		"a socket file":                              {"@", XForwardedFor, []string{client}, "invalid IP"},
		"the other header is not read":               {proxy, Forwarded, nil, "10.0.0.1"},
		"Forwarded":                                  {proxy, Forwarded, []string{"for=" + client}, client},
		"Forwarded with more in it":                  {proxy, Forwarded, []string{`for=1.1.1.1, proto=https;FOR="192.0.2.7:80";by=10.0.0.1`}, client},
		"Forwarded with IPv6":                        {proxy, Forwarded, []string{`for="[2001:db8::1]:80"`}, "2001:db8::1"},
		"Forwarded by a hidden client":               {proxy, Forwarded, []string{"for=_hidden"}, "invalid IP"},
		"Forwarded without for":                      {proxy, Forwarded, []string{"proto=https"}, "invalid IP"},
		"Forwarded with an open quote before":        {proxy, Forwarded, []string{`for="1.1.1.1, for=` + client}, client},
		"Forwarded with a quote that is not closed":  {proxy, Forwarded, []string{`for="` + client}, "invalid IP"},
		"an endless chain of proxies ends somewhere": {proxy, XForwardedFor, []string{"1.1.1.1" + strings.Repeat(",10.0.0.2", 1000)}, "10.0.0.2"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			n, err := newNetworks(Networks{Proxies: []string{"10.0.0.0/8"}, Header: tc.header})
			if err != nil {
				t.Fatal(err)
			}
			r := &http.Request{RemoteAddr: tc.remote, Header: http.Header{}}
			for _, line := range tc.lines {
				r.Header.Add(tc.header, line)
			}
			if got := n.client(r).String(); got != tc.want {
				t.Errorf("the client is %s, want %s", got, tc.want)
			}
		})
	}
}

func TestPermits(t *testing.T) {
	cases := map[string]struct {
		allow, block []string
		address      string // "" for unknown
		want         bool
	}{
		"no lists":                           {nil, nil, "", true},
		"allowed":                            {[]string{"192.0.2.0/24"}, nil, "192.0.2.255", true},
		"not allowed":                        {[]string{"192.0.2.0/24"}, nil, "192.0.3.0", false},
		"blocked":                            {nil, []string{"2001:db8::/32"}, "2001:db8::1", false},
		"not blocked":                        {nil, []string{"2001:db8::/32"}, "2001:db9::1", true},
		"blocked among the allowed":          {[]string{"192.0.2.0/24"}, []string{"192.0.2.7"}, "192.0.2.7", false},
		"unknown, while some are blocked":    {nil, []string{"192.0.2.7"}, "", false},
		"a network with bits beyond its end": {[]string{"192.0.2.99/24"}, nil, "192.0.2.1", true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			n, err := newNetworks(Networks{Allow: tc.allow, Block: tc.block})
			if err != nil {
				t.Fatal(err)
			}
			var a netip.Addr
			if tc.address != "" {
				a = netip.MustParseAddr(tc.address)
			}
			if n.permits(a) != tc.want {
				t.Errorf("%s may come: %t", tc.address, !tc.want)
			}
		})
	}
	for _, text := range []string{"", "10.0.0.0/33", "::ffff:10.0.0.0/104", "host", "fe80::1%eth0"} {
		if _, err := newNetworks(Networks{Allow: []string{text}}); err == nil {
			t.Errorf("%q is taken for a network", text)
		}
	}
}

// FuzzForwarded lets clients write what they want before what a trusted proxy appends: it must not change the outcome.
func FuzzForwarded(f *testing.F) {
	for _, seed := range []string{"", "1.1.1.1", `"`, `for="`, `for="\`, "for=[::1", ",,,", "unknown;", "10.0.0.1", "for=10.0.0.1;for=1.1.1.1"} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, text string, rfc bool) {
		header, appended := XForwardedFor, "192.0.2.7"
		if rfc {
			header, appended = Forwarded, "for=192.0.2.7"
		}
		n, err := newNetworks(Networks{Proxies: []string{"10.0.0.0/8"}, Header: header})
		if err != nil {
			t.Fatal(err)
		}
		r := &http.Request{RemoteAddr: "10.0.0.1:1", Header: http.Header{}}
		r.Header.Add(header, text+", "+appended)
		if got := n.client(r).String(); got != "192.0.2.7" {
			t.Fatalf("%q before the proxy's entry makes the client %s", text, got)
		}
		r.Header.Set(header, text)
		n.client(r)
	})
}
