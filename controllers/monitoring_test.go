package controllers

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/resources"
)

func newMonitor() *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(resources.ServiceMonitorKind)
	return u
}

// monitorCRD has the Prometheus operator's names and the parts of its schema that matter for merging.
func monitorCRD() *apiextensionsv1.CustomResourceDefinition {
	object := func(properties map[string]apiextensionsv1.JSONSchemaProps) apiextensionsv1.JSONSchemaProps {
		return apiextensionsv1.JSONSchemaProps{Type: "object", Properties: properties}
	}
	text := apiextensionsv1.JSONSchemaProps{Type: "string"}
	endpoint := object(map[string]apiextensionsv1.JSONSchemaProps{"port": text, "path": text, "interval": text})
	selector := object(map[string]apiextensionsv1.JSONSchemaProps{"matchLabels": {
		Type: "object", AdditionalProperties: &apiextensionsv1.JSONSchemaPropsOrBool{Schema: &text},
	}})
	selector.XMapType = new("atomic")
	schema := object(map[string]apiextensionsv1.JSONSchemaProps{"spec": object(map[string]apiextensionsv1.JSONSchemaProps{
		"jobLabel": text, "selector": selector,
		"endpoints": {Type: "array", Items: &apiextensionsv1.JSONSchemaPropsOrArray{Schema: &endpoint}},
	})})
	return &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "servicemonitors.monitoring.coreos.com"},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: resources.ServiceMonitorKind.Group,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Kind: "ServiceMonitor", ListKind: "ServiceMonitorList", Plural: "servicemonitors", Singular: "servicemonitor"},
			Scope: apiextensionsv1.NamespaceScoped,
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true, Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &schema},
			}},
		},
	}
}

// Serial, since the API comes and goes for the whole server.
var _ = Describe("monitoring", Serial, Ordered, func() {
	It("follows the ServiceMonitor API while it comes, goes and comes back", func(ctx SpecContext) {
		m := applied(ctx, newNamespace(ctx), `{model: {source: {demo: {}}}, monitoring: {serviceMonitor: {interval: 15s, labels: {release: prom}}}}`)
		rollOut(ctx, m)
		eventuallyCondition(ctx, m, "Ready").Should(HaveField("Status", metav1.ConditionTrue), "the API is optional")
		for range 2 {
			install := envtest.CRDInstallOptions{CRDs: []*apiextensionsv1.CustomResourceDefinition{monitorCRD()}}
			_, err := envtest.InstallCRDs(testEnv.Config, install)
			Expect(err).NotTo(HaveOccurred())

			monitor := get(ctx, m, newMonitor())
			Expect(monitor.GetLabels()).To(HaveKeyWithValue("release", "prom"))
			Expect(metav1.IsControlledBy(monitor, m)).To(BeTrue())
			endpoints, _, err := unstructured.NestedSlice(monitor.Object, "spec", "endpoints")
			Expect(err).NotTo(HaveOccurred())
			Expect(endpoints).To(HaveExactElements(map[string]any{"port": "http", "path": "/v1/metrics", "interval": "15s"}))

			By("repairing what was changed and deleted")
			edit(ctx, m, monitor, func(u *unstructured.Unstructured) {
				Expect(unstructured.SetNestedField(u.Object, "other", "spec", "jobLabel")).To(Succeed())
			})
			Eventually(func() string {
				label, _, _ := unstructured.NestedString(get(ctx, m, monitor).Object, "spec", "jobLabel")
				return label
			}).Should(Equal("app.kubernetes.io/instance"))
			uid := monitor.GetUID()
			Expect(k8s.Delete(ctx, monitor)).To(Succeed())
			Eventually(func() types.UID { return get(ctx, m, newMonitor()).GetUID() }).ShouldNot(Equal(uid))

			By("writing nothing in a steady state")
			Eventually(func(g Gomega) {
				n := len(writes.in(m.Namespace))
				g.Consistently(func() int { return len(writes.in(m.Namespace)) }, 2*resync, resync/4).Should(Equal(n))
			}).Should(Succeed())

			By("removing it when it is switched off")
			edit(ctx, m, m, func(m *v1alpha1.GptOssModel) { m.Spec.Monitoring.ServiceMonitor.Mode = v1alpha1.ServiceMonitorDisabled })
			Eventually(func() bool {
				return apierrors.IsNotFound(k8s.Get(ctx, client.ObjectKeyFromObject(m), newMonitor()))
			}).Should(BeTrue())
			edit(ctx, m, m, func(m *v1alpha1.GptOssModel) { m.Spec.Monitoring.ServiceMonitor.Mode = v1alpha1.ServiceMonitorAuto })
			get(ctx, m, newMonitor())

			Expect(envtest.UninstallCRDs(testEnv.Config, install)).To(Succeed())
			Eventually(func() bool {
				return apierrors.IsNotFound(k8s.Get(ctx, client.ObjectKey{Name: monitorCRD().Name}, monitorCRD()))
			}).Should(BeTrue())
			edit(ctx, m, m, func(m *v1alpha1.GptOssModel) { m.Annotations = map[string]string{"touched": "yes"} })
			eventuallyCondition(ctx, m, "Ready").Should(HaveField("Status", metav1.ConditionTrue))
		}
	})
})
