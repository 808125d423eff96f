package v1alpha1

// ExposeSpec says by which ways clients reach the model. Inside the cluster the Service is always there.
type ExposeSpec struct {
	// service tunes the Service.
	// +optional
	Service *ServiceSpec `json:"service,omitempty"`

	// ingress makes an Ingress.
	// +optional
	Ingress *IngressSpec `json:"ingress,omitempty"`

	// httpRoute makes an HTTPRoute of the Gateway API.
	// +optional
	HTTPRoute *HTTPRouteSpec `json:"httpRoute,omitempty"`

	// inferencePool makes an InferencePool of the Gateway API's inference extension, and lets httpRoute lead to it.
	// +optional
	InferencePool *InferencePoolSpec `json:"inferencePool,omitempty"`
}

// ServiceSpec tunes the Service.
//
// +kubebuilder:validation:XValidation:rule="!has(self.loadBalancerSourceRanges) || (has(self.type) && self.type == 'LoadBalancer')",message="loadBalancerSourceRanges needs type: LoadBalancer"
type ServiceSpec struct {
	// type is ClusterIP, NodePort or LoadBalancer. Default: ClusterIP.
	// +optional
	Type ServiceType `json:"type,omitempty"`

	// port is what clients connect to. Default: 8000.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port *int32 `json:"port,omitempty"`

	// loadBalancerSourceRanges are the only addresses that the load balancer lets in, such as 10.0.0.0/8.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	LoadBalancerSourceRanges []CIDR `json:"loadBalancerSourceRanges,omitempty"`

	// annotations are added to the Service, for example for a cloud's load balancer.
	// +optional
	Annotations Annotations `json:"annotations,omitempty"`
}

// ServiceType is how a Service is reached.
//
// +kubebuilder:validation:Enum=ClusterIP;NodePort;LoadBalancer
type ServiceType string

// The types of a Service.
const (
	ServiceClusterIP    ServiceType = "ClusterIP"
	ServiceNodePort     ServiceType = "NodePort"
	ServiceLoadBalancer ServiceType = "LoadBalancer"
)

// CIDR is a range of IP addresses.
//
// +kubebuilder:validation:MaxLength=43
// +kubebuilder:validation:XValidation:rule="isCIDR(self)",message="must be like 10.0.0.0/8"
type CIDR string

// Annotations are annotations of an object.
//
// +kubebuilder:validation:MaxProperties=32
type Annotations map[string]AnnotationValue

// AnnotationValue is the value of an annotation.
//
// +kubebuilder:validation:MaxLength=4096
type AnnotationValue string

// IngressSpec makes an Ingress.
//
// +kubebuilder:validation:XValidation:rule="!has(self.tls) || has(self.host)",message="tls needs host: a certificate is for a name"
type IngressSpec struct {
	// className is the IngressClass. Default: the cluster's default class.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	ClassName string `json:"className,omitempty"`

	// host is the name that clients use. Without it, requests for every name are taken.
	// +optional
	Host Hostname `json:"host,omitempty"`

	// path is the prefix of the paths that are let in; the server sees it unchanged. Default: /.
	// +optional
	Path PathPrefix `json:"path,omitempty"`

	// tls ends TLS at the Ingress.
	// +optional
	TLS *IngressTLS `json:"tls,omitempty"`

	// nginx says whether the annotations of ingress-nginx are set that streaming and its limit of 5 requests per second
	// and address (burst 10) need: Auto (for a class with nginx in its name), Enabled or Disabled. Default: Auto.
	// +optional
	Nginx NginxMode `json:"nginx,omitempty"`

	// annotations are added to the Ingress, and win over those that nginx sets; an empty value removes one of these.
	// +optional
	Annotations Annotations `json:"annotations,omitempty"`
}

// IngressTLS ends TLS at the Ingress.
type IngressTLS struct {
	// secretName is the Secret with the certificate, which cert-manager or you make.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	SecretName string `json:"secretName"`
}

// NginxMode says whether annotations of ingress-nginx are set.
//
// +kubebuilder:validation:Enum=Auto;Enabled;Disabled
type NginxMode string

// The modes of ingress-nginx' annotations.
const (
	NginxAuto     NginxMode = "Auto"
	NginxEnabled  NginxMode = "Enabled"
	NginxDisabled NginxMode = "Disabled"
)

