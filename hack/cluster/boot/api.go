package boot

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/gptoss/gptoss-operator/hack/cluster/component"
)

// bodyLimit bounds an answer of the API server, in bytes.
const bodyLimit = 4 << 20

// api asks the API server as the administrator.
type api struct {
	url    string
	client *http.Client
}

func newAPI(c component.Cluster) (*api, error) {
	cert, err := tls.LoadX509KeyPair(c.Dir.PKI("admin.crt"), c.Dir.PKI("admin.key"))
	if err != nil {
		return nil, fmt.Errorf("boot: %w", err)
	}
	ca, err := os.ReadFile(c.Dir.PKI("ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("boot: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("boot: ca.crt holds no certificate")
	}
	return &api{url: c.URL(), client: &http.Client{
		Timeout: 5 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{
			Certificates: []tls.Certificate{cert}, RootCAs: roots, MinVersion: tls.VersionTLS13,
		}},
	}}, nil
}

func (a *api) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	res, err := a.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, bodyLimit))
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s: %.300s", path, res.Status, strings.TrimSpace(string(body)))
	}
	return body, nil
}

// exists waits for an object to be there.
func (a *api) exists(path string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := a.get(ctx, path)
		return err
	}
}

// condition waits for a condition of an object to be True.
func (a *api) condition(path, kind string) func(context.Context) error {
	return func(ctx context.Context) error {
		body, err := a.get(ctx, path)
		if err != nil {
			return err
		}
		return hasCondition(body, kind)
	}
}

func hasCondition(body []byte, kind string) error {
	var object struct {
		Status struct {
			Conditions []struct{ Type, Status, Reason, Message string }
		}
	}
	if err := json.Unmarshal(body, &object); err != nil {
		return err
	}
	for _, c := range object.Status.Conditions {
		if c.Type == kind && c.Status == "True" {
			return nil
		}
		if c.Type == kind {
			return fmt.Errorf("%s is %s: %s: %s", kind, c.Status, c.Reason, c.Message)
		}
	}
	return fmt.Errorf("%s is not known yet", kind)
}
