// Command standin plays vLLM and Text Generation Inference in tests on a cluster without GPUs: it takes their command lines
// and no other, opens the model's folder, and answers what the operator and clients ask for. Which of the two it is, its
// own name says.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// settings are what both programs are told.
type settings struct {
	model, name, host, key string
	port                   int
}

func main() {
	s, err := parse(filepath.Base(os.Args[0]), os.Args[1:])
	if err == nil {
		err = run(s)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "standin:", err)
		os.Exit(1)
	}
}

// parse reads a command line as strictly as the program that it is of.
func parse(program string, args []string) (settings, error) {
	var s settings
	set := flag.NewFlagSet(program, flag.ContinueOnError)
	set.StringVar(&s.key, "api-key", "", "")
	set.IntVar(&s.port, "port", 0, "")
	switch program {
	case "vllm":
		if len(args) < 2 || args[0] != "serve" {
			return s, errors.New("want: vllm serve MODEL [flags]")
		}
		s.model, args = args[1], args[2:]
		set.StringVar(&s.host, "host", "", "")
		set.StringVar(&s.name, "served-model-name", s.model, "")
		for _, name := range []string{"gpu-memory-utilization", "max-model-len", "max-num-seqs", "max-num-batched-tokens", "tensor-parallel-size"} {
			set.Float64(name, 0, "")
		}
		set.String("override-generation-config", "", "")
		for _, name := range []string{"enforce-eager", "enable-prefix-caching", "no-enable-prefix-caching"} {
			set.Bool(name, false, "")
		}
	case "text-generation-launcher":
		set.StringVar(&s.host, "hostname", "", "")
		set.StringVar(&s.model, "model-id", "", "")
		set.Func("quantize", "", func(text string) error {
			if text != "mxfp4" {
				return errors.New("want mxfp4")
			}
			return nil
		})
		set.Int("max-input-length", 0, "")
		set.Int("max-total-tokens", 0, "")
	default:
		return s, fmt.Errorf("%q is neither vllm nor text-generation-launcher", program)
	}
	if err := set.Parse(args); err != nil {
		return s, err
	}
	if set.NArg() > 0 {
		return s, fmt.Errorf("unexpected argument %q", set.Arg(0))
	}
	if s.name == "" {
		s.name = s.model
	}
	return s, nil
}

// run answers until it is told to end.
func run(s settings) error {
	if _, err := os.Stat(filepath.Join(s.model, "config.json")); err != nil {
		return fmt.Errorf("load model: %w", err)
	}
	// What the operator promises beside the command: a writable cache, and memory that processes share.
	for _, folder := range []string{os.Getenv("HF_HOME"), "/dev/shm/standin"} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return fmt.Errorf("prepare: %w", err)
		}
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	server := &http.Server{Addr: s.host + ":" + strconv.Itoa(s.port), Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Shutdown(context.Background()) // ends with the listener at the latest
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (s settings) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, "vllm:num_requests_running 0.0\nvllm:num_requests_waiting 0.0\ntgi_queue_size 0\ntgi_batch_current_size 0\n")
	})
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Header.Get("Authorization") != "Bearer "+s.key {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = fmt.Fprint(w, `{"error":{"message":"Unauthorized","type":"invalid_request_error","code":"invalid_api_key"}}`)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"object": "list", "data": []any{map[string]any{"id": s.name, "object": "model"}}})
	})
	return mux
}