// Hostname is a DNS name, whose first label may be '*'.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=253
// +kubebuilder:validation:Pattern=`^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
type Hostname string

// PathPrefix is the beginning of an HTTP path.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=256
// +kubebuilder:validation:Pattern=`^/([A-Za-z0-9_~-][A-Za-z0-9._~-]*/?)*$`
type PathPrefix string

// HTTPRouteSpec makes an HTTPRoute.
type HTTPRouteSpec struct {
	// parentRefs are the Gateways that serve the route.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	ParentRefs []ParentRef `json:"parentRefs"`

	// hostnames are the names that clients use. Without any, those of the Gateway's listeners.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Hostnames []Hostname `json:"hostnames,omitempty"`

	// path is the prefix of the paths that are let in; the server sees it unchanged. Default: /.
	// +optional
	Path PathPrefix `json:"path,omitempty"`

	// timeouts bound requests. Default: none, since an answer is streamed for as long as the model writes it.
	// +optional
	Timeouts *HTTPRouteTimeouts `json:"timeouts,omitempty"`

	// annotations are added to the HTTPRoute.
	// +optional
	Annotations Annotations `json:"annotations,omitempty"`
}

// ParentRef names a Gateway.
type ParentRef struct {
	// name is the Gateway's name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Name string `json:"name"`

	// namespace is the Gateway's. Default: that of the GptOssModel.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace,omitempty"`

	// sectionName is the listener's. Default: every listener that fits.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	SectionName string `json:"sectionName,omitempty"`

	// port is the listener's. Default: every listener that fits.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port *int32 `json:"port,omitempty"`
}

// HTTPRouteTimeouts bound requests; 0s is no bound.
//
// +kubebuilder:validation:XValidation:rule="!has(self.request) || !has(self.backendRequest) || duration(self.request) == duration('0s') || duration(self.backendRequest) <= duration(self.request)",message="backendRequest must not be longer than request"
type HTTPRouteTimeouts struct {
	// request bounds a request from its first byte to the last of its answer. Default: 0s.
	// +optional
	Request GatewayDuration `json:"request,omitempty"`

	// backendRequest bounds one attempt of the gateway to reach a pod. Default: that of request.
	// +optional
	BackendRequest GatewayDuration `json:"backendRequest,omitempty"`
}

// GatewayDuration is a duration in the Gateway API's form, such as 10m or 1h30m.
//
// +kubebuilder:validation:MaxLength=24
// +kubebuilder:validation:Pattern=`^([0-9]{1,5}(h|m|s|ms)){1,4}$`
type GatewayDuration string

// InferencePoolSpec makes an InferencePool.
type InferencePoolSpec struct {
	// endpointPicker is the Service that chooses a pod for each request.
	// +required
	EndpointPicker EndpointPickerRef `json:"endpointPicker"`
}

// EndpointPickerRef names an endpoint picker's Service.
type EndpointPickerRef struct {
	// name is the Service's, in the namespace of the GptOssModel.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`

	// port is the Service's. Default: 9002.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port *int32 `json:"port,omitempty"`

	// failureMode says what becomes of requests while the picker is away: FailOpen lets any pod answer, FailClose none.
	// Default: FailOpen.
	// +optional
	FailureMode PickerFailureMode `json:"failureMode,omitempty"`
}

// PickerFailureMode says what becomes of requests without an endpoint picker.
//
// +kubebuilder:validation:Enum=FailOpen;FailClose
type PickerFailureMode string

// The failure modes of an endpoint picker.
const (
	PickerFailOpen  PickerFailureMode = "FailOpen"
	PickerFailClose PickerFailureMode = "FailClose"
)

// DefaultPort is the Service's port.
const DefaultPort = 8000

// ServicePort is what clients inside the cluster connect to.
func (m *GptOssModel) ServicePort() int32 {
	if e := m.Spec.Expose; e != nil && e.Service != nil && e.Service.Port != nil {
		return *e.Service.Port
	}
	return DefaultPort
}

// Exposed is spec.expose, or an empty one.
func (m *GptOssModel) Exposed() ExposeSpec {
	if m.Spec.Expose == nil {
		return ExposeSpec{}
	}
	return *m.Spec.Expose
}
