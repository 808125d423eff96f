package v1alpha1

// NetworkPolicySpec makes a NetworkPolicy around the model's pods. The kubelet's probes always pass, and so does the
// operator itself, which reads the pods' load.
type NetworkPolicySpec struct {
	// from are those who may call the model. Default: all pods of the model's namespace. An empty list is nobody. What
	// brings requests from outside, such as an Ingress controller, a Gateway or an endpoint picker, must be among them.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	From []NetworkPeer `json:"from,omitempty"`

	// scrapers are those who may read the metrics; the server has one port, so they reach its API too. Default: pods with
	// the label app.kubernetes.io/name: prometheus of any namespace. An empty list is nobody.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Scrapers []NetworkPeer `json:"scrapers,omitempty"`

	// egress are the places that pods may connect to beside DNS, for example Redis or an identity provider. Default:
	// everywhere. An empty list is DNS only.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Egress []NetworkDestination `json:"egress,omitempty"`
}

// NetworkPeer is pods, by labels of theirs and of their namespaces, or a range of addresses.
//
// +kubebuilder:validation:XValidation:rule="has(self.ipBlock) != (has(self.podSelector) || has(self.namespaceSelector))",message="either ipBlock, or podSelector, namespaceSelector or both"
type NetworkPeer struct {
	// namespaceSelector are labels of namespaces; {} is all. Default: the model's own.
	// +optional
	NamespaceSelector NetworkSelector `json:"namespaceSelector,omitempty"`

	// podSelector are labels of pods there. Default: all.
	// +optional
	PodSelector NetworkSelector `json:"podSelector,omitempty"`

	// ipBlock is a range of addresses.
	// +optional
	IPBlock CIDR `json:"ipBlock,omitempty"`
}

// NetworkSelector are labels, all of which must be there.
//
// +kubebuilder:validation:MaxProperties=16
type NetworkSelector map[string]LabelValue

// NetworkDestination is a NetworkPeer, or every address, and ports there.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.ipBlock) && (has(self.podSelector) || has(self.namespaceSelector)))",message="either ipBlock, or podSelector, namespaceSelector or both"
// +kubebuilder:validation:MinProperties=1
type NetworkDestination struct {
	// namespaceSelector are labels of namespaces; {} is all. Default: the model's own.
	// +optional
	NamespaceSelector NetworkSelector `json:"namespaceSelector,omitempty"`

	// podSelector are labels of pods there. Default: all.
	// +optional
	PodSelector NetworkSelector `json:"podSelector,omitempty"`

	// ipBlock is a range of addresses.
	// +optional
	IPBlock CIDR `json:"ipBlock,omitempty"`

	// ports are TCP ports. Default: all.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Ports []NetworkPort `json:"ports,omitempty"`
}

// NetworkPort is the number of a port.
//
// +kubebuilder:validation:Minimum=1
// +kubebuilder:validation:Maximum=65535
type NetworkPort int32

// Peer is the destination without its ports, or nil when it is every address.
func (d *NetworkDestination) Peer() *NetworkPeer {
	if d.NamespaceSelector == nil && d.PodSelector == nil && d.IPBlock == "" {
		return nil
	}
	return &NetworkPeer{NamespaceSelector: d.NamespaceSelector, PodSelector: d.PodSelector, IPBlock: d.IPBlock}
}
