// Package state knows where the local cluster keeps its files and what it
// remembers about a running node.
package state

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Cache is the folder outside the checkout that everything below lies in.
func Cache() (string, error) {
	if dir := os.Getenv("GPTOSS_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	base := os.Getenv("XDG_CACHE_HOME")
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("state: neither GPTOSS_CACHE nor HOME is set: %w", err)
		}
		base = filepath.Join(home, ".cache")
	}
	return filepath.Abs(filepath.Join(base, "gptoss-operator"))
}

// Dir is the state folder of one cluster, an absolute path.
type Dir string

// Open names the state folder of the cluster called name; it creates nothing.
func Open(name string) (Dir, error) {
	cache, err := Cache()
	if err != nil {
		return "", err
	}
	return Dir(filepath.Join(cache, name)), nil
}

// Path joins elements to the folder.
func (d Dir) Path(elem ...string) string {
	return filepath.Join(append([]string{string(d)}, elem...)...)
}

// Kubeconfig is the administrator's kubeconfig file.
func (d Dir) Kubeconfig() string { return d.Path("kubeconfig") }

// PKI is a file of the cluster's certificates.
func (d Dir) PKI(name string) string { return d.Path("pki", name) }

// Config is a rendered configuration file.
func (d Dir) Config(name string) string { return d.Path("config", name) }

// Log is the log file of a component.
func (d Dir) Log(component string) string { return d.Path("log", component+".log") }

// Lock is the file that up and down lock; it lies beside the folder, because
// down deletes the folder.
func (d Dir) Lock() string { return string(d) + ".lock" }

// Group is the name of the cluster's control group: one per state folder, so
// that clean-up never touches another cluster's.
func (d Dir) Group() string {
	sum := sha256.Sum256([]byte(d))
	return fmt.Sprintf("gptoss-cluster-%x", sum[:4])
}

// Make creates the folder and the ones inside it, for the owner only.
func (d Dir) Make() error {
	for _, sub := range []string{"pki", "config", "log", "run"} {
		if err := os.MkdirAll(d.Path(sub), 0o700); err != nil {
			return fmt.Errorf("state: %w", err)
		}
	}
	return nil
}

// Node is what is remembered about a node between commands.
type Node struct {
	PID       int      `json:"pid"`       // of the node's first process, as the host sees it
	StartTime uint64   `json:"startTime"` // of that process, in clock ticks since boot
	Bin       string   `json:"bin"`       // folder of the Kubernetes binaries
	Groups    []string `json:"groups"`    // control group folders that were made for the node
	Join      []string `json:"join"`      // control group folders that its processes join
	Made      []string `json:"made"`      // mount points that had to be made on the host
	Ready     bool     `json:"ready"`     // up came to its end
}

func (d Dir) record() string { return d.Path("node.json") }

// Load reads the record; ok is false when there is none.
func (d Dir) Load() (n Node, ok bool, err error) {
	data, err := os.ReadFile(d.record())
	if errors.Is(err, fs.ErrNotExist) {
		return Node{}, false, nil
	}
	if err != nil {
		return Node{}, false, fmt.Errorf("state: %w", err)
	}
	if err := json.Unmarshal(data, &n); err != nil {
		return Node{}, false, fmt.Errorf("state: %s: %w", d.record(), err)
	}
	return n, true, nil
}

// Save writes the record so that a reader sees the old or the new one, whole.
func (d Dir) Save(n Node) error {
	data, err := json.MarshalIndent(n, "", "  ")
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	tmp := d.record() + ".tmp"
	if err := os.WriteFile(tmp, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	if err := os.Rename(tmp, d.record()); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	return nil
}
