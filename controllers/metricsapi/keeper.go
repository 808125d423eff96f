package metricsapi

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gptoss/gptoss-operator/controllers/resources"
)

const (
	// lookSoon is how often a replica without a certificate looks for it, lookAgain how often one that has one does.
	lookSoon  = 2 * time.Second
	lookAgain = 30 * time.Second

	bundleEntry = "ca.crt"
	secretLimit = 64 << 10
)

// Keeper keeps the serving certificate, which lies in a Secret so that all replicas serve the same. Every replica reads
// it; only the leader, through ensure, writes.
type Keeper struct {
	// Live reads the Secret: no cache shall hold it.
	Live client.Reader

	// Writer writes it.
	Writer client.Writer

	// Service is the Service that the certificate is for. The Secret is named after it.
	Service types.NamespacedName

	// Now is the time.
	Now func() time.Time

	current atomic.Pointer[pair]
	next    *pair // made, but not to be served before kube-apiserver knows its authority; the leader's
}

func (k *Keeper) secretKey() types.NamespacedName {
	return types.NamespacedName{Namespace: k.Service.Namespace, Name: k.Service.Name + "-tls"}
}

// serverName is the name by which kube-apiserver calls a Service.
func (k *Keeper) serverName() string { return k.Service.Name + "." + k.Service.Namespace + ".svc" }

// Certificate is for tls.Config.
func (k *Keeper) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if p := k.current.Load(); p != nil {
		return &p.certificate, nil
	}
	return nil, errNoCertificate
}

// Follow reads the Secret again and again until the context ends.
func (k *Keeper) Follow(ctx context.Context) {
	for ctx.Err() == nil {
		if _, err := k.load(ctx); err != nil && ctx.Err() == nil {
			ctrl.LoggerFrom(ctx).V(1).Info("serving certificate of the metrics API not read", "secret", k.secretKey(), "error", err.Error())
		}
		interval := lookAgain
		if k.current.Load() == nil {
			interval = lookSoon
		}
		_ = wait.PollUntilContextTimeout(ctx, interval, interval, false, func(context.Context) (bool, error) { return true, nil })
	}
}

// load reads the Secret and serves what is in it, if that can be served. It returns the Secret, or nil when there is none.
func (k *Keeper) load(ctx context.Context) (*corev1.Secret, error) {
	secret := &corev1.Secret{}
	if err := k.Live.Get(ctx, k.secretKey(), secret); apierrors.IsNotFound(err) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("metricsapi: read Secret %q: %w", k.secretKey(), err)
	}
	chain, key, bundle := secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey], secret.Data[bundleEntry]
	if len(chain)+len(key)+len(bundle) > secretLimit {
		return secret, fmt.Errorf("metricsapi: Secret %q is too large", k.secretKey())
	}
	p, err := parsePair(chain, key, bundle, k.serverName(), k.Now())
	if err != nil {
		return secret, err
	}
	k.current.Store(p)
	return secret, nil
}

// ensure sees to it that there is a certificate that is not about to end, and returns the authorities that kube-apiserver
// must know. published are those that it knows already: a new certificate is served only after its authority is among
// them, and the old authority stays for replicas that still serve the old one. Only one goroutine may call it.
func (k *Keeper) ensure(ctx context.Context, published []byte) ([]byte, error) {
	before := k.current.Load()
	secret, err := k.load(ctx)
	if secret == nil && err != nil {
		return nil, err
	}
	now := k.Now()
	usable := secret != nil && err == nil
	current := k.current.Load()
	switch {
	case usable && !current.due(now):
		k.next = nil
		return current.bundle, nil
	case !usable:
		// Nothing that other replicas could go on with: there is nobody to wait for.
		fresh, err := newPair(k.serverName(), now)
		if err != nil {
			return nil, err
		}
		return k.store(ctx, secret, fresh.trusting(before))
	case k.next == nil:
		if k.next, err = newPair(k.serverName(), now); err != nil {
			return nil, err
		}
	}
	next := k.next.trusting(current)
	if !bytes.Contains(published, next.authority()) {
		return next.bundle, nil
	}
	return k.store(ctx, secret, next)
}

// store writes a pair into the Secret and serves it. A conflict means that another leader was faster.
func (k *Keeper) store(ctx context.Context, old *corev1.Secret, p *pair) ([]byte, error) {
	key := k.secretKey()
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name},
		Type:       corev1.SecretTypeTLS,
	}
	if old != nil {
		secret = old.DeepCopy()
	}
	if secret.Labels == nil {
		secret.Labels = map[string]string{}
	}
	secret.Labels[resources.LabelPartOf] = resources.PartOf
	secret.Data = map[string][]byte{corev1.TLSCertKey: p.chain, corev1.TLSPrivateKeyKey: p.key, bundleEntry: p.bundle}
	var err error
	if old == nil {
		err = k.Writer.Create(ctx, secret)
	} else {
		err = k.Writer.Update(ctx, secret)
	}
	if err != nil {
		return nil, fmt.Errorf("metricsapi: write Secret %q: %w", key, err)
	}
	k.next = nil
	k.current.Store(p)
	return p.bundle, nil
}
