package pack

import (
	"fmt"
	"io"
	"time"

	"github.com/gptoss/gptoss-operator/server/terminal"
)

const (
	// speedWindow is the time over which the speed is taken: long enough to be calm, short enough to follow the disk.
	speedWindow = 15 * time.Second
	// liveEvery and logEvery are the times between two reports, on a terminal and elsewhere.
	liveEvery = 200 * time.Millisecond
	logEvery  = 5 * time.Second
)

// meter shows how far the work is: on a terminal in one live line, otherwise in a line every few seconds.
type meter struct {
	out         io.Writer
	now         func() time.Time
	live, quiet bool

	line    bool // a live line is on the screen
	last    time.Time
	samples []sample
}

type sample struct {
	at   time.Time
	done int64
}

// say shows a word about what is done now.
func (m *meter) say(text string) {
	if !m.quiet {
		m.show(text)
	}
}

// progress hears of every piece of work, and shows some.
func (m *meter) progress(done, total int64) {
	if m.quiet {
		return
	}
	now, every := m.now(), logEvery
	if m.live {
		every = liveEvery
	}
	if m.samples == nil { // the first piece is where the speed is measured from
		m.samples, m.last = []sample{{now, done}}, now
		return
	}
	if now.Sub(m.last) < every {
		return
	}
	m.last = now
	m.samples = append(m.samples, sample{now, done})
	for len(m.samples) > 2 && now.Sub(m.samples[1].at) >= speedWindow {
		m.samples = m.samples[1:]
	}
	m.show(m.text(done, total))
}

// text is progress in less than 80 columns.
func (m *meter) text(done, total int64) string {
	text := fmt.Sprintf("%s of %s, %d %%", terminal.Bytes(done), terminal.Bytes(total), done*100/max(total, 1))
	first, last := m.samples[0], m.samples[len(m.samples)-1]
	passed := last.at.Sub(first.at).Seconds()
	if speed := int64(float64(last.done-first.done) / max(passed, 1e-9)); speed > 0 {
		left := min((total-done+speed-1)/speed, 1<<30)
		text += fmt.Sprintf(", %s/s, %s left", terminal.Bytes(speed), time.Duration(left)*time.Second)
	}
	return text
}

func (m *meter) show(text string) {
	if m.live {
		fmt.Fprintf(m.out, "\r%s\x1b[K", text)
		m.line = true
		return
	}
	fmt.Fprintln(m.out, text)
}

// clear takes the live line away.
func (m *meter) clear() {
	if m.line {
		fmt.Fprint(m.out, "\r\x1b[K")
		m.line = false
	}
}
