package packed

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// Align is where sections may begin: the largest page of the systems that we run on.
const Align = 64 << 10

const (
	magic     = "GPTOSSPK"
	endMagic  = "GPTOSSOK"
	version   = 1
	headBytes = 112
	tailBytes = 40

	maxDirectory = 4 << 20 // a model of 1024 layers needs one
	maxName      = 120
	maxLength    = 1 << 50 // of a section; keeps every sum of two below 2^63
	entryBytes   = 2 + 8 + 8 + sha256.Size
)

// What may be wrong with a file, in three words; the sentence around them tells more.
var (
	ErrForeign    = errors.New("not a packed file")
	ErrIncomplete = errors.New("half-written")
	ErrDamaged    = errors.New("damaged")
)

// Section is a part of a file. Its data begins at a multiple of [Align].
type Section struct {
	Name   string // letters, digits, dot, dash and underscore
	Offset int64  // in bytes from the start of the file
	Length int64  // in bytes
	SHA256 [sha256.Size]byte
}

// end returns where the next section begins.
func (s Section) end() int64 { return alignUp(s.Offset + s.Length) }

// index is what head, directory and tail of a file say.
type index struct {
	sections  []Section
	directory int64 // where it begins
	length    int64 // of the directory
	digest    [sha256.Size]byte
}

// size returns the length of the file.
func (x *index) size() int64 { return x.directory + x.length + tailBytes }

func alignUp(n int64) int64 { return (n + Align - 1) &^ (Align - 1) }

// validName keeps names printable, and usable as file names.
func validName(name string) bool {
	for i, c := range []byte(name) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || c != '.' && c != '-' && c != '_') {
			return false
		}
	}
	return name != "" && len(name) <= maxName
}

// newIndex completes the index of sections that are placed, and returns the bytes of head and directory.
func newIndex(sections []Section) (x *index, head, directory []byte) {
	x = &index{sections: sections, directory: Align}
	for _, s := range sections {
		directory = binary.LittleEndian.AppendUint16(directory, uint16(len(s.Name)))
		directory = append(directory, s.Name...)
		directory = binary.LittleEndian.AppendUint64(directory, uint64(s.Offset))
		directory = binary.LittleEndian.AppendUint64(directory, uint64(s.Length))
		directory = append(directory, s.SHA256[:]...)
		x.directory = s.end()
	}
	x.length = int64(len(directory))
	head = binary.LittleEndian.AppendUint32([]byte(magic), version)
	head = binary.LittleEndian.AppendUint32(head, uint32(len(sections)))
	for _, n := range []int64{x.directory, x.length, x.size(), Align} {
		head = binary.LittleEndian.AppendUint64(head, uint64(n))
	}
	sum := sha256.Sum256(directory)
	head = append(head, sum[:]...)
	x.digest = sha256.Sum256(head)
	return x, append(head, x.digest[:]...), directory
}

// tail returns the end of the file.
func (x *index) tail() []byte { return append([]byte(endMagic), x.digest[:]...) }

// parse reads head, directory and tail of a file of the given size, and nothing else.
func parse(r io.ReaderAt, size int64) (*index, error) {
	head := make([]byte, min(size, headBytes))
	if err := readAt(r, head, 0); err != nil {
		return nil, err
	}
	x, count, err := parseHead(head, size)
	if err != nil {
		return nil, err
	}
	tail := make([]byte, tailBytes)
	if err := readAt(r, tail, size-tailBytes); err != nil {
		return nil, err
	}
	if !bytes.Equal(tail, x.tail()) {
		return nil, fmt.Errorf("%w: its last %d bytes are missing or of another file", ErrIncomplete, tailBytes)
	}
	directory := make([]byte, x.length)
	if err := readAt(r, directory, x.directory); err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(directory); !bytes.Equal(sum[:], head[48:48+sha256.Size]) {
		return nil, fmt.Errorf("%w: its directory does not have the SHA-256 in its head", ErrDamaged)
	}
	return x, x.parseDirectory(directory, count)
}

// readAt fills b; a file that ends before was cut short since its size was taken.
func readAt(r io.ReaderAt, b []byte, at int64) error {
	n, err := r.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: ends at byte %d, which was not its end a moment ago", ErrIncomplete, at+int64(n))
	}
	return err
}

