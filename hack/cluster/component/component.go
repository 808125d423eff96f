// Package component builds the argument lists and configuration files of the
// cluster's programs. It starts nothing.
//
// There are two shapes: a node, with fixed addresses that exist only in its
// network namespace, and a control plane alone, on free ports of loopback.
package component

import (
	"fmt"

	"github.com/gptoss/gptoss-operator/hack/cluster/process"
	"github.com/gptoss/gptoss-operator/hack/cluster/state"
)

// The node's addresses lie in 198.18.0.0/15, which is set aside for
// benchmarks and so is nobody's real network.
const (
	NodeName       = "gptoss-node"
	NodeAddress    = "198.18.0.1"
	Gateway        = "198.18.0.254" // nobody is there; a default route is wanted all the same
	PodRange       = "198.18.1.0/24"
	ServiceRange   = "198.19.0.0/24"
	ServiceAddress = "198.19.0.1" // of the service "kubernetes"
	DNSAddress     = "198.19.0.10"
	Domain         = "cluster.local"
)

// Images of the cluster itself.
const (
	PauseImage = "gptoss.dev/pause:1"
	DNSImage   = "gptoss.dev/coredns:dev"
)

// Cluster says where a cluster's files are and which ports it uses.
type Cluster struct {
	Dir                      state.Dir
	Bin                      string // folder of the Kubernetes binaries
	Loopback                 bool   // a control plane alone, on 127.0.0.1
	Port, EtcdPort, PeerPort int
}

// Node is the cluster with a node.
func Node(dir state.Dir, bin string) Cluster {
	return Cluster{Dir: dir, Bin: bin, Port: 6443, EtcdPort: 2379, PeerPort: 2380}
}

// Address is where the API server listens and says it does.
func (c Cluster) Address() string {
	if c.Loopback {
		return "127.0.0.1"
	}
	return NodeAddress
}

// URL is the API server's.
func (c Cluster) URL() string { return fmt.Sprintf("https://%s:%d", c.Address(), c.Port) }

// Hosts is what the API server's certificate is to name.
func (c Cluster) Hosts() []string { return []string{"127.0.0.1", c.Address(), ServiceAddress} }

