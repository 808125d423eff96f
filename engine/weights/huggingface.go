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

	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/engine/weights/safetensors"
)

// Names within a checkpoint folder.
const (
	configName = "config.json"
	singleName = "model.safetensors"
	indexName  = "model.safetensors.index.json"
)

const maxShards = 1 << 10

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

// listHuggingFace reads config.json and the heads of the files with weights.
func listHuggingFace(from source) (*listing, error) {
	data, err := readSmall(from.fsys, configName)
	if err != nil {
		return nil, err
	}
	config, err := model.ParseConfig(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", configName, err)
	}
	p, err := planFiles(from.fsys)
	if err != nil {
		return nil, err
	}
	l := &listing{layout: HuggingFace, config: config, source: configName, from: from}
	l.tensors = store{from: p.describe(), own: func(name string) string { return name }, tensors: map[string]stored{}}
	for _, name := range p.files {
		tensors, err := l.addSafetensors(name)
		if err != nil {
			return nil, err
		}
		if err := p.collect(l.tensors.tensors, name, tensors); err != nil {
			return nil, err
		}
	}
	l.check = func(l *listing) error { return l.verify(l.config.Tensors(), floats, model.LayerPrefix) }
	l.assemble = func(l *listing, c *Checkpoint) { c.assemble(l.tensors) }
	return l, nil
}

// addSafetensors reads the head of a file and notes the file and its tensors.
func (l *listing) addSafetensors(name string) ([]stored, error) {
	var tensors []stored
	size, err := readHead(l.from.fsys, name, func(r io.Reader, size int64) error {
		found, err := safetensors.Read(r, size)
		for _, t := range found {
			tensors = append(tensors, stored{t.Name, model.DType(t.Type), t.Shape, name, t.Begin, t.End})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	l.files = append(l.files, FileInfo{name, size})
	l.all = append(l.all, tensors...)
	return tensors, nil
}

// describe names the file to look into when a tensor is nowhere.
func (p plan) describe() string {
	if p.shard == nil {
		return singleName
	}
	return indexName
}

// collect adds the tensors of one file to all, those that the index places in it.
func (p plan) collect(all map[string]stored, file string, tensors []stored) error {
	here := map[string]bool{}
	for _, t := range tensors {
		if p.shard != nil && p.shard[t.name] != file {
			continue
		}
		here[t.name] = true
		all[t.name] = t
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
