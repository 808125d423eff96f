//go:build linux

package limits

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// store is a Redis process.
type store struct {
	program, address string
	process          *exec.Cmd
}

// newStore starts Redis on a free port and ends it with the test.
func newStore(t *testing.T) *store {
	t.Helper()
	program := os.Getenv("GPTOSS_TEST_REDIS")
	if program == "" {
		out, err := exec.CommandContext(t.Context(), "../../hack/test-redis", "--fetch").Output()
		if err != nil {
			t.Fatalf("Redis is neither installed nor to be had: %v", err)
		}
		program = string(bytes.TrimSpace(out))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &store{program: program, address: l.Addr().String()}
	l.Close()
	s.start(t)
	t.Cleanup(func() { s.kill(t) })
	return s
}

func (s *store) start(t *testing.T) {
	t.Helper()
	_, port, err := net.SplitHostPort(s.address)
	if err != nil {
		t.Fatal(err)
	}
	s.process = exec.Command(s.program, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "redis answers", func() bool {
		connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.address)
		if err == nil {
			connection.Close() //nolint:errcheck // it only looked whether Redis is there
		}
		return err == nil
	})
}

// kill ends Redis as a lost machine would.
func (s *store) kill(t *testing.T) {
	t.Helper()
	if s.process == nil {
		return
	}
	if err := s.process.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = s.process.Wait() // says that it was killed
	s.process = nil
}

// names returns all names in Redis, and fails where one stays for ever.
func (s *store) names(t *testing.T) string {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: s.address})
	defer client.Close() //nolint:errcheck // it only reads
	names, err := client.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if ttl := client.PTTL(t.Context(), name).Val(); ttl <= 0 {
			t.Errorf("%s stays for %s", name, ttl)
		}
	}
	return strings.Join(names, "\n")
}

// eventually waits until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(fmt.Sprint("waited in vain until ", what))
		}
	}
}