func (c Cluster) spec(name, program string, args ...string) process.Spec {
	return process.Spec{
		Name: name, Args: append([]string{program}, args...), Log: c.Dir.Log(name),
		// No proxy variable may get in: everything that is called is local.
		Env: []string{"PATH=" + c.Bin + ":/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + c.Dir.Path("run")},
	}
}

func (c Cluster) kube(name string, args ...string) process.Spec {
	return c.spec(name, c.Bin+"/"+name, args...)
}

func flag(name string, value any) string { return fmt.Sprintf("--%s=%v", name, value) }

// Etcd is the database; it speaks to holders of its authority's certificates only.
func (c Cluster) Etcd() process.Spec {
	client, peer := fmt.Sprintf("https://127.0.0.1:%d", c.EtcdPort), fmt.Sprintf("https://127.0.0.1:%d", c.PeerPort)
	args := []string{
		flag("name", "local"), flag("data-dir", c.Dir.Path("etcd")),
		flag("listen-client-urls", client), flag("advertise-client-urls", client),
		flag("listen-peer-urls", peer), flag("initial-advertise-peer-urls", peer), flag("initial-cluster", "local="+peer),
		// A local cluster does not outlive its machine; waiting for the disk is in vain.
		"--unsafe-no-fsync", flag("logger", "zap"), flag("log-level", "warn"),
	}
	for _, prefix := range []string{"", "peer-"} {
		args = append(args,
			flag(prefix+"cert-file", c.Dir.PKI("etcd.crt")), flag(prefix+"key-file", c.Dir.PKI("etcd.key")),
			flag(prefix+"trusted-ca-file", c.Dir.PKI("etcd-ca.crt")), "--"+prefix+"client-cert-auth")
	}
	return c.kube("etcd", args...)
}

// APIServer is the API, with the aggregation layer that custom metrics need and
// an audit log of writes.
func (c Cluster) APIServer() process.Spec {
	pki := c.Dir.PKI
	args := []string{
		flag("etcd-servers", fmt.Sprintf("https://127.0.0.1:%d", c.EtcdPort)),
		flag("etcd-cafile", pki("etcd-ca.crt")), flag("etcd-certfile", pki("etcd.crt")), flag("etcd-keyfile", pki("etcd.key")),
		flag("advertise-address", c.Address()), flag("secure-port", c.Port),
		flag("service-cluster-ip-range", ServiceRange),
		flag("authorization-mode", "Node,RBAC"), flag("enable-admission-plugins", "NodeRestriction"), "--allow-privileged=true",
		flag("client-ca-file", pki("ca.crt")), flag("tls-cert-file", pki("apiserver.crt")), flag("tls-private-key-file", pki("apiserver.key")),
		flag("kubelet-client-certificate", pki("apiserver-kubelet-client.crt")),
		flag("kubelet-client-key", pki("apiserver-kubelet-client.key")),
		flag("kubelet-preferred-address-types", "InternalIP"),
		flag("service-account-issuer", "https://kubernetes.default.svc."+Domain),
		flag("service-account-key-file", pki("sa.crt")), flag("service-account-signing-key-file", pki("sa.key")),
		flag("requestheader-client-ca-file", pki("front-proxy-ca.crt")), flag("requestheader-allowed-names", "front-proxy-client"),
		flag("requestheader-extra-headers-prefix", "X-Remote-Extra-"), flag("requestheader-group-headers", "X-Remote-Group"),
		flag("requestheader-username-headers", "X-Remote-User"),
		flag("proxy-client-cert-file", pki("front-proxy-client.crt")), flag("proxy-client-key-file", pki("front-proxy-client.key")),
		"--enable-aggregator-routing=true",
		flag("audit-policy-file", c.Dir.Config("audit.yaml")), flag("audit-log-path", c.Dir.Path("audit.log")),
		flag("audit-log-maxsize", 100), flag("audit-log-maxbackup", 2),
	}
	if c.Loopback {
		// Nobody could reach a loopback address through the service "kubernetes".
		args = append(args, flag("bind-address", "127.0.0.1"), flag("endpoint-reconciler-type", "none"))
	}
	return c.kube("kube-apiserver", args...)
}

// delegated are the flags of a component that asks the API server who its callers are.
func (c Cluster) delegated(user string) []string {
	kubeconfig := c.Dir.PKI(user + ".kubeconfig")
	args := []string{
		flag("kubeconfig", kubeconfig), flag("authentication-kubeconfig", kubeconfig),
		flag("authorization-kubeconfig", kubeconfig), "--leader-elect=false",
	}
	if c.Loopback {
		return append(args, "--secure-port=0")
	}
	return append(args, flag("cert-dir", c.Dir.Path("run", user)))
}

// ControllerManager scales quickly, so that a demonstration of it is no wait.
func (c Cluster) ControllerManager() process.Spec {
	return c.kube("kube-controller-manager", append(c.delegated("controller-manager"),
		"--use-service-account-credentials", flag("root-ca-file", c.Dir.PKI("ca.crt")),
		flag("service-account-private-key-file", c.Dir.PKI("sa.key")),
		flag("cluster-signing-cert-file", c.Dir.PKI("ca.crt")), flag("cluster-signing-key-file", c.Dir.PKI("ca.key")),
		flag("flex-volume-plugin-dir", c.Dir.Path("volume-plugins")),
		flag("horizontal-pod-autoscaler-sync-period", "5s"),
		flag("horizontal-pod-autoscaler-downscale-stabilization", "10s"))...)
}

// Scheduler places pods.
func (c Cluster) Scheduler() process.Spec {
	return c.kube("kube-scheduler", c.delegated("scheduler")...)
}

// Containerd runs containers.
func (c Cluster) Containerd() process.Spec {
	return c.spec("containerd", "containerd", flag("config", c.Dir.Config("containerd.toml")))
}

// Kubelet runs the node's pods.
func (c Cluster) Kubelet() process.Spec {
	return c.kube("kubelet", flag("config", c.Dir.Config("kubelet.yaml")), flag("kubeconfig", c.Dir.PKI("kubelet.kubeconfig")),
		flag("hostname-override", NodeName), flag("node-ip", NodeAddress))
}

// Proxy makes service addresses work.
func (c Cluster) Proxy() process.Spec {
	return c.kube("kube-proxy", flag("config", c.Dir.Config("kube-proxy.yaml")))
}
