package diagnosis

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) metav1.Time { return metav1.NewTime(now.Add(-d)) }

func ownedBy(kind string, uid types.UID) []metav1.OwnerReference {
	return []metav1.OwnerReference{{Kind: kind, Name: "chat", UID: uid, Controller: new(true)}}
}

// starting is a model of one pod that loads, an hour old, with an operator that works.
func starting() *Snapshot {
	m := &v1alpha1.GptOssModel{ObjectMeta: metav1.ObjectMeta{Name: "chat", Namespace: "team", UID: "model", Generation: 2, CreationTimestamp: ago(time.Hour)}}
	m.Spec.Model.Source.Demo = &v1alpha1.DemoSource{}
	m.Status.ObservedGeneration = 2
	m.Status.Conditions = []metav1.Condition{{Type: "Ready", Status: "False", Reason: "LoadingModel", Message: "the server loads the model", ObservedGeneration: 2}}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "chat", UID: "deployment", OwnerReferences: ownedBy("GptOssModel", "model")}}
	d.Spec.Replicas = new(int32(1))
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "chat-1", OwnerReferences: ownedBy("ReplicaSet", "rs2")}}
	pod.Spec.NodeName = "node-a"
	pod.Spec.Containers = []corev1.Container{{Name: "server", Image: "example.com/server:1"}}
	pod.Status.Phase = corev1.PodRunning
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "server", Image: "example.com/server:1", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: ago(20 * time.Second)}}}}
	operator := appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "gptoss-operator", Namespace: "gptoss-system"}, Status: appsv1.DeploymentStatus{ReadyReplicas: 2}}
	return &Snapshot{
		Now: now, Model: m, Deployment: d, Pods: []corev1.Pod{pod}, Operators: []appsv1.Deployment{operator},
		ReplicaSets: []appsv1.ReplicaSet{
			{ObjectMeta: metav1.ObjectMeta{Name: "chat-old", UID: "rs1", Annotations: map[string]string{"deployment.kubernetes.io/revision": "9"}}},
			{ObjectMeta: metav1.ObjectMeta{Name: "chat-new", UID: "rs2", Annotations: map[string]string{"deployment.kubernetes.io/revision": "10"}}},
		},
		Unread: map[string]string{},
	}
}

func serving() *Snapshot {
	s := starting()
	s.Model.Status.Conditions[0] = metav1.Condition{Type: "Ready", Status: "True", Reason: "Ready", ObservedGeneration: 2}
	s.Pods[0].Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	return s
}

func container(s *Snapshot) *corev1.ContainerStatus { return &s.Pods[0].Status.ContainerStatuses[0] }

func wait(s *Snapshot, reason, message string) {
	container(s).State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}

func end(s *Snapshot, restarts int32, t corev1.ContainerStateTerminated) {
	wait(s, "CrashLoopBackOff", "back-off 5m0s restarting failed container")
	container(s).RestartCount = restarts
	container(s).LastTerminationState.Terminated = &t
}

func event(kind, name, reason, message string) corev1.Event {
	return corev1.Event{
		InvolvedObject: corev1.ObjectReference{Kind: kind, Name: name}, Type: corev1.EventTypeWarning, Reason: reason, Message: message, LastTimestamp: ago(time.Second),
	}
}

func volumeSource(s *Snapshot) {
	s.Model.Spec.Model.Source = v1alpha1.ModelSource{PersistentVolumeClaim: &v1alpha1.PersistentVolumeClaimSource{ClaimName: "weights"}}
}

func namedSecret(s *Snapshot) {
	s.Model.Spec.Auth = &v1alpha1.AuthSpec{APIKeys: &v1alpha1.APIKeysSpec{SecretRef: v1alpha1.SecretKeyRef{Name: "team-keys", Key: "keys"}}}
}

func neverSeen(s *Snapshot) {
	s.Model.Status = v1alpha1.GptOssModelStatus{}
	s.Deployment, s.Pods = nil, nil
}

