package controllers

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/server/options"
)

const (
	progressInterval = 300 * time.Millisecond

	hubSpec = `{model: {source: {huggingFace: {repo: openai/gpt-oss-20b}}}}`
)

// started creates a model and waits for its download.
func started(ctx context.Context, spec string) (*v1alpha1.GptOssModel, *batchv1.Job) {
	GinkgoHelper()
	m := newModel(newNamespace(ctx), spec)
	Expect(k8s.Create(ctx, m)).To(Succeed())
	return m, downloadOf(ctx, m)
}

// jobsOf lists the Jobs of a component, those on their way out left out.
func jobsOf(ctx context.Context, m *v1alpha1.GptOssModel, component string) []batchv1.Job {
	GinkgoHelper()
	var list batchv1.JobList
	Expect(k8s.List(ctx, &list, client.InNamespace(m.Namespace), client.MatchingLabels{"app.kubernetes.io/component": component})).To(Succeed())
	return slices.DeleteFunc(list.Items, func(j batchv1.Job) bool { return j.DeletionTimestamp != nil })
}

// downloadOf waits for the only download.
func downloadOf(ctx context.Context, m *v1alpha1.GptOssModel) *batchv1.Job {
	GinkgoHelper()
	var jobs []batchv1.Job
	Eventually(func() []batchv1.Job {
		jobs = jobsOf(ctx, m, "download")
		return jobs
	}).Should(HaveLen(1))
	return &jobs[0]
}

func claimOf(m *v1alpha1.GptOssModel) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: m.Namespace, Name: m.Name + "-weights"}}
}

// podOfJob makes the Job's pod as its controller would; with a port its progress is asked there.
func podOfJob(ctx context.Context, job *batchv1.Job, name string, port int32, status corev1.PodStatus) *corev1.Pod {
	GinkgoHelper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: job.Namespace, Name: name, Labels: job.Spec.Template.Labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(job, batchv1.SchemeGroupVersion.WithKind("Job"))},
		},
		Spec: *job.Spec.Template.Spec.DeepCopy(),
	}
	if port != 0 {
		pod.Spec.Containers[0].Ports[0].ContainerPort = port
	}
	Expect(k8s.Create(ctx, pod)).To(Succeed())
	setPod(ctx, pod, status)
	return pod
}

// failedStatus is a pod whose download has ended.
func failedStatus(code int32, message string) corev1.PodStatus {
	return corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: []corev1.ContainerStatus{{
		Name: "download", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Message: message}},
	}}}
}

// finishJob plays the Job's controller when the Job has ended, so long ago.
func finishJob(ctx context.Context, job *batchv1.Job, succeeded bool, ago time.Duration) {
	GinkgoHelper()
	at := metav1.NewTime(time.Now().Add(-ago))
	Eventually(func() error {
		if err := k8s.Get(ctx, client.ObjectKeyFromObject(job), job); err != nil {
			return err
		}
		job.Status.StartTime = &at
		conditions := []batchv1.JobConditionType{batchv1.JobFailureTarget, batchv1.JobFailed}
		if succeeded {
			conditions = []batchv1.JobConditionType{batchv1.JobSuccessCriteriaMet, batchv1.JobComplete}
			job.Status.CompletionTime, job.Status.Succeeded = &at, 1
		} else {
			job.Status.Failed = 1
		}
		for _, kind := range conditions {
			job.Status.Conditions = append(job.Status.Conditions, batchv1.JobCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: at})
		}
		return k8s.Status().Update(ctx, job)
	}).Should(Succeed())
}

// teller is a download that says how far it is.
type teller struct {
	*httptest.Server
	at    atomic.Pointer[options.CacheProgress]
	asked atomic.Int32
}

func newTeller(p options.CacheProgress) *teller {
	t := &teller{}
	t.at.Store(&p)
	t.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		t.asked.Add(1)
		_ = json.NewEncoder(w).Encode(t.at.Load())
	}))
	DeferCleanup(t.Close)
	return t
}

func (t *teller) port() int32 {
	u, err := url.Parse(t.URL)
	Expect(err).NotTo(HaveOccurred())
	port, err := strconv.ParseInt(u.Port(), 10, 32)
	Expect(err).NotTo(HaveOccurred())
	return int32(port)
}

