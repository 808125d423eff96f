package pki

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

func write(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "pki")
	if err := Write(dir, "https://198.18.0.1:6443", "node-a", []string{"198.18.0.1", "198.19.0.1"}); err != nil {
		t.Fatal(err)
	}
	return dir
}

func leaf(t *testing.T, dir, name string) *x509.Certificate {
	t.Helper()
	p, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key"))
	if err != nil {
		t.Fatal(err)
	}
	return p.Leaf
}

func TestWriteChains(t *testing.T) {
	dir := write(t)
	cases := map[string]struct {
		cert, authority, host string
		wantValid             bool
	}{
		"the API server answers to its address":               {"apiserver", "ca", "198.18.0.1", true},
		"the API server answers to its service's address":     {"apiserver", "ca", "198.19.0.1", true},
		"the API server answers to its service's name":        {"apiserver", "ca", "kubernetes.default.svc", true},
		"the API server answers to no other name":             {"apiserver", "ca", "example.com", false},
		"etcd has an authority of its own":                    {"etcd", "etcd-ca", "127.0.0.1", true},
		"the cluster's authority does not vouch for etcd":     {"etcd", "ca", "127.0.0.1", false},
		"the cluster's authority is none for etcd's clients":  {"admin", "etcd-ca", "", false},
		"the front proxy has an authority of its own":         {"front-proxy-client", "front-proxy-ca", "", true},
		"the cluster's authority is none for the front proxy": {"front-proxy-client", "ca", "", false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			roots := x509.NewCertPool()
			roots.AddCert(leaf(t, dir, tc.authority))
			_, err := leaf(t, dir, tc.cert).Verify(x509.VerifyOptions{
				Roots: roots, DNSName: tc.host, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
			})
			if gotValid := err == nil; gotValid != tc.wantValid {
				t.Errorf("valid = %v, want %v: %v", gotValid, tc.wantValid, err)
			}
		})
	}
}

func TestWriteKubeconfigs(t *testing.T) {
	dir := write(t)
	cases := map[string]struct {
		file, wantName string
		wantGroups     []string
	}{
		"the administrator is in the group of masters": {"admin", "admin", []string{"system:masters"}},
		"the kubelet is its node":                      {"kubelet", "system:node:node-a", []string{"system:nodes"}},
		"the scheduler is itself":                      {"scheduler", "system:kube-scheduler", nil},
	}
	embedded := regexp.MustCompile(`client-certificate-data: ([A-Za-z0-9+/=]+), client-key-data: ([A-Za-z0-9+/=]+)`)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join(dir, tc.file+".kubeconfig"))
			if err != nil {
				t.Fatal(err)
			}
			match := embedded.FindStringSubmatch(string(data))
			if match == nil {
				t.Fatalf("no credentials in\n%s", data)
			}
			cert, errCert := base64.StdEncoding.DecodeString(match[1])
			key, errKey := base64.StdEncoding.DecodeString(match[2])
			if errCert != nil || errKey != nil {
				t.Fatal(errCert, errKey)
			}
			pair, err := tls.X509KeyPair(cert, key)
			if err != nil {
				t.Fatal(err)
			}
			if got := pair.Leaf.Subject.CommonName; got != tc.wantName {
				t.Errorf("name = %q, want %q", got, tc.wantName)
			}
			if got := pair.Leaf.Subject.Organization; !slices.Equal(got, tc.wantGroups) {
				t.Errorf("groups = %q, want %q", got, tc.wantGroups)
			}
		})
	}
}

func TestWriteKeepsKeysPrivate(t *testing.T) {
	dir := write(t)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) == 0 {
		t.Fatal("nothing was written")
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", e.Name(), info.Mode().Perm())
		}
	}
}
