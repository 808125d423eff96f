// Package pki makes the certificates and kubeconfig files of a local cluster.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// lifetime is long enough for a local cluster, which is made anew at every up.
const lifetime = 365 * 24 * time.Hour

// user is somebody who has a kubeconfig.
type user struct{ file, name, group string }

func users(node string) []user {
	return []user{
		{"admin", "admin", "system:masters"},
		{"controller-manager", "system:kube-controller-manager", ""},
		{"scheduler", "system:kube-scheduler", ""},
		{"proxy", "system:kube-proxy", ""},
		{"kubelet", "system:node:" + node, "system:nodes"},
	}
}

// pair is a certificate and its key.
type pair struct {
	cert    *x509.Certificate
	key     *ecdsa.PrivateKey
	certPEM []byte
	keyPEM  []byte
}

// subject is what a certificate is to say.
type subject struct {
	name, group string
	hosts       []string // IP addresses and DNS names
	authority   bool
}

// Write fills dir with authorities, certificates and kubeconfig files for the
// API server at url, which answers to the given hosts, and for a node's name.
func Write(dir, url, node string, hosts []string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("pki: %w", err)
	}
	ca, err := issue(nil, subject{name: "gptoss-cluster", authority: true})
	if err != nil {
		return err
	}
	front, err := issue(nil, subject{name: "gptoss-cluster-front-proxy", authority: true})
	if err != nil {
		return err
	}
	// Whoever holds a certificate of etcd's authority may read and write the
	// database past the API server, so nobody else's comes from there.
	store, err := issue(nil, subject{name: "gptoss-cluster-etcd", authority: true})
	if err != nil {
		return err
	}
	for name, authority := range map[string]*pair{"ca": ca, "front-proxy-ca": front, "etcd-ca": store} {
		if err := authority.save(dir, name); err != nil {
			return err
		}
	}
	names := append([]string{
		"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
		"kubernetes.default.svc.cluster.local",
	}, hosts...)
	for _, c := range []struct {
		file string
		by   *pair
		s    subject
	}{
		{"apiserver", ca, subject{name: "kube-apiserver", hosts: names}},
		{"etcd", store, subject{name: "etcd", hosts: []string{"127.0.0.1", "localhost"}}},
		{"admin", ca, subject{name: "admin", group: "system:masters"}},
		{"apiserver-kubelet-client", ca, subject{name: "kube-apiserver-kubelet-client", group: "system:masters"}},
		{"front-proxy-client", front, subject{name: "front-proxy-client"}},
		{"sa", ca, subject{name: "service-accounts"}},
	} {
		p, err := issue(c.by, c.s)
		if err != nil {
			return err
		}
		if err := p.save(dir, c.file); err != nil {
			return err
		}
	}
	return kubeconfigs(dir, url, node, ca)
}

func kubeconfigs(dir, url, node string, ca *pair) error {
	for _, u := range users(node) {
		p, err := issue(ca, subject{name: u.name, group: u.group})
		if err != nil {
			return err
		}
		path := filepath.Join(dir, u.file+".kubeconfig")
		if err := os.WriteFile(path, kubeconfig(url, ca.certPEM, p), 0o600); err != nil {
			return fmt.Errorf("pki: %w", err)
		}
	}
	return nil
}

func issue(ca *pair, s subject) (*pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("pki: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("pki: %w", err)
	}
	t := template(s, serial)
	parent, signer := t, key
	if ca != nil {
		parent, signer = ca.cert, ca.key
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("pki: %s: %w", s.name, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("pki: %s: %w", s.name, err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("pki: %s: %w", s.name, err)
	}
	return &pair{
		cert: cert, key: key,
		certPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		keyPEM:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}),
	}, nil
}

func template(s subject, serial *big.Int) *x509.Certificate {
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: s.name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(lifetime),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	if s.group != "" {
		t.Subject.Organization = []string{s.group}
	}
	if s.authority {
		t.IsCA, t.KeyUsage, t.ExtKeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature, nil
	}
	for _, host := range s.hosts {
		if ip := net.ParseIP(host); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, host)
		}
	}
	return t
}

func (p *pair) save(dir, name string) error {
	for suffix, data := range map[string][]byte{".crt": p.certPEM, ".key": p.keyPEM} {
		if err := os.WriteFile(filepath.Join(dir, name+suffix), data, 0o600); err != nil {
			return fmt.Errorf("pki: %w", err)
		}
	}
	return nil
}

func kubeconfig(url string, ca []byte, p *pair) []byte {
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
current-context: gptoss-cluster
clusters:
- name: gptoss-cluster
  cluster: {server: %q, certificate-authority-data: %s}
users:
- name: %[3]s
  user: {client-certificate-data: %[4]s, client-key-data: %[5]s}
contexts:
- name: gptoss-cluster
  context: {cluster: gptoss-cluster, user: %[3]s}
`, url, b64(ca), fmt.Sprintf("%q", p.cert.Subject.CommonName), b64(p.certPEM), b64(p.keyPEM))
}