func deploymentMissing(ctx context.Context, m *v1alpha1.GptOssModel) {
	GinkgoHelper()
	err := k8s.Get(ctx, client.ObjectKeyFromObject(m), &appsv1.Deployment{})
	Expect(apierrors.IsNotFound(err)).To(BeTrue(), "%v", err)
}

var _ = Describe("weights that are downloaded", func() {
	It("come once, show how far they are, and then there are pods", func(ctx SpecContext) {
		m, job := started(ctx, hubSpec)
		Expect(job.Spec.Template.Spec.Containers[0].Args).To(ContainElements("cache", "--source=openai/gpt-oss-20b"))
		Expect(get(ctx, m, claimOf(m)).OwnerReferences).To(BeEmpty(), "weights are kept by default")
		eventuallyCondition(ctx, m, "Ready").Should(beReason("False", "DownloadingWeights", Not(BeEmpty())))
		Expect(condition(ctx, m, "Reconciling").Reason).To(Equal("DownloadingWeights"))
		Expect(condition(ctx, m, "ModelAvailable").Reason).To(Equal("DownloadingWeights"))
		deploymentMissing(ctx, m)

		left := int64(65)
		t := newTeller(options.CacheProgress{Phase: "Downloading", Bytes: 5_100_000_000, TotalBytes: 13_800_000_000, SecondsLeft: &left})
		podOfJob(ctx, job, "chat-dl", t.port(), corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "127.0.0.1", PodIPs: []corev1.PodIP{{IP: "127.0.0.1"}}})
		eventuallyCondition(ctx, m, "ModelAvailable").Should(
			beReason("False", "DownloadingWeights", Equal("downloading openai/gpt-oss-20b: 5.1 GB of 13.8 GB, about 1m10s left")))
		Expect(get(ctx, m, m).Status.Download).To(Equal(&v1alpha1.DownloadStatus{
			Phase: "Downloading", Bytes: 5_100_000_000, TotalBytes: 13_800_000_000, RemainingSeconds: new(int64(70)),
		}))
		since := condition(ctx, m, "Ready").LastTransitionTime
		t.at.Store(&options.CacheProgress{Phase: "Packing", Bytes: 1, TotalBytes: 2, Trouble: "it is slow"})
		eventuallyCondition(ctx, m, "Ready").Should(HaveField("Message", "packing openai/gpt-oss-20b: 0.0 MB of 0.0 MB; it is slow"))
		Expect(condition(ctx, m, "Ready").LastTransitionTime).To(Equal(since), "progress is no transition")

		finishJob(ctx, job, true, 0)
		d := get(ctx, m, &appsv1.Deployment{})
		Expect(d.Spec.Template.Spec.Containers[0].Args).To(ContainElement(
			"--model=/models/" + job.Labels["gptoss.dev/weights"] + "/gpt-oss-20b.gptoss"))
		rollOut(ctx, m)
		eventuallyCondition(ctx, m, "Ready").Should(HaveField("Status", metav1.ConditionTrue))
		Expect(get(ctx, m, m).Status.Download).To(BeNil())
		Expect(downloadOf(ctx, m).UID).To(Equal(job.UID), "one Job is made, once")
	})

	It("are asked for at an interval, and write nothing while they stand still", func(ctx SpecContext) {
		m, job := started(ctx, hubSpec)
		t := newTeller(options.CacheProgress{Phase: "Downloading", Bytes: 1, TotalBytes: 2})
		podOfJob(ctx, job, "chat-dl", t.port(), corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "127.0.0.1", PodIPs: []corev1.PodIP{{IP: "127.0.0.1"}}})
		Eventually(func() *v1alpha1.DownloadStatus { return get(ctx, m, m).Status.Download }).ShouldNot(BeNil())
		Eventually(func() []string { return eventReasons(ctx, m) }).Should(ContainElement("DownloadingWeights"))
		before, asked, begun := len(writes.in(m.Namespace)), t.asked.Load(), time.Now()
		Consistently(func() []string { return writes.in(m.Namespace)[before:] }, 4*resync, resync/4).Should(BeEmpty())
		Expect(t.asked.Load()-asked).To(BeNumerically(">", 1), "it is asked again")
		Expect(t.asked.Load()-asked).To(BeNumerically("<=", int32(time.Since(begun)/progressInterval)+1), "and no more often than at the interval")
		bytes := int64(0)
		from := len(writes.in(m.Namespace))
		begun = time.Now()
		Consistently(func() bool { // it moves all the time
			bytes++
			t.at.Store(&options.CacheProgress{Phase: "Downloading", Bytes: bytes, TotalBytes: 1 << 40})
			return true
		}, 3*resync, 10*time.Millisecond).Should(BeTrue())
		Expect(len(writes.in(m.Namespace)) - from).To(And(BeNumerically(">", 2), BeNumerically("<=", int(time.Since(begun)/progressInterval)+1)))
	})

	DescribeTable("may fail, and why is said in the words of the download", func(ctx SpecContext, code int, reason, message string) {
		m, job := started(ctx, hubSpec)
		podOfJob(ctx, job, "chat-dl", 0, failedStatus(int32(code), message+"\n"))
		finishJob(ctx, job, false, 0)
		eventuallyCondition(ctx, m, "Stalled").Should(beReason("True", reason, HavePrefix(message)))
		Expect(condition(ctx, m, "Ready").Reason).To(Equal(reason))
		deploymentMissing(ctx, m)
		Expect(downloadOf(ctx, m).UID).To(Equal(job.UID), "it is not tried again at once")
	},
		Entry("nobody answers", options.CacheFailed, "DownloadFailed", "huggingface.co does not accept connections; gave up after 9 tries"),
		Entry("a token is wanted", options.CacheRefused, "DownloadRefused", "openai/gpt-oss-20b may not be read (HTTP 403)"),
		Entry("no such repository", options.CacheNotFound, "ModelNotFound", "huggingface.co has no repository openai/gpt-oss-20b"),
		Entry("another checksum", options.CacheMismatch, "DigestMismatch", "model.gguf is not what was announced"),
		Entry("a full volume", options.CacheFull, "CacheFull", "no space is left on the disk"),
		Entry("no model", options.CacheUnusable, "ModelLoadFailed", "config.json: missing"),
		Entry("killed", 137, "DownloadFailed", "killed"),
	)

	It("are tried again by the Job, and after a while with a new one", func(ctx SpecContext) {
		m, job := started(ctx, hubSpec)
		podOfJob(ctx, job, "chat-dl", 0, failedStatus(options.CacheFailed, "it broke off"))
		eventuallyCondition(ctx, m, "Reconciling").Should(beReason("True", "DownloadFailed", Equal("it broke off; it is tried again")))
		finishJob(ctx, job, false, 11*time.Minute)
		Eventually(func() types.UID { return downloadOf(ctx, m).UID }).ShouldNot(Equal(job.UID))
		eventuallyCondition(ctx, m, "Ready").Should(HaveField("Reason", "DownloadingWeights"))
	})

	It("with a wrong checksum are never downloaded again by themselves, but when the source changes", func(ctx SpecContext) {
		const spec = `{model: {source: {http: {url: "http://files/m.gguf", sha256: "` + "0000000000000000000000000000000000000000000000000000000000000000" + `"}}}}`
		m, job := started(ctx, spec)
		podOfJob(ctx, job, "chat-dl", 0, failedStatus(options.CacheMismatch, "another"))
		finishJob(ctx, job, false, 240*time.Hour)
		eventuallyCondition(ctx, m, "Stalled").Should(beReason("True", "DigestMismatch", ContainSubstring("is not tried again before")))
		Consistently(func() types.UID { return downloadOf(ctx, m).UID }, 2*resync, resync/4).Should(Equal(job.UID))
		edit(ctx, m, m, func(m *v1alpha1.GptOssModel) { m.Spec.Model.Source.HTTP.SHA256 = strings.Repeat("1", 64) })
		Eventually(func() []batchv1.Job { return jobsOf(ctx, m, "download") }).Should(HaveLen(2))
	})

	It("of another revision come beside those that pods run on, which go afterwards", func(ctx SpecContext) {
		m, first := started(ctx, hubSpec)
		finishJob(ctx, first, true, 0)
		get(ctx, m, &appsv1.Deployment{})
		rollOut(ctx, m)
		eventuallyCondition(ctx, m, "Ready").Should(HaveField("Status", metav1.ConditionTrue))
		old := first.Labels["gptoss.dev/weights"]

		edit(ctx, m, m, func(m *v1alpha1.GptOssModel) { m.Spec.Model.Source.HuggingFace.Revision = "v2" })
		var second *batchv1.Job
		Eventually(func() []batchv1.Job {
			jobs := jobsOf(ctx, m, "download")
			if i := slices.IndexFunc(jobs, func(j batchv1.Job) bool { return j.Labels["gptoss.dev/weights"] != old }); i >= 0 {
				second = &jobs[i]
			}
			return jobs
		}).Should(HaveLen(2))
		Expect(second.Spec.Template.Spec.Containers[0].Args).To(ContainElement("--keep=" + old))
		eventuallyCondition(ctx, m, "Ready").Should(HaveField("Reason", "DownloadingWeights"))
		Expect(condition(ctx, m, "WorkloadAvailable").Status).To(Equal(metav1.ConditionTrue), "the old pods serve")
		Expect(get(ctx, m, &appsv1.Deployment{}).Spec.Template.Spec.Containers[0].Args).To(ContainElement(ContainSubstring(old)))

		finishJob(ctx, second, true, 0)
		Eventually(func() []string { return get(ctx, m, &appsv1.Deployment{}).Spec.Template.Spec.Containers[0].Args }).ShouldNot(ContainElement(ContainSubstring(old)))
		Consistently(func() []batchv1.Job { return jobsOf(ctx, m, "clean") }, 2*resync, resync/4).Should(BeEmpty(), "old pods are still there")
		rollOut(ctx, m)
		Eventually(func() []batchv1.Job { return jobsOf(ctx, m, "clean") }).Should(HaveLen(1))
		clean := jobsOf(ctx, m, "clean")[0]
		Expect(clean.Spec.Template.Spec.Containers[0].Args).To(ContainElement("--keep=" + second.Labels["gptoss.dev/weights"]))
		Expect(downloadOf(ctx, m).UID).To(Equal(second.UID))
		eventuallyCondition(ctx, m, "Ready").Should(HaveField("Status", metav1.ConditionTrue))

		edit(ctx, m, m, func(m *v1alpha1.GptOssModel) { m.Spec.Model.Source.HuggingFace.Revision = "" })
		Eventually(func() []batchv1.Job { return jobsOf(ctx, m, "clean") }).Should(BeEmpty(), "a clean-up must not take away what is wanted again")
		Eventually(func() []batchv1.Job { return jobsOf(ctx, m, "download") }).Should(HaveLen(2))
	})

	It("need a token that is there", func(ctx SpecContext) {
		m := newModel(newNamespace(ctx), `{model: {source: {huggingFace: {repo: openai/gpt-oss-20b, tokenSecretRef: {name: hub}}}}}`)
		Expect(k8s.Create(ctx, m)).To(Succeed())
		eventuallyCondition(ctx, m, "Stalled").Should(beReason("True", "SecretNotFound", ContainSubstring(`Secret "hub"`)))
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: m.Namespace, Name: "hub"}}
		Expect(k8s.Create(ctx, secret)).To(Succeed())
		eventuallyCondition(ctx, m, "Stalled").Should(beReason("True", "SecretKeyNotFound", ContainSubstring(`no entry "token"`)))
		secret.Data = map[string][]byte{"token": []byte("hf_a")}
		Expect(k8s.Update(ctx, secret)).To(Succeed())
		job := downloadOf(ctx, m)
		Expect(job.Spec.Template.Spec.Containers[0].Env).To(HaveExactElements(HaveField("ValueFrom.SecretKeyRef.Name", "hub")))

		podOfJob(ctx, job, "chat-dl", 0, failedStatus(options.CacheRefused, "it is wrong"))
		finishJob(ctx, job, false, 0)
		eventuallyCondition(ctx, m, "Stalled").Should(HaveField("Reason", "DownloadRefused"))
		secret.Data = map[string][]byte{"token": []byte("hf_b")}
		Expect(k8s.Update(ctx, secret)).To(Succeed())
		Eventually(func() types.UID { return downloadOf(ctx, m).UID }).ShouldNot(Equal(job.UID), "another token is tried at once")
	})
})

