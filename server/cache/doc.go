// Package cache is the command that fills a volume for pods: it downloads a model, packs it into a file that servers map,
// takes away what that was made from, and the folders of models that nobody serves any more.
//
// Every model has a folder of its own in the volume, so that a new one comes beside the one that pods run on. The command
// may end at any moment and be run again: a download goes on from where it was, packing begins anew, and what is complete
// is complete at once and without a network. How far it is can be asked for over HTTP; why it failed is told by
// the exit status and one sentence. Both are in package options, the contract with the operator.
package cache
