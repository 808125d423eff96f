//go:build !unix

package weights

import "os"

// mapFile reads the file where there is no mmap.
func mapFile(dir, name string) (mapped, error) {
	return readFile(os.DirFS(dir), name)
}
