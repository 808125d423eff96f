//go:build !unix

package mapping

import "os"

// Open reads the first bytes of a file. The file may be closed afterwards.
func Open(file *os.File, size int) (*Memory, error) { return Copy(file, size, nil) }
