package controllers

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/weights"
)

var _ = Describe("weights in an image", func() {
	// ensure asks a keeper of weights of its own.
	ensure := func(ctx SpecContext, c client.Client) *weights.State {
		GinkgoHelper()
		m := newModel("default", `{model: {source: {image: {reference: registry/weights}}}}`)
		state, err := (&weights.Keeper{Client: c, Live: c, Names: c, Image: testImage}).Ensure(ctx, m)
		Expect(err).NotTo(HaveOccurred())
		var left appsv1.DeploymentList
		Expect(c.List(ctx, &left, client.InNamespace("default"))).To(Succeed())
		Expect(left.Items).To(BeEmpty(), "it was only a question")
		return state
	}

	It("are refused clearly by a cluster that would leave the volume out", func(ctx SpecContext) {
		older := &envtest.Environment{}
		older.ControlPlane.GetAPIServer().Configure().Append("emulated-version", "1.34") // the feature was off by default
		config, err := older.Start()
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { Expect(older.Stop()).To(Succeed()) })
		c, err := client.New(config, client.Options{Scheme: scheme})
		Expect(err).NotTo(HaveOccurred())
		state := ensure(ctx, c)
		Expect(state).NotTo(BeNil())
		Expect(state.Reason).To(Equal(v1alpha1.ReasonImageVolumeUnsupported))
		Expect(state.Stalled).To(BeTrue())
	})

	It("are taken by one that mounts images", func(ctx SpecContext) {
		Expect(ensure(ctx, k8s)).To(BeNil())
	})
})
