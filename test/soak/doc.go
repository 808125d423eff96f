// Command soak keeps a gptoss-server busy for minutes and looks at what that does to it: keys that rotate under running
// streams, and crowds of clients of which some leave in the middle. It prints its progress, writes a report and ends by
// itself, with status 1 when the server broke a promise.
package main
