// Package cpu is the fast forward pass: packed weights, a worker pool and a paged key-value cache.
package cpu
