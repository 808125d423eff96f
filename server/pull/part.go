package pull

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
)

const (
	// defaultPiece and maxPieces keep requests few: a shard of 5 GB makes 64 pieces, a small file one.
	defaultPiece = 16 << 20
	maxPieces    = 64
	maxState     = 64 << 10
)

// state says how far a file has come. It lies beside the partial file as JSON.
type state struct {
	Version  int     `json:"version"`
	Identity string  `json:"identity"` // of the remote file; another one starts over
	ETag     string  `json:"etag,omitempty"`
	Size     int64   `json:"size"`
	Piece    int64   `json:"piece"` // bytes of each piece but the last
	Done     []int64 `json:"done"`  // bytes at the front of each piece
	// SHA256 and Modified are set when the file is whole and verified.
	SHA256   string `json:"sha256,omitempty"`
	Modified int64  `json:"modified,omitempty"`
}

func newState(r remote, minPiece int64) state {
	s := state{Version: 1, Identity: r.identity, ETag: r.etag, Size: r.size}
	if r.noRanges || r.size < 0 {
		return s.single()
	}
	s.Piece = max(minPiece, (r.size+maxPieces-1)/maxPieces)
	s.Done = make([]int64, max(1, (r.size+s.Piece-1)/s.Piece))
	return s
}

// single makes the file one piece, nothing of it done.
func (s state) single() state {
	s.Piece, s.Done = max(1, s.Size), []int64{0}
	return s
}

// decodeState reads a state file and holds it to its own arithmetic.
func decodeState(data []byte) (state, error) {
	var s state
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("state: %w", err)
	}
	if s.Version != 1 || s.Size < 0 || s.Size > maxFileSize || s.Piece < 1 || len(s.Done) == 0 || len(s.Done) > maxPieces {
		return s, errors.New("state: wrong version, size or number of pieces")
	}
	if s.SHA256 != "" && !isHex(s.SHA256, 64) {
		return s, errors.New("state: bad sha256")
	}
	if want := max(1, (s.Size-1)/s.Piece+1); int64(len(s.Done)) != want {
		return s, fmt.Errorf("state: has %d pieces, want %d", len(s.Done), want)
	}
	for i, done := range s.Done {
		if lo, hi := s.span(i); done < 0 || done > hi-lo {
			return s, fmt.Errorf("state: piece %d has %d bytes of %d", i, done, hi-lo)
		}
	}
	return s, nil
}

// span is where piece i begins and ends; the end is -1 in a file of unknown size.
func (s state) span(i int) (lo, hi int64) {
	if s.Size < 0 {
		return 0, -1
	}
	lo = int64(i) * s.Piece
	return lo, min(s.Size, lo+s.Piece)
}

func (s state) finished(i int) bool {
	lo, hi := s.span(i)
	return hi >= 0 && s.Done[i] == hi-lo
}

// front is how many bytes there are from the beginning without a gap.
func (s state) front() int64 {
	var n int64
	for i, done := range s.Done {
		n += done
		if !s.finished(i) {
			break
		}
	}
	return n
}

func (s state) total() int64 {
	var n int64
	for _, done := range s.Done {
		n += done
	}
	return n
}

// part is a file on its way: what is known of it, and the partial file.
type part struct {
	remote
	target *target
	file   *os.File
	grown  chan struct{} // has a value when the front may have moved
	saving sync.Mutex    // one save at a time, so that an older state never replaces a newer one

	mu         sync.Mutex
	state      state
	dirty      bool
	gone       bool   // discarded
	generation int    // how often bytes that were there were given up
	claimed    []bool // pieces given to a worker
	begun      bool   // the first worker is on it
	opened     bool   // the server answered the first request, so others may join
	location   string // where the source redirected to; empty when it did not
}

