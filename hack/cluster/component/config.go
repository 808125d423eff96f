package component

import (
	"bytes"
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"text/template"
)

//go:embed files
var files embed.FS

// Host is what the configuration files need to know about the machine.
type Host struct {
	CNIBin      string // folder of the network plugins
	Snapshotter string // how containerd stacks layers: overlayfs, or native where that cannot be
	Masquerade  bool   // replies between pods need masquerading
}

// configs maps a file of the state folder to its template.
func (c Cluster) configs() map[string]string {
	if c.Loopback {
		return map[string]string{"config/audit.yaml": "audit.yaml"}
	}
	return map[string]string{
		"config/audit.yaml":            "audit.yaml",
		"config/kubelet.yaml":          "kubelet.yaml",
		"config/kube-proxy.yaml":       "kube-proxy.yaml",
		"config/containerd.toml":       "containerd.toml",
		"config/cni/10-pods.conflist":  "bridge.conflist",
		"config/resolv.conf":           "resolv.conf",
		"config/manifest/coredns.yaml": "coredns.yaml",
	}
}

// WriteConfigs writes the configuration files.
func (c Cluster) WriteConfigs(h Host) error {
	for path, name := range c.configs() {
		data, err := c.render(name, h)
		if err != nil {
			return err
		}
		path = c.Dir.Path(path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("component: %w", err)
		}
		// Everybody in the node may read resolv.conf; the folder above keeps
		// the host's other users from the rest.
		if err := os.WriteFile(path, data, 0o644); err != nil {
			return fmt.Errorf("component: %w", err)
		}
	}
	return nil
}

func (c Cluster) render(name string, h Host) ([]byte, error) {
	t, err := template.New(name).Option("missingkey=error").ParseFS(files, "files/"+name)
	if err != nil {
		return nil, fmt.Errorf("component: %w", err)
	}
	var b bytes.Buffer
	err = t.Execute(&b, struct {
		Cluster
		Host
		NodeName, PodRange, DNSAddress, Domain, PauseImage, DNSImage string
	}{c, h, NodeName, PodRange, DNSAddress, Domain, PauseImage, DNSImage})
	if err != nil {
		return nil, fmt.Errorf("component: %w", err)
	}
	return b.Bytes(), nil
}
