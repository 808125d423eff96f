package metricsapi

import (
	"bytes"
	"crypto/x509"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// accepts reports whether a kube-apiserver that knows the bundle would talk to the keeper's server.
func accepts(t *testing.T, bundle []byte, k *Keeper, at time.Time) bool {
	t.Helper()
	certificate, err := k.Certificate(nil)
	if err != nil {
		return false
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	_, err = certificate.Leaf.Verify(x509.VerifyOptions{DNSName: k.serverName(), Roots: roots, CurrentTime: at})
	return err == nil
}

func ensure(t *testing.T, k *Keeper, published []byte) []byte {
	t.Helper()
	bundle, err := k.ensure(t.Context(), published)
	if err != nil {
		t.Fatal(err)
	}
	return bundle
}

func follow(t *testing.T, k *Keeper) {
	t.Helper()
	if _, err := k.load(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestRotationLosesNoRequest walks through a renewal step by step: at each, kube-apiserver accepts both replicas.
func TestRotationLosesNoRequest(t *testing.T) {
	at, c := newClock(testStart), newClient(t)
	leader := &Keeper{Live: c, Writer: c, Service: testService, Now: at.now}
	follower := &Keeper{Live: c, Writer: c, Service: testService, Now: at.now}
	if _, err := follower.Certificate(nil); err == nil {
		t.Error("a replica without a certificate serves one")
	}
	published := ensure(t, leader, nil)
	follow(t, follower)
	check := func(when string) {
		t.Helper()
		if !accepts(t, published, leader, at.now()) || !accepts(t, published, follower, at.now()) {
			t.Errorf("%s, kube-apiserver would not talk to a replica", when)
		}
	}
	check("at first")
	serial := leader.current.Load().certificate.Leaf.SerialNumber
	at.advance(lifetime - renewBefore - time.Hour)
	if again := ensure(t, leader, published); !bytes.Equal(again, published) || leader.current.Load().certificate.Leaf.SerialNumber.Cmp(serial) != 0 {
		t.Error("a certificate was renewed before its time")
	}

	at.advance(2 * time.Hour)
	announced := ensure(t, leader, published)
	if bytes.Equal(announced, published) || leader.current.Load().certificate.Leaf.SerialNumber.Cmp(serial) != 0 {
		t.Error("a new certificate must be announced before it is served")
	}
	if again := ensure(t, leader, published); !bytes.Equal(again, announced) {
		t.Error("while the announcement is not heard, it must stay the same")
	}
	published = announced
	check("announced")
	published = ensure(t, leader, published)
	if leader.current.Load().certificate.Leaf.SerialNumber.Cmp(serial) == 0 {
		t.Fatal("the new certificate is not served")
	}
	check("with one replica ahead of the other")
	follow(t, follower)
	check("with both on the new one")
	if again := ensure(t, leader, published); !bytes.Equal(again, published) {
		t.Error("the renewal does not come to rest")
	}
}

func TestKeeperRecovers(t *testing.T) {
	for name, damage := range map[string]func(*testing.T, client.Client, *corev1.Secret, *clock){
		"from a Secret that is gone": func(t *testing.T, c client.Client, s *corev1.Secret, _ *clock) {
			if err := c.Delete(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		},
		"from a Secret that was emptied": func(t *testing.T, c client.Client, s *corev1.Secret, _ *clock) {
			s.Data = nil
			if err := c.Update(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		},
		"from a Secret of nonsense": func(t *testing.T, c client.Client, s *corev1.Secret, _ *clock) {
			s.Data["tls.crt"] = bytes.Repeat([]byte("x"), secretLimit+1)
			if err := c.Update(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		},
		"from a certificate that has ended": func(_ *testing.T, _ client.Client, _ *corev1.Secret, at *clock) { at.advance(2 * lifetime) },
	} {
		t.Run(name, func(t *testing.T) {
			at, c := newClock(testStart), newClient(t)
			k := &Keeper{Live: c, Writer: c, Service: testService, Now: at.now}
			published := ensure(t, k, nil)
			secret := &corev1.Secret{}
			if err := c.Get(t.Context(), k.secretKey(), secret); err != nil {
				t.Fatal(err)
			}
			damage(t, c, secret, at)
			published = ensure(t, k, published)
			if !accepts(t, published, k, at.now()) {
				t.Error("kube-apiserver would not talk to the replica")
			}
			other := &Keeper{Live: c, Writer: c, Service: testService, Now: at.now}
			follow(t, other)
			if !accepts(t, published, other, at.now()) {
				t.Error("another replica does not serve the same")
			}
		})
	}
}

// TestLeaderChangeInMidRotation: a certificate that the old leader announced and never served is forgotten.
func TestLeaderChangeInMidRotation(t *testing.T) {
	at, c := newClock(testStart), newClient(t)
	first := &Keeper{Live: c, Writer: c, Service: testService, Now: at.now}
	ensure(t, first, nil)
	at.advance(lifetime - renewBefore + time.Hour)
	published := ensure(t, first, nil)
	second := &Keeper{Live: c, Writer: c, Service: testService, Now: at.now}
	for range 2 {
		published = ensure(t, second, published)
	}
	if !accepts(t, published, second, at.now()) || second.current.Load().due(at.now()) {
		t.Error("the new leader has not finished the renewal")
	}
	if n := bytes.Count(published, []byte("BEGIN CERTIFICATE")); n != 2 {
		t.Errorf("%d authorities are known, want the new one and the last one", n)
	}
}