var _ = Describe("the volume of downloaded weights", func() {
	It("goes with the model only if it is asked to", func(ctx SpecContext) {
		m, _ := started(ctx, `{model: {source: {huggingFace: {repo: a/b}}, cache: {reclaimPolicy: Delete, size: 1Gi}}}`)
		Expect(get(ctx, m, claimOf(m)).OwnerReferences).To(HaveExactElements(HaveField("UID", get(ctx, m, m).UID)))
		edit(ctx, m, m, func(m *v1alpha1.GptOssModel) { m.Spec.Model.Cache.ReclaimPolicy = v1alpha1.CacheRetain })
		Eventually(func() []metav1.OwnerReference { return get(ctx, m, claimOf(m)).OwnerReferences }).Should(BeEmpty())
		edit(ctx, m, m, func(m *v1alpha1.GptOssModel) { m.Spec.Model.Cache.ReclaimPolicy = v1alpha1.CacheDelete })
		Eventually(func() []metav1.OwnerReference { return get(ctx, m, claimOf(m)).OwnerReferences }).Should(HaveLen(1))
	})

	It("that was kept is taken by the next model of the name", func(ctx SpecContext) {
		m, job := started(ctx, hubSpec)
		claim := get(ctx, m, claimOf(m))
		Expect(k8s.Delete(ctx, m)).To(Succeed())
		Expect(k8s.Delete(ctx, job, client.PropagationPolicy(metav1.DeletePropagationBackground))).To(Succeed()) // as the garbage collector would
		for _, obj := range []client.Object{&corev1.Service{}, keySecret()} {
			Expect(k8s.Delete(ctx, get(ctx, m, obj))).To(Succeed())
		}
		again := newModel(m.Namespace, hubSpec)
		Expect(k8s.Create(ctx, again)).To(Succeed())
		downloadOf(ctx, again)
		Expect(get(ctx, again, claimOf(again)).UID).To(Equal(claim.UID))
	})

	It("is never one of somebody else's", func(ctx SpecContext) {
		m := newModel(newNamespace(ctx), hubSpec)
		foreign := claimOf(m)
		foreign.Spec = corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Mi")}},
		}
		Expect(k8s.Create(ctx, foreign)).To(Succeed())
		Expect(k8s.Create(ctx, m)).To(Succeed())
		eventuallyCondition(ctx, m, "Stalled").Should(beReason("True", "NameConflict", ContainSubstring("chat-weights")))
		Consistently(func() string { return get(ctx, m, claimOf(m)).ResourceVersion }, 2*resync, resync/5).Should(Equal(foreign.ResourceVersion))
		Expect(jobsOf(ctx, m, "download")).To(BeEmpty())
	})

	It("stays as it is when the user's size is smaller, and its labels come back", func(ctx SpecContext) {
		m, _ := started(ctx, `{model: {source: {huggingFace: {repo: a/b}}, cache: {size: 2Gi}}}`)
		edit(ctx, m, m, func(m *v1alpha1.GptOssModel) { m.Spec.Model.Cache.Size = new(resource.MustParse("1Gi")) })
		edit(ctx, m, claimOf(m), func(c *corev1.PersistentVolumeClaim) { c.Labels = nil })
		Eventually(func() map[string]string { return get(ctx, m, claimOf(m)).Labels }).Should(HaveKeyWithValue("app.kubernetes.io/component", "weights"))
		Expect(get(ctx, m, claimOf(m)).Spec.Resources.Requests.Storage().String()).To(Equal("2Gi"))
		Expect(condition(ctx, m, "Stalled")).To(BeZero())
	})
})

