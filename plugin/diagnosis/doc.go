// Package diagnosis says in one true sentence why a model is not ready. It is a pure function: [Diagnose] gets everything that
// is known of the model at one moment, and the same snapshot always leads to the same sentence.
//
// It rests on the facts of objects, in the words of whoever knows (the scheduler, the kubelet, the server itself), and takes
// the operator's conditions only where no object tells more. Nothing is concluded from an object that could not be read:
// see [Snapshot.Unread].
package diagnosis
