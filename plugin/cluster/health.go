package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const (
	// healthTimeout bounds how long a table waits for one pod.
	healthTimeout = 5 * time.Second

	maxHealth = 64 << 10
)

// Health is what a pod says of itself.
type Health struct {
	Status         string  `json:"status"`
	Reason         string  `json:"reason,omitempty"`
	Model          string  `json:"model,omitempty"`
	Version        string  `json:"version,omitempty"`
	MemoryUsageGB  float64 `json:"memory_usage_gb"`
	ActiveRequests int     `json:"active_requests"`
}

// Health asks a pod how it is, through the API server's proxy: that takes the right to get pods/proxy. Where it is denied the
// way of port-forward is taken. A server of another kind, which answers something else, is an error.
func (c *Cluster) Health(ctx context.Context, p *corev1.Pod) (Health, error) {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	body, err := c.core.Get().Namespace(p.Namespace).Resource("pods").Name(fmt.Sprintf("http:%s:%d", p.Name, port(p))).SubResource("proxy").Suffix("v1/health").DoRaw(ctx)
	if err != nil {
		if body, err = c.healthByTunnel(ctx, p); err != nil {
			return Health{}, err
		}
	}
	return parseHealth(p.Name, body)
}

func (c *Cluster) healthByTunnel(ctx context.Context, p *corev1.Pod) ([]byte, error) {
	t, err := c.Tunnel(ctx, p)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.URL("/v1/health"), nil)
	if err != nil {
		return nil, err
	}
	res, err := t.HTTP.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return io.ReadAll(io.LimitReader(res.Body, maxHealth))
}

func parseHealth(pod string, body []byte) (Health, error) {
	var h Health
	if len(body) > maxHealth {
		return h, fmt.Errorf("pod %s: its health is too long to be one", pod)
	}
	if err := json.Unmarshal(body, &h); err != nil || h.Status == "" {
		return Health{}, fmt.Errorf("pod %s does not tell its health as gptoss-server does", pod)
	}
	return h, nil
}