func download(s *Snapshot, status batchv1.JobStatus) {
	s.Jobs = []batchv1.Job{{ObjectMeta: metav1.ObjectMeta{Name: "chat-weights", UID: "job"}, Status: status}}
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "chat-weights-x", OwnerReferences: ownedBy("Job", "job")}}
	pod.Status.Phase = corev1.PodFailed
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "download", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: 1, Message: "GET https://huggingface.co/x: no such host\n", FinishedAt: ago(time.Minute),
	}}}}
	s.JobPods = []corev1.Pod{pod}
}

func autoscaled(s *Snapshot, message string) {
	s.Model.Spec.Autoscaling = &v1alpha1.AutoscalingSpec{MaxReplicas: 3}
	s.Autoscalers = []autoscalingv2.HorizontalPodAutoscaler{{
		ObjectMeta: metav1.ObjectMeta{Name: "chat", OwnerReferences: ownedBy("GptOssModel", "model")},
		Status: autoscalingv2.HorizontalPodAutoscalerStatus{Conditions: []autoscalingv2.HorizontalPodAutoscalerCondition{{
			Type: autoscalingv2.ScalingActive, Status: corev1.ConditionFalse, Reason: "FailedGetPodsMetric", Message: message,
		}}},
	}}
}

// setups are broken in one way each, but for those that are not.
var setups = map[string]struct {
	from   func() *Snapshot
	change func(*Snapshot)
	reason string
	want   string
}{
	"a model that serves": {serving, func(*Snapshot) {}, "Ready", `chat is ready: 1 of 1 pods serve.`},
	"a model that loads":  {starting, func(*Snapshot) {}, "LoadingModel", `The server in pod "chat-1" loads the model, for 20s so far.`},
	"the named Secret is missing": {
		starting, namedSecret, "SecretNotFound",
		`Secret "team-keys" does not exist in namespace "team", and spec.auth.apiKeys.secretRef needs it.`,
	},
	"the named entry is missing": {
		starting, func(s *Snapshot) {
			namedSecret(s)
			s.Secrets = []Secret{{Name: "team-keys", Entries: []string{"other"}}}
		},
		"SecretKeyNotFound", `Secret "team-keys" in namespace "team" has no entry "keys", or an empty one, and spec.auth.apiKeys.secretRef needs it.`,
	},
	"a Secret that may not be read is not called missing": {
		starting, func(s *Snapshot) { namedSecret(s); s.Unread[KindSecrets] = "forbidden" },
		"LoadingModel", `The server in pod "chat-1" loads the model, for 20s so far.`,
	},
	"the claim is missing": {
		starting, volumeSource, "ClaimNotFound",
		`PersistentVolumeClaim "weights" does not exist in namespace "team", and spec.model.source.persistentVolumeClaim names it.`,
	},
	"the claim is not bound": {starting, func(s *Snapshot) {
		volumeSource(s)
		s.Claims = []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "weights"}, Spec: corev1.PersistentVolumeClaimSpec{StorageClassName: new("fast")}, Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending}}}
		s.Events = []corev1.Event{event("PersistentVolumeClaim", "weights", "ProvisioningFailed", `storageclass.storage.k8s.io "fast" not found`)}
	}, "ClaimNotBound", `PersistentVolumeClaim "weights" is not bound to a volume (StorageClass "fast"): storageclass.storage.k8s.io "fast" not found.`},
	"the image cannot be pulled": {starting, func(s *Snapshot) {
		wait(s, "ImagePullBackOff", `Back-off pulling image "example.com/server:1": ErrImagePull: manifest unknown`)
	}, "ImagePullFailed", `Image "example.com/server:1" of pod "chat-1" cannot be pulled: manifest unknown.`},
	"no node fits": {starting, func(s *Snapshot) {
		s.Pods[0].Spec.NodeName, s.Pods[0].Status.ContainerStatuses = "", nil
		s.Pods[0].Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/1 nodes are available: 1 Insufficient memory."}}
	}, "WaitingForCapacity", `No node fits pod "chat-1", and the scheduler says: 0/1 nodes are available: 1 Insufficient memory.`},
	"the server crashes": {starting, func(s *Snapshot) {
		end(s, 7, corev1.ContainerStateTerminated{ExitCode: 2, Reason: "Error", Message: "{\"msg\":\"starting\"}\npanic: index out of range\n"})
	}, "CrashLooping", `The server in pod "chat-1" keeps ending with status 2, 7 restarts so far, and its last words are: panic: index out of range.`},
	"the server crashes, and only the log tells": {starting, func(s *Snapshot) {
		end(s, 3, corev1.ContainerStateTerminated{ExitCode: 139, Reason: "Error"})
		s.LastLines = map[string]string{"chat-1": `{"level":"ERROR","msg":"cannot listen","error":"address in use"}` + "\n"}
	}, "CrashLooping", `The server in pod "chat-1" keeps ending with status 139, 3 restarts so far, and its last words are: cannot listen: address in use.`},
	"the server uses too much memory": {starting, func(s *Snapshot) {
		s.Pods[0].Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("2Gi")}
		end(s, 4, corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"})
	}, "OutOfMemory", `The server in pod "chat-1" used more memory than its limit of 2Gi and was killed, 4 restarts so far.`},
	"the weights are broken": {starting, func(s *Snapshot) {
		end(s, 2, corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", Message: "model /models: model-1.safetensors: header ends after 12 of 4096 bytes"})
	}, "ModelLoadFailed", `The server in pod "chat-1" cannot load the model: model /models: model-1.safetensors: header ends after 12 of 4096 bytes.`},
	"the download fails": {
		starting, func(s *Snapshot) { s.Pods = nil; download(s, batchv1.JobStatus{Active: 1, Failed: 2}) },
		"DownloadFailing", `The download of the weights fails and is being tried again, after 2 failures: GET https://huggingface.co/x: no such host.`,
	},
	"the download has failed": {starting, func(s *Snapshot) {
		s.Pods = nil
		download(s, batchv1.JobStatus{Failed: 7, Conditions: []batchv1.JobCondition{{Type: batchv1.JobFailed, Status: corev1.ConditionTrue, Message: "Job has reached the specified backoff limit"}}})
	}, "DownloadFailed", `The download of the weights has failed: GET https://huggingface.co/x: no such host.`},
	"the weights are being downloaded": {starting, func(s *Snapshot) {
		s.Pods = nil
		s.Jobs = []batchv1.Job{{ObjectMeta: metav1.ObjectMeta{Name: "chat-weights", UID: "job"}, Status: batchv1.JobStatus{Active: 1}}}
		s.Model.Status.Conditions[0].Reason, s.Model.Status.Conditions[0].Message = "DownloadingWeights", "4.1 of 13.8 GB, 2 minutes left"
	}, "DownloadingWeights", `The weights are being downloaded: 4.1 of 13.8 GB, 2 minutes left.`},
	"the quota leaves no room for the download": {starting, func(s *Snapshot) {
		s.Pods = nil
		s.Jobs = []batchv1.Job{{ObjectMeta: metav1.ObjectMeta{Name: "chat-weights", UID: "job"}}}
		s.Events = []corev1.Event{event("Job", "chat-weights", "FailedCreate", "exceeded quota: small")}
	}, "PodsRefused", `The API server refuses to create the pod that downloads the weights: exceeded quota: small.`},
	"the quota is used up": {starting, func(s *Snapshot) {
		s.Pods = nil
		s.Deployment.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: `pods "chat-7d" is forbidden: exceeded quota: small, requested: requests.memory=1Gi, used: requests.memory=0, limited: requests.memory=512Mi`}}
	}, "QuotaExceeded", `The ResourceQuota of namespace "team" leaves no room for a pod: exceeded quota: small, requested: requests.memory=1Gi, used: requests.memory=0, limited: requests.memory=512Mi.`},
	"Pod Security refuses the pods": {starting, func(s *Snapshot) {
		s.Pods = nil
		s.ReplicaSets[1].Status.Conditions = []appsv1.ReplicaSetCondition{{Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue, Message: `pods "chat-7d" is forbidden: violates PodSecurity "restricted:latest": privileged`}}
	}, "PodsRefused", `The API server refuses to create the model's pods: pods "chat-7d" is forbidden: violates PodSecurity "restricted:latest": privileged.`},
	"there is no operator": {
		starting, func(s *Snapshot) { neverSeen(s); s.Operators = nil },
		"OperatorNotRunning", `The operator is not running: this cluster has no Deployment of gptoss-operator, and nobody has looked at chat.`,
	},
	"the operator is scaled to nothing": {starting, func(s *Snapshot) {
		s.Model.Generation = 3
		s.Operators[0].Spec.Replicas, s.Operators[0].Status.ReadyReplicas = new(int32(0)), 0
	}, "OperatorNotRunning", `The operator is not running: Deployment "gptoss-operator" in namespace "gptoss-system" is scaled to 0 replicas, and nobody has seen the last change of chat.`},
	"the operator has no leader": {starting, func(s *Snapshot) {
		neverSeen(s)
		s.Leases = []coordinationv1.Lease{{Spec: coordinationv1.LeaseSpec{RenewTime: &metav1.MicroTime{Time: now.Add(-5 * time.Minute)}}}}
	}, "OperatorNotRunning", `The operator in namespace "gptoss-system" has had no leader since 2026-03-01T11:55:00Z, and nobody has looked at chat.`},
	"somebody else has a Deployment of the name": {starting, func(s *Snapshot) {
		s.Pods = nil
		s.Deployment.OwnerReferences, s.Deployment.Labels = nil, map[string]string{"app.kubernetes.io/managed-by": "Helm"}
	}, "NameConflict", `Deployment "chat" exists already and is managed by "Helm", so that the operator leaves it alone and cannot make its own.`},
	"somebody else has the Secret of the name": {
		starting, func(s *Snapshot) { s.Secrets = []Secret{{Name: "chat-api-key", Owner: ""}} },
		"NameConflict", `Secret "chat-api-key" exists already and does not belong to this model, so that the operator leaves it alone and cannot make its own.`,
	},
	"the autoscaler reads no metric": {serving, func(s *Snapshot) {
		autoscaled(s, "the HPA was unable to compute the replica count: unable to get metric gpt_oss_active_requests")
	}, "AutoscalerBlind", `chat is ready with 1 of 1 pods, but does not scale: nobody serves its metric, since the cluster has no APIService for custom.metrics.k8s.io.`},
	"who serves the metric is down": {serving, func(s *Snapshot) {
		autoscaled(s, "unable to get metric gpt_oss_active_requests")
		s.MetricsAPI = &MetricsAPI{Name: "v1beta1.custom.metrics.k8s.io", Service: "monitoring/adapter", Reason: "MissingEndpoints", Condition: "endpoints have no addresses"}
	}, "AutoscalerBlind", `chat is ready with 1 of 1 pods, but does not scale: APIService "v1beta1.custom.metrics.k8s.io", which serves its metric from Service "monitoring/adapter", is not available (endpoints have no addresses).`},
	"readiness fails": {starting, func(s *Snapshot) {
		container(s).Started = new(true)
		s.Events = []corev1.Event{event("Pod", "chat-1", "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")}
	}, "ProbeFailing", `The server in pod "chat-1" runs but fails its probe: Readiness probe failed: HTTP probe failed with statuscode: 503.`},
	"the kubelet restarts a server that does not answer": {starting, func(s *Snapshot) {
		end(s, 3, corev1.ContainerStateTerminated{ExitCode: 137, Reason: "Error", FinishedAt: ago(0)})
		s.Events = []corev1.Event{
			event("Pod", "chat-1", "Unhealthy", "Startup probe failed: context deadline exceeded"),
			event("Pod", "chat-1", "Killing", "Container server failed startup probe, will be restarted"),
		}
	}, "ProbeFailing", `The kubelet restarts the server of pod "chat-1" because its probe fails: Startup probe failed: context deadline exceeded.`},
	"the pod was evicted": {starting, func(s *Snapshot) {
		gone := *s.Pods[0].DeepCopy()
		gone.Name, gone.Status = "chat-0", corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "The node was low on resource: ephemeral-storage."}
		s.Pods = append(s.Pods, gone)
	}, "Evicted", `Pod "chat-0" was evicted from node "node-a" and its replacement is not ready yet: The node was low on resource: ephemeral-storage.`},
	"the model is paused": {
		starting, func(s *Snapshot) {
			s.Model.Spec.Replicas = new(int32(0))
			s.Deployment.Spec.Replicas = new(int32(0))
			s.Pods = nil
		},
		"ScaledToZero", `chat is paused: spec.replicas is 0, so that no pod runs and clients get no answer.`,
	},
	"a volume cannot be mounted": {starting, func(s *Snapshot) {
		wait(s, "ContainerCreating", "")
		s.Events = []corev1.Event{event("Pod", "chat-1", "FailedMount", `MountVolume.SetUp failed for volume "model": timed out`)}
	}, "VolumeFailed", `A volume of pod "chat-1" cannot be mounted: MountVolume.SetUp failed for volume "model": timed out.`},
	"the node is gone": {starting, func(s *Snapshot) {
		s.Nodes = []corev1.Node{{ObjectMeta: metav1.ObjectMeta{Name: "node-a"}, Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionUnknown, Message: "Kubelet stopped posting node status."}}}}}
	}, "NodeNotReady", `Node "node-a", where pod "chat-1" runs, is not ready: Kubelet stopped posting node status.`},
	"the condition lies because its operator died": {serving, func(s *Snapshot) {
		s.Pods[0].Status.Conditions = nil
		end(s, 5, corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"})
	}, "OutOfMemory", `The server in pod "chat-1" used more memory than the memory that its node had left and was killed, 5 restarts so far.`},
	"pods of an earlier generation still serve": {serving, func(s *Snapshot) {
		s.Model.Status.Conditions[0].Status = "False"
		old := *s.Pods[0].DeepCopy()
		old.Name, old.OwnerReferences[0].UID = "chat-0", "rs1"
		s.Pods = append(s.Pods, old)
	}, "OldPodsServing", `The new pods serve, but clients are still answered by 1 pod of an earlier generation until the streams there have ended.`},
	"the API server refuses what the spec leads to": {starting, func(s *Snapshot) {
		s.Pods = nil
		s.Model.Status.Conditions[0].Reason, s.Model.Status.Conditions[0].Message = "ApplyRejected", "Deployment: spec.template is invalid"
	}, "ApplyRejected", `The API server refuses what the operator writes for chat: Deployment: spec.template is invalid.`},
	"the model is being deleted": {
		starting, func(s *Snapshot) {
			s.Model.DeletionTimestamp = new(ago(time.Minute))
			s.Model.Finalizers = []string{"example.com/keep"}
		},
		"Deleting", `chat is being deleted since 2026-03-01T11:59:00Z and waits for the finalizers example.com/keep.`,
	},
	"a reason that is not known here": {starting, func(s *Snapshot) {
		s.Pods, s.Deployment = nil, nil
		s.Model.Status.Conditions[0].Reason, s.Model.Status.Conditions[0].Message = "JustInvented", "the moon is full."
	}, "JustInvented", `chat is not ready: the moon is full.`},
}

