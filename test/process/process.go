package process

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// startTimeout is how long a model may take to load; the demo takes less than a second.
	startTimeout = 2 * time.Minute
	// stopTimeout is how long a server may take to end before it is killed.
	stopTimeout = 15 * time.Second
	// logLines is how much of the log is kept for an error message.
	logLines = 20
)

// Server is a running gptoss-server.
type Server struct {
	// URL is where it listens, such as http://127.0.0.1:41234.
	URL string

	command *exec.Cmd
	cancel  context.CancelFunc
	ended   chan struct{} // closed when the process is gone

	mu  sync.Mutex
	log []string // its last lines
}

// Start runs the binary with the arguments, on a free loopback port, and returns when its model is loaded. The process
// lives at most as long as life and ctx, and where the system can do that, not longer than this one. The log at level info
// says when it is ready, so the arguments must leave that on.
func Start(ctx context.Context, binary string, life time.Duration, args ...string) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, life)
	args = append([]string{"--host=127.0.0.1", "--port=0", "--shutdown-delay=0s", "--shutdown-grace=5s"}, args...)
	c := exec.CommandContext(ctx, binary, args...)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = stopTimeout
	c.SysProcAttr = dieWithParent()
	// Whoever runs a test has a key of somebody else's in the environment; the server would accept it.
	c.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "OPENAI_API_KEY=") })
	read, write, err := os.Pipe()
	if err != nil {
		cancel()
		return nil, err
	}
	c.Stdout, c.Stderr = write, write
	err = c.Start()
	write.Close()
	if err != nil {
		read.Close()
		cancel()
		return nil, fmt.Errorf("process: %w (make build makes it)", err)
	}
	s := &Server{command: c, cancel: cancel, ended: make(chan struct{})}
	ready := make(chan string, 1)
	go s.follow(read, ready)
	select {
	case s.URL = <-ready:
		return s, nil
	case <-s.ended:
		return nil, fmt.Errorf("process: the server ended while it started (%s):\n%s", s.state(), s.Log())
	case <-time.After(startTimeout):
		return nil, errors.Join(fmt.Errorf("process: the server had no model after %s:\n%s", startTimeout, s.Log()), s.Stop())
	}
}

// follow reads the log to its end and tells the address when the model is loaded.
func (s *Server) follow(log io.ReadCloser, ready chan<- string) {
	defer log.Close()
	var address string
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		s.mu.Lock()
		s.log = append(s.log, lines.Text())
		s.log = s.log[max(len(s.log)-logLines, 0):]
		s.mu.Unlock()
		var event struct{ Msg, Address string }
		if json.Unmarshal(lines.Bytes(), &event) != nil {
			continue
		}
		switch event.Msg {
		case "listening":
			address = event.Address
		case "model loaded":
			select {
			case ready <- "http://" + address:
			default: // said before
			}
		}
	}
	_, _ = io.Copy(io.Discard, log) // an endless line is no reason to stop the server by not reading on
	_ = s.command.Wait()            // ProcessState tells more
	close(s.ended)
}

// PID is the process's number.
func (s *Server) PID() int { return s.command.Process.Pid }

// Ended is closed when the process is gone, which before Stop means that it died.
func (s *Server) Ended() <-chan struct{} { return s.ended }

// Log returns the last lines of the log.
func (s *Server) Log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.log, "\n")
}

// Stop ends the process as Kubernetes would and waits for it. It fails when the server did not leave well, or had died
// before.
func (s *Server) Stop() error {
	s.cancel()
	<-s.ended
	// The context's end is how Stop asks; what counts is the status that the process left with.
	if !s.command.ProcessState.Success() {
		return fmt.Errorf("process: the server did not end well (%s):\n%s", s.state(), s.Log())
	}
	return nil
}

// state says how the process left, such as "exit status 1".
func (s *Server) state() string { return s.command.ProcessState.String() }
