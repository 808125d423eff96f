package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// queueRecords and queueBytes bound what waits to be written: seconds of a busy server, or a few records with content.
	queueRecords = 4096
	queueBytes   = 16 << 20
	// retryInterval is how long after a failure the writer tries again.
	retryInterval = time.Second
)

// Stdout is the destination that is not a file.
const Stdout = "stdout"

// Config says where records go.
type Config struct {
	// To is Stdout or a file, which Open creates. It rotates when it would exceed MaxBytes; Files older ones are kept.
	To       string
	MaxBytes int64
	Files    int
	// Stdout is where Stdout leads.
	Stdout io.Writer
	Logger *slog.Logger
	// Dropped is called for each record that is lost; nil for nobody.
	Dropped func()
	// After is the clock of the retries; nil for time.After.
	After func(time.Duration) <-chan time.Time
}

// Log writes records. A nil Log drops them without counting: nobody asked for one.
type Log struct {
	out     io.WriteCloser
	log     *slog.Logger
	after   func(time.Duration) <-chan time.Time
	dropped func()
	failing atomic.Bool
	queued  atomic.Int64 // bytes

	mu     sync.Mutex // guards closed, and its order with lines
	closed bool
	lines  chan []byte
	ending chan struct{} // closed by Close: no more retries
	done   chan struct{}
}

// Open starts a log. It fails where the file cannot be written to now.
func Open(c Config) (*Log, error) {
	l := &Log{
		log: c.Logger, after: c.After, dropped: c.Dropped,
		lines: make(chan []byte, queueRecords), ending: make(chan struct{}), done: make(chan struct{}),
	}
	if l.after == nil {
		l.after = time.After
	}
	if c.To == Stdout {
		if c.Stdout == nil {
			return nil, errors.New("audit log: there is no stdout")
		}
		l.out = standing{c.Stdout}
	} else {
		f, err := openRotating(c.To, c.MaxBytes, c.Files)
		if err != nil {
			return nil, fmt.Errorf("audit log: %w", err)
		}
		l.out = f
	}
	go l.write()
	return l, nil
}

// standing is a writer that stays open.
type standing struct{ io.Writer }

func (standing) Close() error { return nil }

// Record queues a record and never waits.
func (l *Log) Record(r Record) {
	if l == nil {
		return
	}
	line, err := json.Marshal(r)
	if err != nil {
		l.drop()
		return
	}
	line = append(line, '\n')
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.queued.Load()+int64(len(line)) > queueBytes {
		l.drop()
		return
	}
	select {
	case l.lines <- line:
		l.queued.Add(int64(len(line)))
	default:
		l.drop()
	}
}

func (l *Log) drop() {
	if l.dropped != nil {
		l.dropped()
	}
}

// Failing reports whether records cannot be written at present.
func (l *Log) Failing() bool { return l != nil && l.failing.Load() }

// Close writes what is queued, as far as that goes without a retry, and ends the log.
func (l *Log) Close() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.lines)
		close(l.ending)
	}
	l.mu.Unlock()
	<-l.done
	return l.out.Close()
}

// write is the life of the writer.
func (l *Log) write() {
	defer close(l.done)
	for line := range l.lines {
		l.put(line)
		l.queued.Add(-int64(len(line)))
	}
}

// put writes one line, trying until it is written or the log is closed.
func (l *Log) put(line []byte) {
	for {
		n, err := l.out.Write(line)
		if err == nil {
			if l.failing.Swap(false) {
				l.log.Info("the audit log can be written again")
			}
			return
		}
		line = line[n:] // a file takes its part back, another writer cannot
		if !l.failing.Swap(true) {
			l.log.Error("the audit log cannot be written; records wait for it, and are dropped and counted when too many do", "error", err.Error())
		}
		select {
		case <-l.ending:
			l.drop()
			l.log.Error("an audit record is lost", "bytes", len(bytes.TrimSpace(line)))
			return
		case <-l.after(retryInterval):
		}
	}
}
