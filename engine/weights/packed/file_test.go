package packed

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model")
	create(t, path, parts())
	f := openFile(t, path)
	var got []piece
	for _, s := range f.Sections() {
		view, ok := f.Section(s.Name)
		checked, err := f.Checked(s.Name)
		file, fileErr := fs.ReadFile(f, s.Name)
		if !ok || err != nil || fileErr != nil || !bytes.Equal(view, checked) || !bytes.Equal(view, file) {
			t.Errorf("section %s: %v, %v, %v", s.Name, ok, err, fileErr)
		}
		if s.Offset%Align != 0 || s.Offset < Align {
			t.Errorf("section %s begins at byte %d", s.Name, s.Offset)
		}
		got = append(got, piece{s.Name, string(view)})
	}
	if diff := cmp.Diff(parts(), got, cmp.AllowUnexported(piece{})); diff != "" {
		t.Errorf("sections (-want +got):\n%s", diff)
	}
	if err := f.Verify(); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != f.Size() {
		t.Errorf("size %d, want that of the file: %v, %v", f.Size(), info, err)
	}
	if want := runtime.GOOS == "linux"; want && !f.Mapped() {
		t.Error("the file is not mapped")
	}
	if _, ok := f.Section("none"); ok || !Is(path) {
		t.Errorf("there is a section of another name, or the file is not recognised")
	}
	for _, name := range []string{"none", "../model"} {
		if _, err := f.Open(name); err == nil {
			t.Errorf("section %q opens", name)
		}
	}
	if _, err := f.Open("none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a section that is not there: %v", err)
	}
}

// TestDigest depends on names and contents, and on nothing else.
func TestDigest(t *testing.T) {
	dir := t.TempDir()
	renamed, changed := parts(), parts()
	renamed[1].name, changed[0].content = "other", `{"model_type":"y"}`
	digests := map[string]string{}
	for name, p := range map[string][]piece{"a": parts(), "b": parts(), "renamed": renamed, "changed": changed, "none": nil} {
		path := filepath.Join(dir, name)
		create(t, path, p)
		f := openFile(t, path)
		digests[name] = f.Digest()
		if err := f.Verify(); err != nil || !strings.HasPrefix(f.Digest(), "sha256:") || len(f.Digest()) != 71 {
			t.Errorf("%s: %s, %v", name, f.Digest(), err)
		}
	}
	if digests["a"] != digests["b"] || digests["a"] == digests["renamed"] || digests["a"] == digests["changed"] || digests["a"] == digests["none"] {
		t.Errorf("digests %v", digests)
	}
}

// rehash makes the digests of a file fit what was changed in its directory or head.
func rehash(file []byte) {
	at, length := binary.LittleEndian.Uint64(file[16:]), binary.LittleEndian.Uint64(file[24:])
	if at <= uint64(len(file)) && length <= uint64(len(file))-at {
		sum := sha256.Sum256(file[at : at+length])
		copy(file[48:], sum[:])
	}
	sum := sha256.Sum256(file[:headBytes-sha256.Size])
	copy(file[headBytes-sha256.Size:], sum[:])
	copy(file[len(file)-sha256.Size:], sum[:])
}

