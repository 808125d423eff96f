package scaling

import (
	"math/bits"
	"strconv"
	"sync"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gptoss/gptoss-operator/controllers/metricsapi"
)

// CostAnnotation is what the ReplicaSet's controller reads when it chooses the pods to remove: the lowest cost goes first,
// and none counts as 0.
const CostAnnotation = corev1.PodDeletionCost

// CostInterval is the least time between two writes to a pod.
const CostInterval = time.Minute

// Shrinking reports whether the autoscaler has seen that there are too many pods and waits out its stabilization window:
// the time in which the pods' costs must be right, and the only one in which they are worth a write.
func Shrinking(hpa *autoscalingv2.HorizontalPodAutoscaler) bool {
	return hpa != nil && condition(hpa, autoscalingv2.AbleToScale).Reason == "ScaleDownStabilized"
}

// Costs remembers when pods' costs were looked at. The zero value is ready for use.
type Costs struct {
	mu     sync.Mutex
	looked map[types.UID]time.Time // by the pod's identity
}

// Cost is what a pod's annotation shall say.
type Cost struct {
	Pod   *corev1.Pod
	Value string
}

// Due selects the pods that have not been looked at for a while, and notes that they are now.
func (c *Costs) Due(pods []corev1.Pod, now time.Time) []corev1.Pod {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.looked == nil {
		c.looked = map[types.UID]time.Time{}
	}
	for uid, at := range c.looked {
		if now.Sub(at) >= CostInterval {
			delete(c.looked, uid)
		}
	}
	var due []corev1.Pod
	for i := range pods {
		if _, recent := c.looked[pods[i].UID]; !recent && pods[i].DeletionTimestamp == nil {
			c.looked[pods[i].UID] = now
			due = append(due, pods[i])
		}
	}
	return due
}

// Changes says which pods' annotations must change, given what the pods have to do. The cost is the number of active
// requests, rounded up to a power of two, and follows it coarsely: only from or to idle, or by more than one step. A pod
// that does not answer keeps what it has.
func Changes(pods []corev1.Pod, readings []metricsapi.Reading) []Cost {
	var out []Cost
	for i := range pods {
		if readings[i].Err != nil {
			continue
		}
		old, _ := strconv.ParseInt(pods[i].Annotations[CostAnnotation], 10, 32) // unreadable counts as 0, as with Kubernetes
		cost := roundUp(readings[i].Active)
		if (old == 0) != (cost == 0) || old > 2*cost || cost > 2*old {
			out = append(out, Cost{Pod: &pods[i], Value: strconv.FormatInt(cost, 10)})
		}
	}
	return out
}

// roundUp returns the smallest power of two that is not smaller, or 0.
func roundUp(n int64) int64 {
	if n <= 0 {
		return 0
	}
	return 1 << bits.Len64(uint64(n-1))
}