var _ = Describe("drift of a download", func() {
	DescribeTable("is repaired", func(ctx SpecContext, change func(*batchv1.Job)) {
		m, job := started(ctx, hubSpec)
		want := job.DeepCopy()
		edit(ctx, m, job, change)
		Eventually(func(g Gomega) {
			got := get(ctx, m, job)
			g.Expect(got.Spec).To(Equal(want.Spec))
			for key, value := range want.Labels { // where there are none the API server takes those of the pods
				g.Expect(got.Labels).To(HaveKeyWithValue(key, value))
			}
		}).Should(Succeed())
	},
		Entry("suspended", func(j *batchv1.Job) { j.Spec.Suspend = new(true) }),
		Entry("no pods at a time", func(j *batchv1.Job) { j.Spec.Parallelism = new(int32(0)) }),
		Entry("more tries", func(j *batchv1.Job) { j.Spec.BackoffLimit = new(int32(99)) }),
		Entry("a deadline", func(j *batchv1.Job) { j.Spec.ActiveDeadlineSeconds = new(int64(5)) }),
		Entry("its labels removed", func(j *batchv1.Job) { j.Labels = map[string]string{"mine": "yes"} }),
	)

	It("by deletion is repaired, and pods that run on the weights do not mind", func(ctx SpecContext) {
		m, job := started(ctx, hubSpec)
		gone := func(job *batchv1.Job) {
			Expect(k8s.Delete(ctx, job, client.PropagationPolicy(metav1.DeletePropagationBackground))).To(Succeed())
			Eventually(func() types.UID { return downloadOf(ctx, m).UID }).ShouldNot(Equal(job.UID))
		}
		gone(job)
		finishJob(ctx, downloadOf(ctx, m), true, 0)
		get(ctx, m, &appsv1.Deployment{})
		rollOut(ctx, m)
		eventuallyCondition(ctx, m, "Ready").Should(HaveField("Status", metav1.ConditionTrue))
		gone(downloadOf(ctx, m))
		Consistently(func() metav1.ConditionStatus { return condition(ctx, m, "Ready").Status }, 2*resync, resync/10).Should(Equal(metav1.ConditionTrue))
	})

	It("leaves a Job of somebody else alone", func(ctx SpecContext) {
		m, job := started(ctx, hubSpec)
		foreign := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: newNamespace(ctx), Name: job.Name}, Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{
			Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "c", Image: "i"}}},
		}}}
		Expect(k8s.Create(ctx, foreign)).To(Succeed())
		other := newModel(foreign.Namespace, hubSpec)
		Expect(k8s.Create(ctx, other)).To(Succeed())
		eventuallyCondition(ctx, other, "Stalled").Should(beReason("True", "NameConflict", ContainSubstring(m.Name+"-download-")))
	})
})

