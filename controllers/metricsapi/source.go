package metricsapi

// SourceKind says who serves the metrics that autoscalers read.
type SourceKind int

const (
	// Unknown means that nobody has looked yet.
	Unknown SourceKind = iota

	// Own means that the operator does.
	Own

	// Foreign means that somebody else owns custom.metrics.k8s.io, such as prometheus-adapter.
	Foreign

	// Off means that the operator is told not to; what else there is, it does not know.
	Off

	// Refused means that the operator should, but the API server does not let it register.
	Refused
)

// String is the kind's name.
func (k SourceKind) String() string {
	return [...]string{"Unknown", "Own", "Foreign", "Off", "Refused"}[k]
}

// Source is where autoscalers find their metrics.
type Source struct {
	Kind SourceKind

	// Registration is the name of the APIService, and Owner who serves it: "Service NAMESPACE/NAME".
	Registration, Owner string

	// Problem is why it does not work: the reason of the APIService's condition, or the API server's words.
	Problem string
}
