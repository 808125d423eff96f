package controllers

import (
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

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

// stall is the error of a step that only a person can get past. It becomes the conditions Ready=False and Stalled=True.
type stall struct {
	reason, message string
	retry           time.Duration // when to look again; 0 where a watch tells
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
