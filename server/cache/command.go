package cache

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/gptoss/gptoss-operator/server/options"
	"github.com/gptoss/gptoss-operator/server/pull"
	"github.com/gptoss/gptoss-operator/server/terminal"
)

const usage = `gptoss-server cache makes a folder of a volume hold a model, downloaded, verified and packed, ready for
servers to map. The operator's download Jobs run it; by hand, pull and pack are what you want.

Usage:
  gptoss-server cache --root=DIR --folder=NAME --source=SOURCE [flags]
  gptoss-server cache --root=DIR --keep=NAME...

Flags:
  --source SOURCE
        repository of a Hugging-Face-compatible server, or http(s) URL of one file; without it DIR is only cleaned
  --revision REV
        branch, tag or commit of the repository (default main)
  --endpoint URL
        server of the repository (default https://huggingface.co)
  --sha256 HEX
        checksum that the file of a URL must have
  --root DIR
        root of the volume
  --folder NAME
        folder of the model in it: model- and ten hex digits
  --file NAME
        packed file to make in the folder; without it the files stay as they came, in the folder "files"
  --keep NAME
        another folder that stays; may be repeated; all other folders of models in DIR are removed
  --progress-address ADDR
        where to answer GET /progress with how far it is, such as :8080
  --termination-log PATH
        file that gets the one sentence why it failed
  --help
        print this text and exit

Environment: MODEL_TOKEN is sent as Bearer to the repository's server, or to that of the URL, and to no other;
HTTPS_PROXY, HTTP_PROXY, NO_PROXY, SSL_CERT_FILE.
Exit status: 0 complete, 1 failed and another try may help, 2 wrong flags, 3 a token is missing or refused,
4 there is no such model, 5 a checksum is wrong, 6 the volume is full, 7 what came is no model.
`

// maxSentence is what fits into the 4096 bytes that the kubelet reads, however it is encoded.
const maxSentence = 2000

// Run is the command: args are what follows the word cache. It returns the exit status.
func Run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	c, err := options.ParseCache(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		terminal.Say(stdout, usage)
		return options.CacheDone
	case err != nil:
		terminal.Say(stderr, "gptoss-server cache: "+err.Error()+"\n")
		return options.CacheUsage
	}
	log := slog.New(slog.NewJSONHandler(stdout, nil))
	w := &work{Cache: c, token: pull.Token(strings.TrimSpace(getenv(options.CacheTokenVariable))), log: log, tracker: &tracker{now: time.Now, log: log}}
	err = w.run(ctx)
	if err == nil {
		return options.CacheDone
	}
	text := sentence(err)
	terminal.Say(stderr, "gptoss-server cache: "+text+"\n")
	if c.TerminationLog != "" {
		if err := os.WriteFile(c.TerminationLog, []byte(text+"\n"), 0o644); err != nil {
			terminal.Say(stderr, "gptoss-server cache: termination log: "+err.Error()+"\n")
		}
	}
	return status(err)
}

// run answers questions while it works.
func (w *work) run(ctx context.Context) error {
	if w.ProgressAddress == "" {
		return w.fill(ctx)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", w.ProgressAddress)
	if err != nil {
		return fmt.Errorf("--progress-address: %w", err)
	}
	server := &http.Server{Handler: w.tracker, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(w.log.Handler(), slog.LevelWarn)}
	w.log.Info("answering how far it is", "address", listener.Addr().String(), "path", options.CacheProgressPath)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	err = errors.Join(w.fill(ctx), server.Close())
	if e := <-ended; !errors.Is(e, http.ErrServerClosed) {
		w.log.Warn("progress is not answered", "error", e)
	}
	return err
}

// status is the exit status for an error.
func status(err error) int {
	for kind, code := range map[error]int{
		pull.ErrOption: options.CacheUsage, pull.ErrRefused: options.CacheRefused, pull.ErrNotFound: options.CacheNotFound,
		pull.ErrMismatch: options.CacheMismatch, pull.ErrFull: options.CacheFull, errUnusable: options.CacheUnusable,
	} {
		if errors.Is(err, kind) {
			return code
		}
	}
	return options.CacheFailed
}

// sentence makes one line of an error, short enough for the kubelet.
func sentence(err error) string {
	text := strings.TrimPrefix(strings.Join(strings.Fields(err.Error()), " "), "pull: ")
	if len(text) > maxSentence {
		text = strings.ToValidUTF8(text[:maxSentence], "") + "…"
	}
	return text
}
