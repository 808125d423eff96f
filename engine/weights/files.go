package weights

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
)

// Names within a checkpoint folder.
const (
	configName = "config.json"
	singleName = "model.safetensors"
	indexName  = "model.safetensors.index.json"
)

const (
	maxSmallBytes = 16 << 20 // config.json and the index
	maxShards     = 1 << 10
)

// mapped is the content of a file and how to let go of it.
type mapped struct {
	data  []byte
	close func() error
}

// plan says which files to open and, when sharded, in which of them each tensor lies.
type plan struct {
	files []string
	shard map[string]string // tensor → file; nil for a single file
}

// planFiles prefers the single file, as transformers does.
func planFiles(fsys fs.FS) (plan, error) {
	_, err := fs.Stat(fsys, singleName)
	if err == nil {
		return plan{files: []string{singleName}}, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return plan{}, err
	}
	data, err := readSmall(fsys, indexName)
	if errors.Is(err, fs.ErrNotExist) {
		return plan{}, fmt.Errorf("%s: missing, want it or %s", singleName, indexName)
	}
	if err != nil {
		return plan{}, err
	}
	return parseIndex(data)
}

func parseIndex(data []byte) (plan, error) {
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(data, &index); err != nil {
		return plan{}, fmt.Errorf("%s: not an index: %w", indexName, err)
	}
	if len(index.WeightMap) == 0 {
		return plan{}, fmt.Errorf("%s: field %q is empty, want a file for each tensor", indexName, "weight_map")
	}
	files := map[string]bool{}
	for _, tensor := range slices.Sorted(maps.Keys(index.WeightMap)) {
		file := index.WeightMap[tensor]
		if !plainName(file) {
			return plan{}, fmt.Errorf("%s: tensor %.120q: file %.120q, want a .safetensors file of the same folder", indexName, tensor, file)
		}
		files[file] = true
	}
	if len(files) > maxShards {
		return plan{}, fmt.Errorf("%s: %d files, want at most %d", indexName, len(files), maxShards)
	}
	return plan{files: slices.Sorted(maps.Keys(files)), shard: index.WeightMap}, nil
}

// plainName keeps an index from naming a file outside its folder.
func plainName(file string) bool {
	return fs.ValidPath(file) && !strings.ContainsAny(file, `/\:`) && strings.HasSuffix(file, ".safetensors")
}

// describe names the file to look into when a tensor is nowhere.
func (p plan) describe() string {
	if p.shard == nil {
		return singleName
	}
	return indexName
}

// collect adds the tensors of one file to all, those that the index places in it.
func (p plan) collect(all map[string]located, file string, h header, data []byte) error {
	here := map[string]bool{}
	for _, e := range h.entries {
		if p.shard != nil && p.shard[e.name] != file {
			continue
		}
		here[e.name] = true
		all[e.name] = located{entry: e, file: file, data: h.bytes(data, e)}
	}
	var missing []string
	for tensor, f := range p.shard {
		if f == file && !here[tensor] {
			missing = append(missing, tensor)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%s: tensor %.120q: missing, want it from %s", file, slices.Min(missing), indexName)
	}
	return nil
}

// readSmall reads a JSON file, at most maxSmallBytes of it.
func readSmall(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, describeOpen(name, err)
	}
	defer f.Close() //nolint:errcheck // only read from
	data, err := io.ReadAll(io.LimitReader(f, maxSmallBytes+1))
	if err != nil {
		return nil, describeOpen(name, err)
	}
	if len(data) > maxSmallBytes {
		return nil, fmt.Errorf("%s: longer than %d bytes", name, maxSmallBytes)
	}
	return data, nil
}

// readFile reads a whole file of any size.
func readFile(fsys fs.FS, name string) (mapped, error) {
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return mapped{}, describeOpen(name, err)
	}
	if !info.Mode().IsRegular() {
		return mapped{}, fmt.Errorf("%s: is not a regular file", name)
	}
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return mapped{}, describeOpen(name, err)
	}
	return mapped{data, func() error { return nil }}, nil
}

// describeOpen shortens a path error to one clause that starts with the file's name.
func describeOpen(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: missing: %w", name, fs.ErrNotExist)
	}
	return fmt.Errorf("%s: %w", name, reason(err))
}

// reason takes the operation and the path off an error that is about to name the file itself.
func reason(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}