// parseHead checks the first bytes of a file; what it returns has no sections yet, but places within the file.
func parseHead(head []byte, size int64) (x *index, count uint32, err error) {
	switch {
	case size == 0:
		return nil, 0, fmt.Errorf("%w: empty", ErrForeign)
	case len(head) >= len(magic) && bytes.Equal(head[:len(magic)], make([]byte, len(magic))):
		return nil, 0, fmt.Errorf("%w: begins with zeros, as one whose writing was cut off", ErrForeign)
	case !bytes.HasPrefix(head, []byte(magic)[:min(len(head), len(magic))]):
		return nil, 0, fmt.Errorf("%w: does not begin with %q", ErrForeign, magic)
	case len(head) < headBytes:
		return nil, 0, fmt.Errorf("%w: %d bytes long, which is less than a head", ErrIncomplete, size)
	}
	if v := binary.LittleEndian.Uint32(head[8:]); v != version {
		return nil, 0, fmt.Errorf("packed file of version %d, want %d: pack the model again", v, version)
	}
	digest := sha256.Sum256(head[:headBytes-sha256.Size])
	if !bytes.Equal(digest[:], head[headBytes-sha256.Size:]) {
		return nil, 0, fmt.Errorf("%w: its head does not have the SHA-256 that it names", ErrDamaged)
	}
	number := func(at int) int64 { return int64(min(binary.LittleEndian.Uint64(head[at:]), math.MaxInt64)) }
	x = &index{directory: number(16), length: number(24), digest: digest}
	count = binary.LittleEndian.Uint32(head[12:])
	switch {
	case x.length > maxDirectory || int64(count) > x.length/(entryBytes+1):
		return nil, 0, fmt.Errorf("%w: %d sections in a directory of %d bytes, want at most %d", ErrDamaged, count, x.length, maxDirectory)
	case x.directory < Align || x.directory > math.MaxInt64/2 || x.directory%Align != 0 || number(40) != Align || number(32) != x.size():
		return nil, 0, fmt.Errorf("%w: the places in its head do not fit each other", ErrDamaged)
	case size < x.size():
		return nil, 0, fmt.Errorf("%w: %d bytes long, want %d", ErrIncomplete, size, x.size())
	case size > x.size():
		return nil, 0, fmt.Errorf("%w: %d bytes follow its end", ErrDamaged, size-x.size())
	}
	return x, count, nil
}

// parseDirectory takes sections that tile the file exactly up to the directory.
func (x *index) parseDirectory(b []byte, count uint32) error {
	x.sections = make([]Section, 0, count)
	seen := make(map[string]bool, count)
	at := int64(Align)
	for range count {
		if len(b) < 2 || len(b) < int(binary.LittleEndian.Uint16(b))+entryBytes {
			return fmt.Errorf("%w: its directory ends within an entry", ErrDamaged)
		}
		n := 2 + int(binary.LittleEndian.Uint16(b))
		s := Section{Name: string(b[2:n]), SHA256: [sha256.Size]byte(b[n+16:])}
		offset, length := binary.LittleEndian.Uint64(b[n:]), binary.LittleEndian.Uint64(b[n+8:])
		b = b[n-2+entryBytes:]
		switch {
		case !validName(s.Name) || seen[s.Name]:
			return fmt.Errorf("%w: a section named %.120q, or named so twice", ErrDamaged, s.Name)
		case offset != uint64(at):
			return fmt.Errorf("%w: section %q begins at byte %d, want %d", ErrDamaged, s.Name, offset, at)
		case length > maxLength || length > uint64(x.directory-at):
			return fmt.Errorf("%w: section %q has %d bytes, want at most the %d before the directory", ErrDamaged, s.Name, length, x.directory-at)
		}
		s.Offset, s.Length = at, int64(length)
		at = s.end()
		seen[s.Name] = true
		x.sections = append(x.sections, s)
	}
	if len(b) > 0 || at != x.directory {
		return fmt.Errorf("%w: its sections do not end where the directory begins, or it goes on after the last", ErrDamaged)
	}
	return nil
}
