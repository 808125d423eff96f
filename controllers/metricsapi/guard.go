package metricsapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authentication/request/headerrequest"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/kubernetes"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/metrics/pkg/apis/custom_metrics/v1beta2"
	ctrl "sigs.k8s.io/controller-runtime"
)

// The ConfigMap in which kube-apiserver tells extension API servers how to know it.
const (
	authenticationNamespace = "kube-system"
	authenticationConfigMap = "extension-apiserver-authentication"
)

// guardPatience is how long a replica waits for the ConfigMap before it begins to serve.
const guardPatience = 5 * time.Second

// Guard lets kube-apiserver through, which proves itself with its front-proxy certificate and names the user it asks
// for, and then asks it whether that user may. There is no other way in: neither tokens nor users' certificates.
type Guard struct {
	names    *headerrequest.RequestHeaderAuthRequestController
	roots    *dynamiccertificates.ConfigMapCAController
	identify authenticator.Request
	allow    authorizer.Authorizer
}

// clients is the part of a clientset that a guard uses. A whole one would add ten megabytes to the program and make sixty
// clients.
type clients struct {
	kubernetes.Interface // nil: nothing else is called
	core                 coreclient.CoreV1Interface
	authorization        authorizationclient.AuthorizationV1Interface
}

func (c clients) CoreV1() coreclient.CoreV1Interface { return c.core }
func (c clients) AuthorizationV1() authorizationclient.AuthorizationV1Interface {
	return c.authorization
}

// Clients makes the clients that a guard needs.
func Clients(config *rest.Config, httpClient *http.Client) (kubernetes.Interface, error) {
	core, err := coreclient.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, fmt.Errorf("metricsapi: %w", err)
	}
	authorization, err := authorizationclient.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, fmt.Errorf("metricsapi: %w", err)
	}
	return clients{core: core, authorization: authorization}, nil
}

// NewGuard makes a guard that reads the ConfigMap and asks for reviews with the client.
func NewGuard(client kubernetes.Interface) (*Guard, error) {
	names := headerrequest.NewRequestHeaderAuthRequestController(authenticationConfigMap, authenticationNamespace, client,
		"requestheader-username-headers", "requestheader-uid-headers", "requestheader-group-headers",
		"requestheader-extra-headers-prefix", "requestheader-allowed-names")
	roots, err := dynamiccertificates.NewDynamicCAFromConfigMapController("front-proxy", authenticationNamespace, authenticationConfigMap, "requestheader-client-ca-file", client)
	if err != nil {
		return nil, fmt.Errorf("metricsapi: %w", err)
	}
	identify, _, err := authenticatorfactory.DelegatingAuthenticatorConfig{RequestHeaderConfig: &authenticatorfactory.RequestHeaderConfig{
		UsernameHeaders:     headerrequest.StringSliceProviderFunc(names.UsernameHeaders),
		UIDHeaders:          headerrequest.StringSliceProviderFunc(names.UIDHeaders),
		GroupHeaders:        headerrequest.StringSliceProviderFunc(names.GroupHeaders),
		ExtraHeaderPrefixes: headerrequest.StringSliceProviderFunc(names.ExtraHeaderPrefixes),
		AllowedClientNames:  headerrequest.StringSliceProviderFunc(names.AllowedClientNames),
		CAContentProvider:   roots,
	}}.New()
	if err != nil {
		return nil, fmt.Errorf("metricsapi: %w", err)
	}
	allow, err := authorizerfactory.DelegatingAuthorizerConfig{
		SubjectAccessReviewClient: client.AuthorizationV1(),
		AllowCacheTTL:             5 * time.Minute,
		DenyCacheTTL:              30 * time.Second,
		WebhookRetryBackoff:       &wait.Backoff{Duration: 200 * time.Millisecond, Factor: 1.5, Jitter: 0.2, Steps: 3},
	}.New()
	if err != nil {
		return nil, fmt.Errorf("metricsapi: %w", err)
	}
	return &Guard{names: names, roots: roots, identify: identify, allow: allow}, nil
}

// Start reads the ConfigMap and follows it until the context ends. It returns when it has been read, or soon after that
// failed; until it has been read, nobody gets through.
func (g *Guard) Start(ctx context.Context) {
	err := g.names.RunOnce(ctx)
	go g.names.Run(ctx, 1)
	go g.roots.Run(ctx, 1)
	known := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, guardPatience, true, func(context.Context) (bool, error) {
		_, ok := g.roots.VerifyOptions()
		return ok, nil
	})
	if err := errors.Join(err, known); err != nil && ctx.Err() == nil {
		ctrl.LoggerFrom(ctx).Error(err, "how to know kube-apiserver is not known yet; nobody reads metrics until it is",
			"configMap", authenticationNamespace+"/"+authenticationConfigMap)
	}
}

// protect lets an endpoint answer requests that are allowed.
func (g *Guard) protect(attributes func(*http.Request, user.Info) authorizer.AttributesRecord, endpoint func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if reason := recover(); reason != nil {
				ctrl.LoggerFrom(r.Context()).Error(fmt.Errorf("panic: %v", reason), "a question for metrics ended in a panic", "path", r.URL.Path, "stack", string(debug.Stack()))
				write(w, nil, apierrors.NewInternalError(errors.New("see the operator's log")))
			}
		}()
		who, known, err := g.identify.AuthenticateRequest(r)
		if err != nil || !known {
			write(w, nil, apierrors.NewUnauthorized("only kube-apiserver may ask, with its front-proxy certificate"))
			return
		}
		asked := attributes(r, who.User)
		allowed, err := g.allows(r.Context(), asked)
		switch {
		case err != nil:
			ctrl.LoggerFrom(r.Context()).Error(err, "whether a user may read metrics cannot be found out", "user", who.User.GetName())
			write(w, nil, apierrors.NewInternalError(errors.New("whether the user may cannot be found out")))
		case !allowed:
			write(w, nil, apierrors.NewForbidden(v1beta2.Resource(asked.Resource+"/"+asked.Subresource), asked.Name,
				fmt.Errorf("user %q may not read it", who.User.GetName())))
		default:
			document, err := endpoint(r)
			write(w, document, err)
		}
	}
}

// allows asks first whether the user may read the metric of all such objects, and only then for the very one: the
// autoscaler's user may, so that a thousand models take one review and not a thousand.
func (g *Guard) allows(ctx context.Context, asked authorizer.AttributesRecord) (bool, error) {
	if asked.ResourceRequest {
		all := asked
		all.Namespace, all.Name, all.Path = "", "", ""
		if decision, _, err := g.allow.Authorize(ctx, all); err == nil && decision == authorizer.DecisionAllow {
			return true, nil
		}
	}
	decision, _, err := g.allow.Authorize(ctx, asked)
	return decision == authorizer.DecisionAllow, err
}
