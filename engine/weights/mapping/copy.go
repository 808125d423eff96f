package mapping

import (
	"errors"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
)

// copyChunk is what one goroutine reads at once: long enough for any disk, and a whole number of huge pages.
const copyChunk = 16 << 20

// Copy reads the first bytes of a file into memory of this process alone, in huge pages where the system has some: that can
// be read faster than a mapping, takes as long as the disk, and is shared with nobody. progress may be nil; it hears how
// many bytes of how many were read, from one goroutine at a time. A file that ends before is an [io.ErrUnexpectedEOF].
func Copy(file io.ReaderAt, size int, progress func(done, total int64)) (*Memory, error) {
	m, err := Allocate(size)
	if err != nil {
		return nil, err
	}
	if err := fill(m.Data, file, progress); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// fill reads chunk by chunk on all cores: the system finds and clears a page for each, which takes longer than reading.
func fill(data []byte, file io.ReaderAt, progress func(done, total int64)) error {
	var next atomic.Int64
	var lock sync.Mutex
	var first error
	done, total := int64(0), int64(len(data))
	step := func() bool {
		from := next.Add(copyChunk) - copyChunk
		if from >= total {
			return false
		}
		part := data[from:min(from+copyChunk, total)]
		n, err := file.ReadAt(part, from)
		if n == len(part) {
			err = nil // ReadAt may say io.EOF at the very end
		} else if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		lock.Lock()
		defer lock.Unlock()
		if first == nil {
			first = err
		}
		if done += int64(len(part)); first == nil && progress != nil {
			progress(done, total)
		}
		return first == nil
	}
	var all sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for step() {
			}
		})
	}
	all.Wait()
	return first
}
