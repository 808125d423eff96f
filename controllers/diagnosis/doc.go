// Package diagnosis says of pods why they do not serve, in the words of whoever knows, and how long they took until they
// did. Pure functions.
package diagnosis
