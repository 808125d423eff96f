// Package scaling decides what belongs to a model's autoscaler: which other autoscaler is in the way, what the condition
// AutoscalingActive says, and which pods go first when there are to be fewer. It only reads and decides; package
// controllers writes.
package scaling
