package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/gptoss/gptoss-operator/engine/cpu"
	"github.com/gptoss/gptoss-operator/engine/sched"
)

// swap is a temporary file for pages of requests that had to make room. A nil swap has no slots.
type swap struct {
	file   *os.File
	size   [2]int64 // of a page, by [cpu.Kind]
	slots  [2]int
	buffer []byte // for one page
}

// newSwap makes a file of at most so many bytes, which takes up room as it is written to.
func newSwap(bytes int64, r runner) (*swap, error) {
	if bytes == 0 {
		return nil, nil
	}
	s := &swap{size: [2]int64{cpu.Full: int64(r.PageBytes(cpu.Full)), cpu.Window: int64(r.PageBytes(cpu.Window))}}
	// Of a sequence most pages are full ones, but a short one has as many of the other kind.
	const most = 1 << 30
	n := bytes / max(2*s.size[cpu.Full]+s.size[cpu.Window], 1)
	s.slots = [2]int{cpu.Full: int(min(2*n, most)), cpu.Window: int(min(n, most))}
	s.buffer = make([]byte, max(s.size[cpu.Full], s.size[cpu.Window]))
	var err error
	if s.file, err = os.CreateTemp("", "gptoss-swap-*"); err != nil {
		return nil, fmt.Errorf("engine: swap space: %w", err)
	}
	// Without a name it goes away with the process, however that ends. Where open files keep their names, close removes it.
	_ = os.Remove(s.file.Name())
	return s, nil
}

// counts returns the slots by [cpu.Kind].
func (s *swap) counts() [2]int {
	if s == nil {
		return [2]int{}
	}
	return s.slots
}

// at returns the buffer for a page and where its slot begins in the file.
func (s *swap) at(kind cpu.Kind, slot int32) (buffer []byte, offset int64) {
	offset = int64(slot) * s.size[kind]
	if kind == cpu.Window {
		offset += int64(s.slots[cpu.Full]) * s.size[cpu.Full]
	}
	return s.buffer[:s.size[kind]], offset
}

// save moves a page into its slot.
func (s *swap) save(r runner, m sched.Move) error {
	kind := kindOf(m.Kind)
	buffer, offset := s.at(kind, m.Slot)
	if err := r.SavePage(kind, m.Page, buffer); err != nil {
		return err
	}
	_, err := s.file.WriteAt(buffer, offset)
	return err
}

// load moves a page back out of its slot.
func (s *swap) load(r runner, m sched.Move) error {
	kind := kindOf(m.Kind)
	buffer, offset := s.at(kind, m.Slot)
	if _, err := s.file.ReadAt(buffer, offset); err != nil {
		return err
	}
	return r.LoadPage(kind, m.Page, buffer)
}

// close gives the room back.
func (s *swap) close() error {
	if s == nil {
		return nil
	}
	err := s.file.Close()
	if gone := os.Remove(s.file.Name()); !errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return err
}

// kindOf translates between two packages that know nothing of each other.
func kindOf(k sched.Kind) cpu.Kind {
	if k == sched.Window {
		return cpu.Window
	}
	return cpu.Full
}
