// Package screen writes for people: text from the cluster made harmless, colours and live lines where a terminal is there, tables.
//
// Whatever comes from a cluster (messages, names of images, logs, what a model says) may hold control characters that move
// the cursor, change the title or hide text. None of them reaches a terminal raw.
package screen
