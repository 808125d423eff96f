// Package boot brings a cluster's programs up in order, waiting for each to
// answer, and fails with the end of a log as soon as one of them dies.
package boot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/gptoss/gptoss-operator/hack/cluster/process"
)

const (
	pollInterval   = 200 * time.Millisecond
	reportInterval = 10 * time.Second
	phaseTimeout   = 3 * time.Minute
)

// Progress writes a line per phase, with the seconds that it took.
type Progress struct {
	Out   io.Writer
	Start time.Time
	last  time.Time
}

// NewProgress starts the clock.
func NewProgress(out io.Writer) *Progress {
	now := time.Now()
	return &Progress{Out: out, Start: now, last: now}
}

// Done says that a phase ended.
func (p *Progress) Done(phase string) {
	now := time.Now()
	_, _ = fmt.Fprintf(p.Out, "%6.1fs  %s\n", now.Sub(p.last).Seconds(), phase)
	p.last = now
}

// Total is how long it took in all.
func (p *Progress) Total() time.Duration { return time.Since(p.Start) }

// wait polls until ready gives no error, a component dies or the phase takes
// too long; what ready said last is then the reason.
func (p *Progress) wait(ctx context.Context, phase string, exits <-chan process.Exit, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, phaseTimeout, fmt.Errorf("not ready after %s", phaseTimeout))
	defer cancel()
	poll, report := time.NewTicker(pollInterval), time.NewTicker(reportInterval)
	defer poll.Stop()
	defer report.Stop()
	last := errors.New("not asked yet")
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("boot: %s: %w; last: %w", phase, context.Cause(ctx), last)
		case e := <-exits:
			return fmt.Errorf("boot: %s: %w", phase, e.Describe())
		case <-report.C:
			_, _ = fmt.Fprintf(p.Out, "         waiting: %s: %v\n", phase, last)
		case <-poll.C:
			if last = ready(ctx); last == nil {
				p.Done(phase)
				return nil
			}
		}
	}
}
