package server

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestKeysChangeUnderStreams rotates the keys while fifty clients stream: whose key is in every version never notices, and
// a key that was taken out is refused after a second.
func TestKeysChangeUnderStreams(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	write := func(round int) {
		t.Helper()
		text := fmt.Sprintf(`{"keys":[{"identity":"client","key":"stays"},{"identity":"client","key":"round-%d"}]}`, round)
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	write(0)
	var passed atomic.Int64
	f := newFixture(t, says(hello), func(c *Config) {
		c.Options.APIKeyFile = path
		c.Now = func() time.Time { return at.Add(time.Duration(passed.Load())) }
	})
	stop := make(chan struct{})
	var clients sync.WaitGroup
	var answers atomic.Int64
	for range 50 {
		clients.Go(func() {
			for {
				if err := streamOnce(t, f.url); err != nil {
					t.Error(err)
					return
				}
				answers.Add(1)
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	for round := 1; round <= 10; round++ {
		write(round)
		passed.Add(int64(time.Second))
		for key, want := range map[string]int{fmt.Sprint("round-", round-1): 401, fmt.Sprint("round-", round): 200} {
			if got := f.do(t, http.MethodGet, "/v1/models", "", "Authorization", "Bearer "+key); got.status != want {
				t.Errorf("round %d: %s gets %d, want %d", round, key, got.status, want)
			}
		}
	}
	close(stop)
	clients.Wait()
	if n := answers.Load(); n < 50 {
		t.Errorf("only %d streams ended", n)
	}
}

func streamOnce(t *testing.T, url string) error {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/chat/completions", strings.NewReader(ask(`,"stream":true`)))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer stays")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && !strings.HasSuffix(string(body), "data: [DONE]\n\n") {
		err = fmt.Errorf("status %d: %s", response.StatusCode, body)
	}
	return err
}