// newClaim is a user's claim with weights in it.
func newClaim(namespace, name string) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Mi")}},
		},
	}
}

var _ = Describe("weights that are there", func() {
	It("in a volume wait for its claim", func(ctx SpecContext) {
		m := newModel(newNamespace(ctx), `{model: {source: {persistentVolumeClaim: {claimName: shared}}}}`)
		Expect(k8s.Create(ctx, m)).To(Succeed())
		eventuallyCondition(ctx, m, "Stalled").Should(beReason("True", "PersistentVolumeClaimNotFound", ContainSubstring(`"shared"`)))
		deploymentMissing(ctx, m)
		Expect(k8s.Create(ctx, newClaim(m.Namespace, "shared"))).To(Succeed())
		get(ctx, m, &appsv1.Deployment{})
		eventuallyCondition(ctx, m, "Stalled").Should(BeZero())
	})

	It("in an image are mounted, and nothing is left of an earlier download", func(ctx SpecContext) {
		m, _ := started(ctx, hubSpec)
		edit(ctx, m, m, func(m *v1alpha1.GptOssModel) {
			m.Spec.Model.Source = v1alpha1.ModelSource{Image: &v1alpha1.ImageSource{Reference: "registry/gpt-oss-20b:1", PullPolicy: corev1.PullAlways}}
		})
		d := get(ctx, m, &appsv1.Deployment{})
		Expect(d.Spec.Template.Spec.Volumes[0].Image).To(Equal(&corev1.ImageVolumeSource{Reference: "registry/gpt-oss-20b:1", PullPolicy: corev1.PullAlways}))
		Eventually(func() []batchv1.Job { return jobsOf(ctx, m, "download") }).Should(BeEmpty())
	})
})