func TestDiagnose(t *testing.T) {
	for name, tc := range setups {
		t.Run(name, func(t *testing.T) {
			s := tc.from()
			tc.change(s)
			got := Diagnose(s)
			if got.Sentence != tc.want || got.Reason != tc.reason {
				t.Errorf("%s: %s\nwant %s: %s", got.Reason, got.Sentence, tc.reason, tc.want)
			}
			if want := tc.reason == "Ready" || tc.reason == "AutoscalerBlind"; got.Ready != want {
				t.Errorf("ready: %t, want %t", got.Ready, want)
			}
		})
	}
}

func TestEvidence(t *testing.T) {
	s := starting()
	s.Unread[KindNodes] = "nodes is forbidden"
	s.Events = []corev1.Event{event("Pod", "chat-1", "BackOff", "first line\nsecond line")}
	var all []string
	for _, e := range Diagnose(s).Evidence {
		all = append(all, e.Object+": "+e.Text)
	}
	text := strings.Join(all, "\n")
	for _, want := range []string{
		"condition Ready: False, LoadingModel", "Pod chat-1: phase Running", "event on Pod chat-1: 1s ago, BackOff: first line second line", "not read: nodes: nodes is forbidden",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestMessagesAreBounded(t *testing.T) {
	s := starting()
	wait(s, "CreateContainerError", strings.Repeat("wörter ", 10_000))
	if got := Diagnose(s).Sentence; len(got) > maxWords+200 || !strings.HasSuffix(got, "….") {
		t.Errorf("a sentence of %d bytes that ends with %q", len(got), got[len(got)-5:])
	}
}
