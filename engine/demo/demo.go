package demo

import (
	"embed"
	"io/fs"
)

//go:embed files
var embedded embed.FS

// Files returns the model's folder: config.json, generation_config.json, tokenizer.json and model.safetensors.
func Files() fs.FS {
	files, err := fs.Sub(embedded, "files")
	if err != nil {
		panic(err) // the name above is not a valid path: cannot happen
	}
	return files
}
