// Package placement finds out where packed weights are better off: in the mapping of their file, which is there at once
// and which all processes of a machine share, or in a copy of this process alone in huge pages, which some machines read
// faster. [Choose] measures both on the spot, and looks at how much memory is free; [Pieces] are how it, and whoever
// measures a machine, lets all threads read memory.
package placement
