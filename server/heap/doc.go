// Package heap keeps Go's heap within the container's memory.
//
// Go's collector lets a heap double before it collects, and knows nothing of the container's limit unless GOMEMLIMIT says
// so. Where nobody said so, [Limit] does: what the container may have, less what is not Go's (mapped weights, keys and
// values, activations), less a tenth for the kernel's part. It is a soft limit: near it the collector works more, and a
// request is not refused for it.
package heap
