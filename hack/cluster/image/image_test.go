package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

var elf = []byte("\x7fELF and more")

type entry struct {
	mode int64
	data []byte
}

func unpack(t *testing.T, data []byte) map[string]entry {
	t.Helper()
	found := map[string]entry{}
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		found[h.Name] = entry{h.Mode, content}
	}
}

func build(t *testing.T, o Options) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, o); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestWrite(t *testing.T) {
	o := Options{Ref: "gptoss.dev/server:dev", Name: "server", Binary: elf, Env: []string{"A=b"}, Certificates: []byte("pem")}
	archive := unpack(t, build(t, o))
	var list []manifest
	if err := json.Unmarshal(archive["manifest.json"].data, &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || len(list[0].RepoTags) != 1 || list[0].RepoTags[0] != o.Ref {
		t.Fatalf("manifest = %+v, want one image %s", list, o.Ref)
	}
	var cfg config
	if err := json.Unmarshal(archive[list[0].Config].data, &cfg); err != nil {
		t.Fatal(err)
	}
	layer := archive[list[0].Layers[0]].data
	if want := fmt.Sprintf("sha256:%x", sha256.Sum256(layer)); cfg.RootFS.DiffIDs[0] != want {
		t.Errorf("layer digest = %s, want %s", cfg.RootFS.DiffIDs[0], want)
	}
	if cfg.Config.User != "65532:65532" || cfg.Config.Entrypoint[0] != "/server" || cfg.Config.Env[1] != "A=b" {
		t.Errorf("config = %+v, want user 65532:65532, entry point /server and A=b", cfg.Config)
	}
	files := unpack(t, layer)
	if got := files["server"]; got.mode != 0o755 || !bytes.Equal(got.data, elf) {
		t.Errorf("server = %o %q, want 755 and the binary", got.mode, got.data)
	}
	if got := files["tmp/"]; got.mode != 0o1777 {
		t.Errorf("tmp has mode %o, want 1777", got.mode)
	}
	if got := files["etc/passwd"].data; !bytes.Contains(got, []byte(":65532:65532:")) {
		t.Errorf("passwd = %q, want user 65532", got)
	}
	if got := files["etc/ssl/certs/ca-certificates.crt"].data; string(got) != "pem" {
		t.Errorf("certificates = %q, want pem", got)
	}
}

func TestWriteIsDeterministic(t *testing.T) {
	o := Options{Ref: "a/b:c", Name: "b", Binary: elf}
	if !bytes.Equal(build(t, o), build(t, o)) {
		t.Error("two runs differ")
	}
	other := o
	other.Binary = append([]byte(nil), elf...)
	other.Binary[8]++
	if bytes.Equal(build(t, o), build(t, other)) {
		t.Error("another binary gives the same image")
	}
}

func TestWriteRefuses(t *testing.T) {
	cases := map[string]struct {
		o    Options
		want string
	}{
		"a reference without a tag":    {Options{Ref: "gptoss.dev/server", Name: "a", Binary: elf}, "NAME:TAG"},
		"a port that looks like a tag": {Options{Ref: "localhost:5000/server", Name: "a", Binary: elf}, "NAME:TAG"},
		"a name with a folder":         {Options{Ref: "a:b", Name: "../a", Binary: elf}, "plain file name"},
		"a script":                     {Options{Ref: "a:b", Name: "a", Binary: []byte("#!/bin/sh")}, "ELF"},
		"nothing":                      {Options{Ref: "a:b", Name: "a"}, "ELF"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			err := Write(io.Discard, tc.o)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error = %v, want one with %q", err, tc.want)
			}
		})
	}
}
