package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
)

const (
	// dialTimeout bounds how long opening a way to a pod may take.
	dialTimeout = 15 * time.Second

	// maxRefusal bounds what is read of a refusal.
	maxRefusal = 4096
)

// Tunnel is a way to one pod through the API server. It opens no local port: only this process can use it.
type Tunnel struct {
	// HTTP sends every request to the pod, whatever its host.
	HTTP *http.Client

	conn httpstream.Connection
	port int
	mu   sync.Mutex
	next int
}

// Tunnel opens a way to the pod's port of HTTP.
func (c *Cluster) Tunnel(ctx context.Context, p *corev1.Pod) (*Tunnel, error) {
	dialer, err := c.dialer(p)
	if err != nil {
		return nil, fmt.Errorf("pod %s: %w", p.Name, err)
	}
	type opened struct {
		conn httpstream.Connection
		err  error
	}
	done := make(chan opened, 1)
	go func() { // the library's Dial takes no context
		conn, _, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
		done <- opened{conn, err}
	}()
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	select {
	case o := <-done:
		if o.err != nil {
			return nil, fmt.Errorf("pod %s cannot be reached through the API server: %w", p.Name, o.err)
		}
		t := &Tunnel{conn: o.conn, port: port(p)}
		t.HTTP = &http.Client{Transport: &http.Transport{DialContext: t.dial, DisableCompression: true, MaxIdleConnsPerHost: 64}}
		return t, nil
	case <-ctx.Done():
		go func() {
			if o := <-done; o.conn != nil {
				_ = o.conn.Close() // nobody wants it any more
			}
		}()
		return nil, fmt.Errorf("pod %s cannot be reached through the API server: %w", p.Name, context.Cause(ctx))
	}
}

// dialer prefers WebSockets, as kubectl does, and falls back to SPDY where an API server or proxy is older.
func (c *Cluster) dialer(p *corev1.Pod) (httpstream.Dialer, error) {
	url := c.core.Post().Resource("pods").Namespace(p.Namespace).Name(p.Name).SubResource("portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(c.config)
	if err != nil {
		return nil, err
	}
	old := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, url)
	modern, err := portforward.NewSPDYOverWebsocketDialerForStreaming(url, c.config)
	if err != nil {
		return nil, err
	}
	return portforward.NewFallbackDialerForStreaming(modern, old, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	}), nil
}

// defaultPort is where every runtime's server listens unless its container says otherwise.
const defaultPort = 8000

func port(p *corev1.Pod) int {
	for _, c := range p.Spec.Containers {
		for _, port := range c.Ports {
			if port.Name == "http" {
				return int(port.ContainerPort)
			}
		}
	}
	return defaultPort
}

// URL is the address of a path, for HTTP.
func (t *Tunnel) URL(path string) string { return "http://pod" + path }

// Close ends the tunnel and all that goes through it.
func (t *Tunnel) Close() { _ = t.conn.Close() } // what it carried has been read or is not wanted

// dial opens one connection inside the tunnel: a stream for data, and one on which the kubelet says what went wrong.
func (t *Tunnel) dial(context.Context, string, string) (net.Conn, error) {
	t.mu.Lock()
	id := t.next
	t.next++
	t.mu.Unlock()
	headers := http.Header{}
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	headers.Set(corev1.PortHeader, strconv.Itoa(t.port))
	headers.Set(corev1.PortForwardRequestIDHeader, strconv.Itoa(id))
	refusals, err := t.conn.CreateStream(headers)
	if err != nil {
		return nil, fmt.Errorf("way to the pod: %w", err)
	}
	_ = refusals.Close() // nothing is sent on it
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := t.conn.CreateStream(headers)
	if err != nil {
		t.conn.RemoveStreams(refusals)
		return nil, fmt.Errorf("way to the pod: %w", err)
	}
	s := &stream{Stream: data, tunnel: t, refusals: refusals, refused: make(chan struct{})}
	go s.listen()
	return s, nil
}

// stream is one connection to the pod.
type stream struct {
	httpstream.Stream
	tunnel   *Tunnel
	refusals httpstream.Stream
	refused  chan struct{} // closed when err is set
	err      error
	once     sync.Once
}

// listen waits for the kubelet to say that the pod's port cannot be reached, which it says nowhere else.
func (s *stream) listen() {
	text, _ := io.ReadAll(io.LimitReader(s.refusals, maxRefusal)) // a lost connection ends the data as well
	if len(text) > 0 {
		s.err = errors.New(string(text))
		close(s.refused)
		_ = s.Reset() // wakes Read
	}
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.Stream.Read(p)
	if err != nil {
		select {
		case <-s.refused:
			return n, s.err
		default:
		}
	}
	return n, err
}

// Close ends the connection in both directions.
func (s *stream) Close() error {
	s.once.Do(func() {
		_ = s.Reset() // the other side may still send
		_ = s.refusals.Reset()
		s.tunnel.conn.RemoveStreams(s.Stream, s.refusals)
	})
	return nil
}

type address struct{}

func (address) Network() string { return "kubernetes" }
func (address) String() string  { return "pod" }

// What net.Conn asks for beyond a stream. Deadlines are not needed: requests have contexts, which close the connection.
func (s *stream) LocalAddr() net.Addr              { return address{} }
func (s *stream) RemoteAddr() net.Addr             { return address{} }
func (s *stream) SetDeadline(time.Time) error      { return nil }
func (s *stream) SetReadDeadline(time.Time) error  { return nil }
func (s *stream) SetWriteDeadline(time.Time) error { return nil }
