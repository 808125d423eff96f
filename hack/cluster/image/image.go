// Package image writes container images without a container builder.
//
// An image is one layer around one static binary, in the docker-archive form
// that containerd imports. Equal inputs give equal bytes: no time, no host name
// and no map order goes into the file.
package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"runtime"
	"strings"
	"time"
)

// User is whom the image's process runs as.
const User = "65532:65532"

const (
	passwd = "root:x:0:0:root:/:/none\nnonroot:x:65532:65532:nonroot:/:/none\n"
	group  = "root:x:0:\nnonroot:x:65532:\n"
)

// Options says what is in an image.
type Options struct {
	Ref          string   // name and tag, e.g. gptoss.dev/gptoss-server:dev
	Name         string   // file name of the binary, put at the root
	Binary       []byte   // a static Linux executable
	Env          []string // NAME=value, beside PATH
	Certificates []byte   // root certificates in PEM; none when empty
}

type config struct {
	Architecture string       `json:"architecture"`
	OS           string       `json:"os"`
	Created      time.Time    `json:"created"`
	Config       process      `json:"config"`
	RootFS       rootFS       `json:"rootfs"`
	History      []historyRow `json:"history"`
}

type process struct {
	User       string   `json:"User"`
	Env        []string `json:"Env"`
	Entrypoint []string `json:"Entrypoint"`
	WorkingDir string   `json:"WorkingDir"`
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

type historyRow struct {
	Created   time.Time `json:"created"`
	CreatedBy string    `json:"created_by"`
}

type manifest struct {
	Config   string   `json:"Config"`
	RepoTags []string `json:"RepoTags"`
	Layers   []string `json:"Layers"`
}

// Write writes the image to w.
func Write(w io.Writer, o Options) error {
	if err := o.validate(); err != nil {
		return err
	}
	layer, err := o.layer()
	if err != nil {
		return err
	}
	epoch := time.Unix(0, 0).UTC()
	cfg, err := json.Marshal(config{
		Architecture: runtime.GOARCH, OS: "linux", Created: epoch,
		Config: process{
			User: User, Env: append([]string{"PATH=/"}, o.Env...),
			Entrypoint: []string{"/" + o.Name}, WorkingDir: "/",
		},
		RootFS:  rootFS{Type: "layers", DiffIDs: []string{fmt.Sprintf("sha256:%x", sha256.Sum256(layer))}},
		History: []historyRow{{Created: epoch, CreatedBy: "hack/cluster image"}},
	})
	if err != nil {
		return fmt.Errorf("image: %w", err)
	}
	cfgName := fmt.Sprintf("%x.json", sha256.Sum256(cfg))
	list, err := json.Marshal([]manifest{{Config: cfgName, RepoTags: []string{o.Ref}, Layers: []string{"layer.tar"}}})
	if err != nil {
		return fmt.Errorf("image: %w", err)
	}
	a := archive{w: tar.NewWriter(w)}
	a.file(cfgName, 0o644, cfg)
	a.file("layer.tar", 0o644, layer)
	a.file("manifest.json", 0o644, list)
	return a.close()
}

func (o Options) validate() error {
	name, tag, ok := strings.Cut(o.Ref[strings.LastIndex(o.Ref, "/")+1:], ":")
	if !ok || name == "" || tag == "" || strings.ContainsAny(o.Ref, " \t\n@") {
		return fmt.Errorf("image: reference %q: want NAME:TAG, e.g. gptoss.dev/gptoss-server:dev", o.Ref)
	}
	if o.Name == "" || o.Name != path.Base(o.Name) || o.Name == "." || o.Name == "/" {
		return fmt.Errorf("image: binary name %q: want a plain file name", o.Name)
	}
	if !bytes.HasPrefix(o.Binary, []byte("\x7fELF")) {
		return errors.New("image: the binary is no Linux executable (no ELF header)")
	}
	return nil
}

func (o Options) layer() ([]byte, error) {
	var b bytes.Buffer
	a := archive{w: tar.NewWriter(&b)}
	a.dir("tmp/", 0o1777)
	a.dir("etc/", 0o755)
	a.file("etc/passwd", 0o644, []byte(passwd))
	a.file("etc/group", 0o644, []byte(group))
	if len(o.Certificates) > 0 {
		a.dir("etc/ssl/", 0o755)
		a.dir("etc/ssl/certs/", 0o755)
		a.file("etc/ssl/certs/ca-certificates.crt", 0o644, o.Certificates)
	}
	a.file(o.Name, 0o755, o.Binary)
	if err := a.close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// archive writes tar entries and keeps the first error.
type archive struct {
	w   *tar.Writer
	err error
}

func (a *archive) dir(name string, mode int64) {
	if a.err == nil {
		a.err = a.w.WriteHeader(&tar.Header{Name: name, Mode: mode, Typeflag: tar.TypeDir, ModTime: time.Unix(0, 0)})
	}
}

func (a *archive) file(name string, mode int64, data []byte) {
	if a.err != nil {
		return
	}
	h := &tar.Header{Name: name, Mode: mode, Size: int64(len(data)), Typeflag: tar.TypeReg, ModTime: time.Unix(0, 0)}
	if a.err = a.w.WriteHeader(h); a.err == nil {
		_, a.err = a.w.Write(data)
	}
}

func (a *archive) close() error {
	if a.err == nil {
		a.err = a.w.Close()
	}
	if a.err != nil {
		return fmt.Errorf("image: %w", a.err)
	}
	return nil
}