// openPart goes on with what an earlier run left of the same remote file, or begins. The file is open from start on.
func openPart(t *target, r remote, minPiece int64) (*part, error) {
	p := &part{remote: r, target: t, grown: make(chan struct{}, 1)}
	if err := t.check(r.path + partSuffix); err != nil {
		return nil, err
	}
	if s, ok := p.resumable(); ok {
		p.state = s
	} else {
		p.state = newState(r, minPiece)
		if err := errors.Join(t.remove(r.path+stateSuffix), t.remove(r.path+partSuffix)); err != nil {
			return nil, diskFailure(r.path, err)
		}
	}
	p.claimed = make([]bool, len(p.state.Done))
	return p, nil
}

// start opens the partial file. Where bytes are missing it has a hole, not allocated blocks.
func (p *part) start() error {
	f, err := p.target.open(p.path+partSuffix, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return diskFailure(p.path, err)
	}
	if err := f.Truncate(max(0, p.size)); err != nil {
		return errors.Join(diskFailure(p.path, err), f.Close())
	}
	p.saving.Lock()
	defer p.saving.Unlock()
	p.file = f
	return nil
}

// resumable returns the state of an earlier run if it is about the same remote file and the partial file fits it.
func (p *part) resumable() (state, bool) {
	data, err := p.target.read(p.path+stateSuffix, maxState)
	if err != nil || data == nil || p.identity == "" {
		return state{}, false
	}
	s, err := decodeState(data)
	info, statErr := p.target.root.Lstat(p.path + partSuffix)
	if err != nil || statErr != nil || s.Identity != p.identity || s.ETag != p.etag || s.Size != p.size || info.Size() != s.Size {
		return state{}, false
	}
	if s.SHA256 != "" && info.ModTime().UnixNano() != s.Modified {
		s.SHA256, s.Modified = "", 0 // touched since: read again
	}
	return s, true
}

// save writes the state, after the bytes that it vouches for are on the disk.
func (p *part) save() error {
	p.saving.Lock()
	defer p.saving.Unlock()
	p.mu.Lock()
	s := p.state
	s.Done = slices.Clone(s.Done)
	skip := !p.dirty || p.gone || s.Size < 0 || s.Identity == ""
	p.dirty = false
	p.mu.Unlock()
	if skip {
		return nil
	}
	if err := p.file.Sync(); err != nil {
		return diskFailure(p.path, err)
	}
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return p.target.replace(p.path+stateSuffix, data)
}

// advance counts n more bytes of a piece.
func (p *part) advance(piece int, n int64) {
	p.mu.Lock()
	p.state.Done[piece] += n
	p.dirty = true
	p.mu.Unlock()
	p.wake()
}

func (p *part) wake() {
	select {
	case p.grown <- struct{}{}:
	default:
	}
}

// restart makes the file one piece and begins it anew; it returns how many bytes are given up.
func (p *part) restart() (lost int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	lost = p.state.total()
	p.state = p.state.single()
	p.claimed = []bool{true}
	p.generation++
	p.dirty = true
	return lost
}

// undo gives up the last n bytes of a piece.
func (p *part) undo(piece int, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state.Done[piece] -= n
	p.generation++
	p.dirty = true
}

// end fixes the size of a file whose end was the first to tell it.
func (p *part) end() {
	p.mu.Lock()
	p.state.Size = p.state.Done[0]
	p.state.Piece = max(1, p.state.Size)
	p.mu.Unlock()
	p.wake()
}

func (p *part) total() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state.total()
}

func (p *part) snapshot() (s state, generation int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s = p.state
	s.Done = slices.Clone(s.Done)
	return s, p.generation
}

// discard removes all traces.
func (p *part) discard() error {
	p.mu.Lock()
	p.gone = true
	p.mu.Unlock()
	return errors.Join(p.close(), p.target.remove(p.path+stateSuffix), p.target.remove(p.path+partSuffix))
}

// close lets go of the file. It is done once the last byte is written and the last state is saved.
func (p *part) close() error {
	p.saving.Lock()
	defer p.saving.Unlock()
	if p.file == nil {
		return nil
	}
	err := p.file.Close()
	p.file = nil
	return err
}
