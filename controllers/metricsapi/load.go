package metricsapi

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gptoss/gptoss-operator/controllers/resources"
)

const (
	// freshness is how long a reading answers later questions: an autoscaler asks every 15 seconds, several may at once.
	freshness = time.Second

	// readTimeout bounds one pod's answer. A server answers without taking a lock; who does not within a second is in trouble.
	readTimeout = time.Second

	// queueTimeout bounds how long a reading waits for its turn.
	queueTimeout = 3 * time.Second

	// maxReads is how many pods are read at once.
	maxReads = 32

	// forgetAfter is when the reading of a pod that nobody asks for is dropped.
	forgetAfter = time.Minute

	metricsPath = "/metrics"
)

// Reading is what a pod said of its load.
type Reading struct {
	Active int64 // requests accepted and not ended
	At     time.Time
	Err    error // why Active is not known
}

// Loads reads the active requests of pods from the pods themselves, when asked and not otherwise. It is safe for use by
// many goroutines.
type Loads struct {
	client *http.Client
	now    func() time.Time
	turns  chan struct{}

	mu       sync.Mutex
	readings map[types.UID]*read
	swept    time.Time
}

// read is a reading under way or done.
type read struct {
	started time.Time
	done    chan struct{} // closed when the rest is set
	Reading
}

// NewLoads makes a reader of loads.
func NewLoads() *Loads {
	transport := &http.Transport{
		// No proxy of the environment: pods are reached directly, as the kubelet does for their probes. As there, a pod's
		// certificate proves nothing that its address does not.
		TLSClientConfig:        &tls.Config{InsecureSkipVerify: true},
		DialContext:            (&net.Dialer{Timeout: readTimeout}).DialContext,
		DisableCompression:     true,
		MaxIdleConns:           512,
		MaxIdleConnsPerHost:    1,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
	return &Loads{
		client: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		now:      time.Now,
		turns:    make(chan struct{}, maxReads),
		readings: map[types.UID]*read{},
	}
}

// Of reads the pods and returns a reading for each, in order. It ends early with the context.
func (l *Loads) Of(ctx context.Context, pods []corev1.Pod) []Reading {
	started := make([]*read, len(pods))
	for i := range pods {
		started[i] = l.start(&pods[i])
	}
	out := make([]Reading, len(pods))
	for i, r := range started {
		select {
		case <-r.done:
			out[i] = r.Reading
		case <-ctx.Done():
			out[i].Err = ctx.Err()
		}
	}
	return out
}

// start returns a fresh reading of the pod, if need be one that begins now.
func (l *Loads) start(pod *corev1.Pod) *read {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if now.Sub(l.swept) > forgetAfter {
		for uid, r := range l.readings {
			if now.Sub(r.started) > forgetAfter {
				delete(l.readings, uid)
			}
		}
		l.swept = now
	}
	if r := l.readings[pod.UID]; r != nil && now.Sub(r.started) < freshness {
		return r
	}
	r := &read{started: now, done: make(chan struct{})}
	l.readings[pod.UID] = r
	address, err := metricsURL(pod)
	if err != nil {
		r.Err = err
		close(r.done)
		return r
	}
	go func() {
		defer close(r.done)
		r.Active, r.Err = l.read(address)
		r.At = l.now()
	}()
	return r
}

// read asks one pod. The context is its own: others may wait for the same reading.
func (l *Loads) read(address string) (int64, error) {
	turn := time.NewTimer(queueTimeout)
	defer turn.Stop()
	select {
	case l.turns <- struct{}{}:
		defer func() { <-l.turns }()
	case <-turn.C:
		return 0, fmt.Errorf("metricsapi: too many pods answer slowly")
	}
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, fmt.Errorf("metricsapi: %w", err)
	}
	request.Header.Set("Accept", "text/plain; version=0.0.4")
	request.Header.Set("User-Agent", "gptoss-operator")
	response, err := l.client.Do(request)
	if err != nil {
		return 0, fmt.Errorf("metricsapi: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("metricsapi: the pod's metrics: %s", response.Status)
	}
	return active(response.Body)
}

// metricsURL is where a pod shows its metrics: at the port, and with the scheme, of its readiness probe, since servers
// other than ours have ports of their own.
func metricsURL(pod *corev1.Pod) (string, error) {
	if net.ParseIP(pod.Status.PodIP) == nil {
		return "", fmt.Errorf("metricsapi: pod %q has no address yet", pod.Name)
	}
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		if c.Name != resources.ContainerName {
			continue
		}
		scheme, port := "http", portOf(c, resources.PortName)
		if p := c.ReadinessProbe; p != nil && p.HTTPGet != nil {
			if p.HTTPGet.Scheme != "" {
				scheme = strings.ToLower(string(p.HTTPGet.Scheme))
			}
			if number := p.HTTPGet.Port.IntVal; number > 0 {
				port = number
			} else if p.HTTPGet.Port.StrVal != "" {
				port = portOf(c, p.HTTPGet.Port.StrVal)
			}
		}
		if port > 0 {
			u := url.URL{Scheme: scheme, Host: net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(int(port))), Path: metricsPath}
			return u.String(), nil
		}
	}
	return "", fmt.Errorf("metricsapi: pod %q has no container %q with a port", pod.Name, resources.ContainerName)
}

func portOf(c *corev1.Container, name string) int32 {
	for _, p := range c.Ports {
		if p.Name == name {
			return p.ContainerPort
		}
	}
	return 0
}
