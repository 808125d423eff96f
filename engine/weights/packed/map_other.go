//go:build !unix

package packed

import "os"

// mapFile reads the file where there is no mmap.
func mapFile(file *os.File, size int) (region, error) { return readWhole(file, size) }