func TestOpenRefuses(t *testing.T) {
	good := image(t, parts())
	directory := int(binary.LittleEndian.Uint64(good[16:]))
	put := func(at int, v uint64) func([]byte) []byte {
		return func(b []byte) []byte {
			binary.LittleEndian.PutUint64(b[at:], v)
			rehash(b)
			return b
		}
	}
	first := directory + 2 + len(parts()[0].name) // offset and length of the first section
	tests := map[string]struct {
		change func([]byte) []byte
		kind   error // of what Open returns; nil if it is of none of them
		want   string
	}{
		"an empty file":          {func([]byte) []byte { return nil }, ErrForeign, "empty"},
		"another format":         {func([]byte) []byte { return []byte("GGUF and more") }, ErrForeign, `does not begin with "GPTOSSPK"`},
		"another short format":   {func([]byte) []byte { return []byte("GGUF") }, ErrForeign, `does not begin with "GPTOSSPK"`},
		"no head yet":            {func(b []byte) []byte { clear(b[:headBytes]); return b }, ErrForeign, "begins with zeros, as one whose writing was cut off"},
		"a few bytes":            {func(b []byte) []byte { return b[:5] }, ErrIncomplete, "5 bytes long, which is less than a head"},
		"half of it":             {func(b []byte) []byte { return b[:len(b)/2] }, ErrIncomplete, fmt.Sprintf("%d bytes long, want %d", len(good)/2, len(good))},
		"all but a byte":         {func(b []byte) []byte { return b[:len(b)-1] }, ErrIncomplete, "bytes long, want"},
		"a byte too much":        {func(b []byte) []byte { return append(b, 0) }, ErrDamaged, "1 bytes follow its end"},
		"no tail":                {func(b []byte) []byte { clear(b[len(b)-tailBytes:]); return b }, ErrIncomplete, "its last 40 bytes are missing"},
		"the tail of another":    {func(b []byte) []byte { b[len(b)-1]++; return b }, ErrIncomplete, "or of another file"},
		"a later version":        {func(b []byte) []byte { b[8] = 2; return b }, nil, "packed file of version 2, want 1: pack the model again"},
		"a changed head":         {func(b []byte) []byte { b[12]++; return b }, ErrDamaged, "its head does not have the SHA-256"},
		"a changed directory":    {func(b []byte) []byte { b[directory+2]++; return b }, ErrDamaged, "its directory does not have the SHA-256"},
		"endless sections":       {put(12, 1<<31), ErrDamaged, "sections in a directory of"},
		"an endless directory":   {put(24, 1<<62), ErrDamaged, "sections in a directory of"},
		"a directory elsewhere":  {put(16, 1<<40), ErrDamaged, "the places in its head do not fit"},
		"a directory at the top": {put(16, 1<<63+Align), ErrDamaged, "the places in its head do not fit"},
		"a crooked directory":    {put(16, uint64(directory)+1), ErrDamaged, "the places in its head do not fit"},
		"another alignment":      {put(40, 4096), ErrDamaged, "the places in its head do not fit"},
		"a section in the head":  {put(first, 0), ErrDamaged, `section "config.json" begins at byte 0, want 65536`},
		"a section elsewhere":    {put(first, 2*Align), ErrDamaged, "begins at byte 131072, want 65536"},
		"a long section":         {put(first+8, 1<<40), ErrDamaged, "has 1099511627776 bytes, want at most"},
		"an endless section":     {put(first+8, 1<<64-1), ErrDamaged, "want at most"},
		"an overlap":             {put(first+8, Align+1), ErrDamaged, "begins at byte 131072, want 196608"},
		"a bad name":             {func(b []byte) []byte { b[directory+2] = '/'; rehash(b); return b }, ErrDamaged, `a section named "/onfig.json"`},
		"a long name":            {func(b []byte) []byte { b[directory+1] = 0xff; rehash(b); return b }, ErrDamaged, "its directory ends within an entry"},
		"fewer sections": {func(b []byte) []byte {
			binary.LittleEndian.PutUint32(b[12:], 3)
			rehash(b)
			return b
		}, ErrDamaged, "its sections do not end where the directory begins"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x")
			if err := os.WriteFile(path, tc.change(bytes.Clone(good)), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Open(path)
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), "packed: "+path+": ") {
				t.Fatalf("error %v, want one with %q", err, tc.want)
			}
			for _, kind := range []error{ErrForeign, ErrIncomplete, ErrDamaged} {
				if errors.Is(err, kind) != errors.Is(tc.kind, kind) {
					t.Errorf("%v: is %v: %v", err, kind, errors.Is(err, kind))
				}
			}
		})
	}
}

// TestEveryByteCounts changes one byte after the other: Open or Verify notices.
func TestEveryByteCounts(t *testing.T) {
	good := image(t, parts()[:2])
	path := filepath.Join(t.TempDir(), "x")
	var places []int
	for at := range good {
		if at < 2*headBytes || at > len(good)-400 || at%4099 == 0 {
			places = append(places, at)
		}
	}
	for _, at := range append(places, Align, Align+1, Align+17, Align+18) {
		bad := bytes.Clone(good)
		bad[at] ^= 0x40
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := Open(path)
		if err == nil {
			err = errors.Join(f.Verify(), f.Close())
		}
		if err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("byte %d: error %v, want one in one line", at, err)
		}
	}
}

// TestNoBeginningIsAFile cuts the file at places of all kinds.
func TestNoBeginningIsAFile(t *testing.T) {
	good := image(t, parts())
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	for n := len(good) - 1; n >= 0; n -= 1 + (len(good)-n)*3/2 {
		if err := os.Truncate(path, int64(n)); err != nil {
			t.Fatal(err)
		}
		if f, err := Open(path); err == nil {
			t.Errorf("the first %d of %d bytes open: %v", n, len(good), f.Close())
		}
	}
}

func TestOpenRefusesWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{dir: "is not a regular file", filepath.Join(dir, "none"): "no such file or directory"} {
		if _, err := Open(path); err == nil || err.Error() != "packed: "+path+": "+want {
			t.Errorf("error %v, want %q", err, want)
		}
		if Is(path) {
			t.Errorf("%s is recognised", path)
		}
	}
}

// FuzzOpen parses anything with digests that fit; what is accepted lies within the file.
func FuzzOpen(f *testing.F) {
	good := image(f, parts()[:2])
	f.Add(good[:headBytes], good[2*Align:])
	f.Add(good[:4], []byte{})
	f.Add([]byte{}, good[2*Align:])
	f.Fuzz(func(t *testing.T, head, end []byte) {
		file := make([]byte, 2*Align, 2*Align+len(end))
		copy(file[:Align], head)
		file = append(file, end...)
		for range 2 { // as it is, then with digests that fit
			x, err := parse(bytes.NewReader(file), int64(len(file)))
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("error in several lines: %v", err)
			}
			if err == nil {
				at := int64(Align)
				for _, s := range x.sections {
					if s.Offset != at || s.end() > x.directory || !validName(s.Name) {
						t.Errorf("section %+v", s)
					}
					at = s.end()
				}
				if at != x.directory || x.size() != int64(len(file)) {
					t.Errorf("index %+v", x)
				}
			}
			rehash(file)
		}
	})
}
