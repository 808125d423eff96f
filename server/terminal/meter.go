package terminal

import (
	"fmt"
	"io"
	"time"
)

const (
	// speedWindow is the time over which the speed is taken: long enough to be calm, short enough to follow the disk.
	speedWindow = 15 * time.Second
	// liveEvery and logEvery are the times between two reports, on a terminal and elsewhere.
	liveEvery = 200 * time.Millisecond
	logEvery  = 5 * time.Second
)

// Meter shows how far the work is: on a terminal in one live line, otherwise in a line every few seconds.
type Meter struct {
	Out   io.Writer
	Now   func() time.Time
	Live  bool // Out is a terminal that can redraw a line
	Quiet bool // nothing is shown

	line    bool // a live line is on the screen
	last    time.Time
	samples []sample
}

type sample struct {
	at   time.Time
	done int64
}

// Say shows a word about what is done now.
func (m *Meter) Say(text string) {
	if !m.Quiet {
		m.show(text)
	}
}

// Progress hears of every piece of work, in bytes, and shows some.
func (m *Meter) Progress(done, total int64) {
	if m.Quiet {
		return
	}
	now, every := m.Now(), logEvery
	if m.Live {
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
func (m *Meter) text(done, total int64) string {
	text := fmt.Sprintf("%s of %s, %d %%", Bytes(done), Bytes(total), done*100/max(total, 1))
	first, last := m.samples[0], m.samples[len(m.samples)-1]
	passed := last.at.Sub(first.at).Seconds()
	if speed := int64(float64(last.done-first.done) / max(passed, 1e-9)); speed > 0 {
		left := min((total-done+speed-1)/speed, 1<<30)
		text += fmt.Sprintf(", %s/s, %s left", Bytes(speed), time.Duration(left)*time.Second)
	}
	return text
}

func (m *Meter) show(text string) {
	if m.Live {
		Say(m.Out, "\r"+text+"\x1b[K")
		m.line = true
		return
	}
	Say(m.Out, text+"\n")
}

// Clear takes the live line away.
func (m *Meter) Clear() {
	if m.line {
		Say(m.Out, "\r\x1b[K")
		m.line = false
	}
}
