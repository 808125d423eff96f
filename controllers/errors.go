package controllers

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
)

const (
	// conflictRetry is how often a foreign object is looked for again: it carries none of our labels, so that no watch tells.
	conflictRetry = 30 * time.Second

	// rejectedRetry is how often a refused write is tried again: what refuses it may be a quota or policy that changes.
	rejectedRetry = 5 * time.Minute

	// raceRetry is when to look again after somebody else wrote at the same moment; usually their event comes first.
	raceRetry = 200 * time.Millisecond
)

// stall is the error of a step that only a person can get past. It becomes the conditions Ready=False and Stalled=True, or,
// where time helps, Reconciling=True.
type stall struct {
	reason, message string
	retry           time.Duration // when to look again; 0 where a watch tells
	passing         bool          // time helps
}

func (s *stall) Error() string { return s.reason + ": " + s.message }

// errWait ends the steps without being a failure: an event will come and the steps run again.
var errWait = errors.New("waiting for an object to be deleted")

// errAgain ends the steps after a write that another one must follow.
var errAgain = errors.New("an object was overwritten and must be applied")

// refused turns an answer of the API server that trying again will not change into a stall.
func refused(what string, err error) error {
	if errors.Is(err, errAgain) {
		return err
	}
	if apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) {
		return &stall{reason: v1alpha1.ReasonApplyRejected, message: fmt.Sprintf("%s: %v", what, err), retry: rejectedRetry}
	}
	return fmt.Errorf("controllers: %s: %w", what, err)
}

// gravest returns, of several failures, the one to report and to act on: a race first, since what was read is then old;
// then what may pass, so that it is tried again soon; then what only a person can change.
func gravest(all ...error) error {
	rank := func(err error) int {
		var s *stall
		switch {
		case apierrors.IsConflict(err) || errors.Is(err, errAgain):
			return 0
		case errors.Is(err, errWait):
			return 3
		case errors.As(err, &s):
			return 2
		}
		return 1
	}
	var first error
	for _, err := range all {
		if err != nil && (first == nil || rank(err) < rank(first)) {
			first = err
		}
	}
	return first
}

// rejections remembers, for each model, the write that the API server refused last. The steps run for many reasons; a
// write that was refused a moment ago would only be refused again. The zero value is ready for use.
type rejections struct {
	mu   sync.Mutex
	last map[types.NamespacedName]rejection
}

type rejection struct {
	digest [sha256.Size]byte
	err    error
	until  time.Time
}

// digest tells writes apart: the same configuration for an object that was deleted meanwhile is another write.
func digest(m *v1alpha1.GptOssModel, configuration *unstructured.Unstructured, exists bool) ([sha256.Size]byte, error) {
	text, err := json.Marshal([]any{m.UID, exists, configuration.Object})
	if err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("controllers: digest: %w", err)
	}
	return sha256.Sum256(text), nil
}

// recall returns the answer to the same write if it is recent enough, or nil.
func (r *rejections) recall(model types.NamespacedName, digest [sha256.Size]byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last, ok := r.last[model]; ok && last.digest == digest && time.Now().Before(last.until) {
		return last.err
	}
	return nil
}

// note remembers an answer if it is a refusal.
func (r *rejections) note(model types.NamespacedName, digest [sha256.Size]byte, err error) {
	var s *stall
	if !errors.As(err, &s) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == nil {
		r.last = map[types.NamespacedName]rejection{}
	}
	r.last[model] = rejection{digest: digest, err: err, until: time.Now().Add(s.retry)}
}

// forget drops what is remembered of a model that is gone or whose write succeeded.
func (r *rejections) forget(model types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.last, model)
}
