// Package part makes files that nobody sees half-written: until [File.Commit] a file is NAME.gptoss-part beside its final
// name, locked against other processes, and one that a killed process left behind is taken over.
package part
