package component

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/gptoss/gptoss-operator/hack/cluster/process"
	"github.com/gptoss/gptoss-operator/hack/cluster/state"
)

func plane() Cluster {
	return Cluster{Dir: "/s", Bin: "/bin/kube", Loopback: true, Port: 1001, EtcdPort: 1002, PeerPort: 1003}
}

func TestArguments(t *testing.T) {
	node := Node("/s", "/bin/kube")
	cases := map[string]struct {
		spec           process.Spec
		want, wantNone []string
	}{
		"the node's API server is on its address": {
			node.APIServer(),
			[]string{"--advertise-address=198.18.0.1", "--secure-port=6443", "--audit-log-path=/s/audit.log", "--enable-aggregator-routing=true"},
			[]string{"--bind-address=127.0.0.1"},
		},
		"the lone API server is on loopback only": {
			plane().APIServer(),
			[]string{"--advertise-address=127.0.0.1", "--bind-address=127.0.0.1", "--secure-port=1001", "--etcd-servers=https://127.0.0.1:1002"},
			nil,
		},
		"etcd asks for certificates, clients' and peers'": {
			plane().Etcd(),
			[]string{
				"--client-cert-auth", "--peer-client-cert-auth", "--trusted-ca-file=/s/pki/etcd-ca.crt",
				"--listen-client-urls=https://127.0.0.1:1002", "--listen-peer-urls=https://127.0.0.1:1003",
			},
			nil,
		},
		"the lone controller manager serves nothing": {plane().ControllerManager(), []string{"--secure-port=0"}, nil},
		"the node's controller manager scales quickly": {
			node.ControllerManager(), []string{"--horizontal-pod-autoscaler-sync-period=5s"}, []string{"--secure-port=0"},
		},
		"the kubelet has the node's name": {node.Kubelet(), []string{"--hostname-override=gptoss-node"}, nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			for _, want := range tc.want {
				if !slices.Contains(tc.spec.Args, want) {
					t.Errorf("%s is missing in %q", want, tc.spec.Args)
				}
			}
			for _, none := range tc.wantNone {
				if slices.Contains(tc.spec.Args, none) {
					t.Errorf("%s is in %q", none, tc.spec.Args)
				}
			}
			if want := "/s/log/" + tc.spec.Name + ".log"; tc.spec.Log != want {
				t.Errorf("log = %q, want %q", tc.spec.Log, want)
			}
		})
	}
}

func TestNoProxyReachesComponents(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://proxy.invalid")
	for _, kv := range Node("/s", "/b").Kubelet().Env {
		if strings.Contains(strings.ToLower(kv), "proxy.invalid") {
			t.Errorf("environment has %q", kv)
		}
	}
}

func TestWriteConfigs(t *testing.T) {
	dir := state.Dir(t.TempDir() + `/with "quotes"`)
	if err := dir.Make(); err != nil {
		t.Fatal(err)
	}
	h := Host{CNIBin: "/usr/lib/cni", Snapshotter: "native", Masquerade: true}
	if err := Node(dir, "/b").WriteConfigs(h); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct{ file, want string }{
		"the kubelet gives pods the cluster's DNS": {"kubelet.yaml", "clusterDNS: [198.19.0.10]"},
		"containerd stacks as the host can":        {"containerd.toml", `snapshotter = "native"`},
		"containerd's strings are quoted":          {"containerd.toml", `/with \"quotes\"/containerd"`},
		"kube-proxy masquerades":                   {"kube-proxy.yaml", "masqueradeAll: true"},
		"names are looked up in the cluster":       {"resolv.conf", "nameserver 198.19.0.10\n"},
		"DNS has the address that pods are told":   {"manifest/coredns.yaml", "clusterIP: 198.19.0.10"},
		"writes are audited":                       {"audit.yaml", "level: Metadata"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(dir.Config(tc.file))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(data), tc.want) {
				t.Errorf("%s lacks %q:\n%s", tc.file, tc.want, data)
			}
		})
	}
	conflist, err := os.ReadFile(dir.Config("cni/10-pods.conflist"))
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(conflist) {
		t.Errorf("the network configuration is no JSON:\n%s", conflist)
	}
}
