package weights

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gptoss/gptoss-operator/engine/model"
)

// Layout is the way in which a checkpoint's files are written.
type Layout string

// The layouts that this package opens.
const (
	HuggingFace Layout = "Hugging Face safetensors"
	Original    Layout = "OpenAI original safetensors"
	GGUF        Layout = "GGUF"
)

const (
	ggufSuffix     = ".gguf"
	originalFolder = "original"
	wantedFiles    = "want config.json with model.safetensors or its shards, OpenAI's folder original, or one .gguf file"
)

// Open opens the checkpoint in a folder, or a .gguf file, and maps its files into memory where the platform can.
// Of a GGUF file in parts any may be named. A mapped file must not be cut short while the checkpoint is open: the system
// would end the process.
func Open(path string) (*Checkpoint, error) {
	return openListing(list(path, whole))
}

// OpenFS opens the checkpoint at the root of fsys and reads its files into memory.
func OpenFS(fsys fs.FS) (*Checkpoint, error) {
	return openListing(listFolder(source{fsys: fsys}, source{}, whole))
}

// openListing checks what was listed before it touches a tensor.
func openListing(l *listing, err error) (*Checkpoint, error) {
	if err != nil {
		return nil, err
	}
	if err := l.check(l); err != nil {
		return nil, err
	}
	c := &Checkpoint{Config: l.config, Layout: l.layout, Vocabulary: l.vocabulary, fsys: l.from.fsys}
	l.tensors.data = map[string][]byte{}
	for _, file := range l.files {
		m, err := l.from.load(file.Name)
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.files = append(c.files, m)
		if int64(len(m.Data)) != file.Size {
			err := fmt.Errorf("%s: %d bytes long, but %d a moment ago", file.Name, len(m.Data), file.Size)
			return nil, errors.Join(err, c.Close())
		}
		l.tensors.data[file.Name] = m.Data
	}
	l.assemble(l, c)
	return c, nil
}

// detail is how much of a GGUF file's metadata is kept: the length of the longest array.
type detail int64

const (
	brief detail = 1 << 12 // all but the vocabulary
	whole detail = 1 << 20 // gpt-oss has 446,189 merges
)

// list finds out what lies at a path and reads the heads of the files.
func list(path string, d detail) (*listing, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%s: want a folder with %s and %s, or a %s file: %w", path, configName, singleName, ggufSuffix, reason(err))
	}
	if info.IsDir() {
		above := source{}
		if full, err := filepath.Abs(path); err == nil {
			above = source{os.DirFS(filepath.Dir(full)), filepath.Dir(full)}
		}
		return listFolder(source{os.DirFS(path), path}, above, d)
	}
	dir, name := filepath.Split(path)
	if !strings.HasSuffix(name, ggufSuffix) {
		return nil, fmt.Errorf("%s: is a file, want a folder or a %s file", path, ggufSuffix)
	}
	dir = filepath.Clean(dir)
	return listGGUF(source{os.DirFS(dir), dir}, name, d)
}

// listFolder tells the layouts apart. Weights of Hugging Face's layout win over others beside them, which repositories
// carry as well. The folder above, if there is one, may have what the original layout lacks.
func listFolder(from, above source, d detail) (*listing, error) {
	hasConfig, hasWeights := from.has(configName), from.has(singleName) || from.has(indexName)
	if hasConfig {
		data, err := readSmall(from.fsys, configName)
		if err != nil {
			return nil, err
		}
		if model.IsOriginal(data) {
			return listOriginal(from, above.fsys, data)
		}
	}
	if hasWeights {
		return listHuggingFace(from)
	}
	models, err := ggufFiles(from.fsys)
	if err != nil {
		return nil, err
	}
	switch {
	case len(models) > 1:
		return nil, fmt.Errorf("%s and %s: several models in one folder, want the path of one of them", models[0], models[1])
	case len(models) == 1:
		return listGGUF(from, models[0], d)
	case from.has(originalFolder + "/" + configName):
		below, err := from.sub(originalFolder)
		if err != nil {
			return nil, err
		}
		data, err := readSmall(below.fsys, configName)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", originalFolder, err)
		}
		return listOriginal(below, from.fsys, data)
	case hasConfig:
		return listHuggingFace(from) // says which file is missing
	}
	return nil, fmt.Errorf("no model in the folder: %s", wantedFiles)
}

// ggufFiles returns the models of a folder, of one in parts the first that is there.
func ggufFiles(fsys fs.FS) ([]string, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, describeOpen(".", err)
	}
	var models []string
	for _, e := range entries { // sorted by name
		name := e.Name()
		if !strings.HasSuffix(name, ggufSuffix) {
			continue
		}
		if stem, _, _, ok := splitName(name); ok && slices.ContainsFunc(models, func(m string) bool {
			other, _, _, ok := splitName(m)
			return ok && other == stem
		}) {
			continue
		}
		models = append(models, name)
	}
	return models, nil
}

// Description is what the heads of a checkpoint's files say.
type Description struct {
	Layout  Layout
	Config  model.Config
	Files   []FileInfo
	Tensors []TensorInfo // in the order of the files
	Problem error        // why the checkpoint could not be opened all the same, or nil
}

// FileInfo is a file with tensors.
type FileInfo struct {
	Name string
	Size int64 // in bytes
}

// TensorInfo is a tensor as it is stored.
type TensorInfo struct {
	Name  string
	Type  model.DType // of GGUF files possibly one that this package cannot decode
	Shape []int64
	File  string
	Bytes int64
}

// Describe finds a checkpoint as [Open] does, but reads no tensor: a file of any size takes a few megabytes.
func Describe(path string) (*Description, error) {
	return describe(list(path, brief))
}

// DescribeFS finds a checkpoint as [OpenFS] does, but reads no tensor.
func DescribeFS(fsys fs.FS) (*Description, error) {
	return describe(listFolder(source{fsys: fsys}, source{}, brief))
}

func describe(l *listing, err error) (*Description, error) {
	if err != nil {
		return nil, err
	}
	d := &Description{Layout: l.layout, Config: l.config, Files: l.files, Problem: l.check(l)}
	for _, t := range l.all {
		d.Tensors = append(d.Tensors, TensorInfo{t.name, t.dtype, t.shape, t.file, t.end - t.begin})
	}
	return d, nil
}
