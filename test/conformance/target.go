package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gptoss/gptoss-operator/test/process"
)

// life bounds the servers, whatever happens here.
const life = 30 * time.Minute

// target is the server that is asked.
type target struct {
	url     string // with /v1
	limited string // of a server with room for one request and one that waits; "" where there is none
	key     string
	model   string
	started []*process.Server
}

// own reports whether the servers were started for this.
func (t *target) own() bool { return len(t.started) > 0 }

// open starts servers, or takes the one that the endpoint names, and finds out its model.
func open(ctx context.Context, s settings) (t *target, err error) {
	t = &target{key: s.key, model: s.model}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.close())
		}
	}()
	if s.endpoint != "" {
		if t.url, err = baseURL(s.endpoint); err != nil {
			return t, err
		}
	} else if err = t.start(ctx, s.server); err != nil {
		return t, err
	}
	if t.model == "" {
		t.model, err = t.firstModel(ctx)
	}
	return t, err
}

// start runs a server with room, and one that is quickly full.
func (t *target) start(ctx context.Context, binary string) error {
	t.key = "sk-" + rand.Text()
	for address, room := range map[*string][]string{&t.url: nil, &t.limited: {"--max-sequences=1", "--max-queue=1"}} {
		s, err := process.Start(ctx, binary, life, append([]string{"--api-key=" + t.key}, room...)...)
		if err != nil {
			return err
		}
		t.started = append(t.started, s)
		*address = s.URL + "/v1"
	}
	return nil
}

func (t *target) close() error {
	var errs []error
	for _, s := range t.started {
		errs = append(errs, s.Stop())
	}
	return errors.Join(errs...)
}

// baseURL is what libraries call so: the URL with the version in its path.
func baseURL(endpoint string) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("the endpoint %q is not a URL such as https://example.org/v1", endpoint)
	}
	u.Path = strings.TrimRight(u.Path, "/")
	if u.Path == "" {
		u.Path = "/v1"
	}
	return u.String(), nil
}

// firstModel asks the server what it serves.
func (t *target) firstModel(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url+"/models", http.NoBody)
	if err != nil {
		return "", err
	}
	r.Header.Set("Authorization", "Bearer "+t.key)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return "", err
	}
	var list struct{ Data []struct{ ID string } }
	if answer.StatusCode != http.StatusOK || json.Unmarshal(body, &list) != nil || len(list.Data) == 0 {
		return "", fmt.Errorf("%s/models: status %d and no list of models; name one with --model", t.url, answer.StatusCode)
	}
	return list.Data[0].ID, nil
}
