// Command encode turns texts into token ids, for check.py: on standard input each
// text stands behind its length, on standard output its ids behind their number;
// everything is 32 bits wide, little-endian. Standard error says how much processor
// time the encoding alone took, which a busy machine does not change as much as the
// time on the clock.
package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/gptoss/gptoss-operator/engine/tokenizer/o200k"
)

func main() {
	if err := run(os.Stdin, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "encode:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out, figures io.Writer) error {
	begin := processor()
	t, err := o200k.Harmony()
	if err != nil {
		return err
	}
	loading := processor() - begin
	r, w := bufio.NewReaderSize(in, 1<<20), bufio.NewWriterSize(out, 1<<20)
	var encoding time.Duration
	var size uint32
	var ids []int32
	for {
		err := binary.Read(r, binary.LittleEndian, &size)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		text := make([]byte, size)
		if _, err := io.ReadFull(r, text); err != nil {
			return err
		}
		s := string(text)
		begin := processor()
		ids = t.Append(ids[:0], s)
		encoding += processor() - begin
		if err := binary.Write(w, binary.LittleEndian, uint32(len(ids))); err != nil {
			return err
		}
		if err := binary.Write(w, binary.LittleEndian, ids); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(figures, `{"load_seconds": %.4f, "encode_seconds": %.4f}`+"\n", loading.Seconds(), encoding.Seconds())
	return err
}

// processor returns the processor time of all threads so far.
func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // it cannot fail for oneself
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
